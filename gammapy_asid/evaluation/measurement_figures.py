# Licensed under a 3-clause BSD style license - see LICENSE
"""Figures of what is measured, for the page of an evaluation."""

import numpy as np

from .detection_plots import plot_flux_distribution
from .drawing import FigureSpec, coloured, label_flux, panels
from .measurement_plots import plot_binned, plot_coverage, plot_flux_recovery, plot_offset, plot_pull

__all__ = ["MEASUREMENT_FIGURES"]


def _draw_offset(evaluation):
    """Offsets against flux; None where nothing is found."""
    shown = [(r, style) for r, style in coloured(evaluation) if len(r.pairs[0])]
    if not shown:
        return None
    figure, axes = panels(columns=len(shown), size=(9.8 / min(len(shown), 3), 3.7), sharey=True)
    for ax, (result, style) in zip(axes[0], shown, strict=True):
        index, source = result.pairs
        separation = np.maximum(result.matches.separation[index], 1e-4)
        plot_offset(evaluation.truth.flux[source], separation, evaluation.edges, ax=ax, color=style["color"])
        ax.lines[0].set(markersize=5, color=style["color"], alpha=0.35, markeredgewidth=0)
        ax.axhline(evaluation.settings["radius_deg"], color="0.5", linestyle="--", linewidth=1)
        ax.legend(loc="lower left")
        ax.set_title(result.label)
        label_flux(ax, evaluation)
    for ax in axes[0, 1:]:
        ax.set_ylabel("")
    return figure


def _draw_coverage(evaluation):
    """Coverage of the error ellipses; None without any."""
    pits = [(style, evaluation.position_pit(result)) for result, style in coloured(evaluation)]
    pits = [(style, pit) for style, pit in pits if len(pit)]
    if not pits:
        return None
    figure, ((left, right),) = panels(size=(4.9, 4.3))
    edges = np.linspace(0, 1, 11)
    for style, pit in pits:
        plot_coverage(pit, ax=left, **style)
        left.plot([0.68, 0.95], [np.mean(pit < 0.68), np.mean(pit < 0.95)], "o", color=style["color"])
        number = np.histogram(np.minimum(pit, 1 - 1e-9), edges)[0]
        right.stairs(number / (len(pit) * 0.1), edges, linewidth=1.6, **style)
    right.axhline(1, color="0.3", linestyle="--", linewidth=0.8)
    left.legend(loc="upper left")
    left.set(title="Coverage", aspect="equal", ylabel="Share of true positions inside")
    right.set(title="Probability integral transform", xlim=(0, 1), ylim=(0, None))
    right.set(xlabel="Stated probability of less than the true offset", ylabel="Density")
    return figure


def _draw_flux_recovery(evaluation):
    """Measured against true fluxes; None without any."""
    pairs = [(r, style, evaluation.flux_pairs(r)) for r, style in coloured(evaluation)]
    pairs = [(r, style, pair) for r, style, pair in pairs if pair is not None and len(pair["flux"])]
    if not pairs:
        return None
    figure, ((left, right),) = panels()
    for _, style, pair in pairs:
        plot_flux_recovery(pair["true"], pair["flux"], pair["errn"], pair["errp"], ax=left, **style)
        edges = 10.0 ** np.arange(np.floor(np.log10(pair["true"].min())), -5, 0.5)
        plot_binned(pair["true"], pair["flux"] / pair["true"], edges, ax=right, **style)
    ranges = {"{:g}-{:g} GeV".format(*pair["energy_range"]) for _, _, pair in pairs}
    right.axhline(1, color="0.3", lw=0.8)
    right.set(xscale="log", xlim=left.get_xlim(), ylim=(0, 3), xlabel=left.get_xlabel())
    right.set(ylabel="Measured / true flux", title="Median and central 68 %")
    left.set_title("Each source, " + " and ".join(sorted(ranges)))
    left.legend(loc="upper left")
    return figure


def _draw_flux_pull(evaluation):
    """Deviations of fluxes in units of their errors; None without any."""
    figure, ((ax,),) = panels(columns=1, size=(5, 4.1))
    for result, style in coloured(evaluation):
        pull = evaluation.flux_pull(result)
        if len(pull):
            label = f"{result.label}: mean {pull.mean():.2f}, width {pull.std():.2f}"
            plot_pull(pull, ax=ax, **(style | {"label": label}))
    if not ax.patches:
        return None
    ax.set_ylim(0, 1.25 * ax.get_ylim()[1])
    ax.legend(loc="upper left")
    ax.set_title("Fluxes in units of their errors")
    return figure


def _draw_flux_distribution(evaluation):
    """Fluxes of all true sources and of those found."""
    figure, ((ax,),) = panels(columns=1, size=(5, 4.1))
    found = {result.label: result.found for result in evaluation.results}
    plot_flux_distribution(
        evaluation.truth.flux, found, evaluation.edges, ax=ax, flux_limit=evaluation.flux_limit
    )
    label_flux(ax, evaluation)
    return figure


#: Figures of the page, in order.
MEASUREMENT_FIGURES = {
    "offset": FigureSpec(
        "Positions",
        "Offset against flux",
        "Distance of each real candidate from its source, and the 68 % percentile in bins. "
        "Dashed: the matching radius, beyond which nothing is counted.",
        _draw_offset,
        "No candidate is real.",
        wide=True,
    ),
    "coverage": FigureSpec(
        "Positions",
        "Coverage of error ellipses",
        "Share of true positions inside the stated regions, against the stated probability; dots at 68 and "
        "95 %. Above the diagonal errors are too large, below too small. Right: its derivative, flat if the "
        "errors are true.",
        _draw_coverage,
        "No list has error ellipses.",
        wide=True,
    ),
    "flux_recovery": FigureSpec(
        "Fluxes",
        "Measured against true flux",
        "Real candidates at the working threshold. Faint ones are found where they fluctuate upwards.",
        _draw_flux_recovery,
        "No list has fluxes.",
        wide=True,
    ),
    "flux_pull": FigureSpec(
        "Fluxes",
        "Flux errors",
        "Measured minus true flux over the error on that side; dashed: a normal distribution.",
        _draw_flux_pull,
        "No list has errors of fluxes in an energy range in which the truth is known.",
    ),
    "flux_distribution": FigureSpec(
        "Fluxes",
        "Distribution of fluxes",
        "All true sources, and those found at the working threshold.",
        _draw_flux_distribution,
    ),
}
