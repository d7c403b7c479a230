# Licensed under a 3-clause BSD style license - see LICENSE
"""Figures of the page of an evaluation."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from matplotlib import cycler, rc_context
from matplotlib.figure import Figure

from .plots import (
    plot_binned,
    plot_coverage,
    plot_flux_distribution,
    plot_flux_recovery,
    plot_fraction,
    plot_latitude,
    plot_offset,
    plot_pull,
    plot_purity_recall,
    plot_reliability,
    plot_threshold,
)
from .results import LATITUDE_EDGES, LATITUDE_RANGES

__all__ = ["COLOURS", "FIGURES", "FigureSpec", "draw_figures"]

#: Colours of the lists, in their order.
COLOURS = ("#0b62a4", "#d1662a", "#2f8f5b", "#8a4fa3", "#a8323e", "#5d6d7e")
STYLE = {
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.size": 10,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.7,
}
DPI = 130
#: Sources in a range of latitudes below which it gets no panel of its own.
MIN_SOURCES = 10


@dataclass(frozen=True)
class FigureSpec:
    """One figure of the page.

    Parameters
    ----------
    section : str
        Section of the page.
    title, caption : str
        Title, and what is to be seen.
    draw : callable
        Takes an `~gammapy_asid.evaluation.Evaluation`, returns a figure, or None where there is
        nothing to draw.
    missing : str
        Why there may be nothing.
    """

    section: str
    title: str
    caption: str
    draw: callable
    missing: str = ""


def draw_figures(evaluation):
    """Draw all figures that the evaluation has numbers for.

    Parameters
    ----------
    evaluation : `~gammapy_asid.evaluation.Evaluation`
        Evaluation.

    Returns
    -------
    figures : dict of str to bytes
        PNG files by the names of `FIGURES`.
    """
    figures = {}
    # Ticks and texts are made when a figure is saved: that needs the style, too
    with rc_context(STYLE):
        for name, spec in FIGURES.items():
            figure = spec.draw(evaluation)
            if figure is not None:
                buffer = BytesIO()
                figure.savefig(buffer, format="png", dpi=DPI)
                figures[name] = buffer.getvalue()
    return figures


def _panels(rows=1, columns=2, size=(4.9, 3.7), **kwargs):
    figure = Figure(figsize=(columns * size[0], rows * size[1]), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def _coloured(evaluation):
    """Results with the style of each."""
    for i, result in enumerate(evaluation.results):
        yield result, {"color": COLOURS[i % len(COLOURS)], "label": result.label}


def _beside(evaluation):
    """The same, shifted in the bins they share."""
    n = len(evaluation.results)
    for i, (result, style) in enumerate(_coloured(evaluation)):
        yield result, style | {"shift": 0.16 * (i - (n - 1) / 2) if n < 6 else 0.0}


def _label_flux(ax, evaluation, what="True flux"):
    low, high = evaluation.truth.energy_range
    ax.set_xlabel(f"{what} {low:g}-{high:g} GeV [cm$^{{-2}}$ s$^{{-1}}$]")


def _with_flux(evaluation):
    """Results that have fluxes of candidates."""
    return [(r, style) for r, style in _beside(evaluation) if evaluation.candidate_flux(r) is not None]


def _by_flux(evaluation, axes, latitude=(0, 90)):
    """Completeness and purity against flux in a range of latitudes on two axes."""
    limit = evaluation.flux_limit
    inside = _in_range(evaluation.truth.lat, latitude)
    for result, style in _beside(evaluation):
        flux, found = evaluation.truth.flux[inside], result.found[inside]
        plot_fraction(flux, found, evaluation.edges, ax=axes[0], flux_limit=limit, **style)
    for result, style in _with_flux(evaluation):
        kept = result.kept & _in_range(result.candidates.lat, latitude)
        flux, real = evaluation.candidate_flux(result)[kept], result.matches.is_matched[kept]
        plot_fraction(flux, real, evaluation.edges, ax=axes[1], flux_limit=limit, **style)
    axes[0].set_ylabel("Completeness")
    axes[1].set_ylabel("Purity")
    _label_flux(axes[0], evaluation)
    _label_flux(axes[1], evaluation, "Measured flux")
    for ax in axes:
        ax.set(xscale="log", xlim=(evaluation.edges[0], evaluation.edges[-1]), ylim=(-0.03, 1.03))
    if not _with_flux(evaluation):
        axes[1].text(
            0.5, 0.5, "no list has fluxes", transform=axes[1].transAxes, ha="center", color="0.5", va="center"
        )


def _in_range(lat, latitude):
    return (np.abs(lat) >= latitude[0]) & (np.abs(lat) <= latitude[1])


def _flux(evaluation):
    figure, axes = _panels()
    _by_flux(evaluation, axes[0])
    axes[0, 0].set_title("Completeness")
    axes[0, 1].set_title("Purity")
    axes[0, 0].legend(loc="lower right")
    return figure


def _latitude(evaluation):
    figure, ((left, right),) = _panels()
    for result, style in _beside(evaluation):
        plot_latitude(evaluation.truth.lat, result.found, LATITUDE_EDGES, ax=left, **style)
        kept = result.kept
        plot_latitude(
            result.candidates.lat[kept], result.matches.is_matched[kept], LATITUDE_EDGES, ax=right, **style
        )
    left.set(title="Completeness", ylabel="Completeness")
    right.set(title="Purity", ylabel="Purity")
    left.legend(loc="lower right")
    return figure


def _flux_by_latitude(evaluation):
    ranges = [r for r in LATITUDE_RANGES if np.sum(_in_range(evaluation.truth.lat, r)) >= MIN_SOURCES]
    if len(ranges) < 2:
        return None
    figure, axes = _panels(2, len(ranges), (9.8 / len(ranges), 3.1), sharey=True)
    for column, latitude in zip(axes.T, ranges, strict=True):
        _by_flux(evaluation, column, latitude=latitude)
        column[0].set_title(f"{latitude[0]:g} < |b| < {latitude[1]:g} deg")
    for ax in axes[:, 1:].ravel():
        ax.set_ylabel("")
    axes[0, -1].legend(loc="lower right")
    return figure


def _purity_recall(evaluation):
    figure, ((left, right),) = _panels()
    for ax, name, title in (
        (left, "curve", "Published matching"),
        (right, "optimal_curve", "Optimal matching"),
    ):
        curves = {
            f"{r.label}, average precision {getattr(r, name).average_precision:.3f}": getattr(r, name)
            for r in evaluation.results
        }
        plot_purity_recall(curves, ax=ax)
        ax.set_title(title)
    for result, style in _coloured(evaluation):
        purity, recall = result.curve.at_threshold(result.threshold)
        left.plot(recall, purity, "o", color=style["color"], markersize=6)
    return figure


def _faint(evaluation):
    figure, ((ax,),) = _panels(columns=1, size=(5, 4.1))
    curves = {result.label: result.faint for result in evaluation.results}
    plot_threshold(curves, ax=ax, marks={result.label: result.threshold for result in evaluation.results})
    low, high = evaluation.settings["faint"]
    number = evaluation.results[0].faint.n_true
    below = f"{low:.3g} to {high:.3g}" if low > 0 else f"below {high:.3g}"
    ax.set_ylim(0, 1.25 * max(1, *(curve.gained.max(initial=0) for curve in curves.values())))
    ax.set_title(f"{number} true sources {below} cm$^{{-2}}$ s$^{{-1}}$")
    ax.set(xlabel="Fakes at or above the threshold", ylabel="Faint sources gained")
    return figure


def _offset(evaluation):
    shown = [(r, style) for r, style in _coloured(evaluation) if len(r.pairs[0])]
    if not shown:
        return None
    figure, axes = _panels(columns=len(shown), size=(9.8 / min(len(shown), 3), 3.7), sharey=True)
    for ax, (result, style) in zip(axes[0], shown, strict=True):
        index, source = result.pairs
        separation = np.maximum(result.matches.separation[index], 1e-4)
        plot_offset(evaluation.truth.flux[source], separation, evaluation.edges, ax=ax, color=style["color"])
        ax.lines[0].set(markersize=5, color=style["color"], alpha=0.35, markeredgewidth=0)
        ax.axhline(evaluation.settings["radius_deg"], color="0.5", linestyle="--", linewidth=1)
        ax.legend(loc="lower left")
        ax.set_title(result.label)
        _label_flux(ax, evaluation)
    for ax in axes[0, 1:]:
        ax.set_ylabel("")
    return figure


def _coverage(evaluation):
    pits = [(style, evaluation.position_pit(result)) for result, style in _coloured(evaluation)]
    pits = [(style, pit) for style, pit in pits if len(pit)]
    if not pits:
        return None
    figure, ((left, right),) = _panels(size=(4.9, 4.3))
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


def _recovery(evaluation):
    pairs = [(r, style, evaluation.flux_pairs(r)) for r, style in _coloured(evaluation)]
    pairs = [(r, style, pair) for r, style, pair in pairs if pair is not None and len(pair["flux"])]
    if not pairs:
        return None
    figure, ((left, right),) = _panels()
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


def _pull(evaluation):
    figure, ((ax,),) = _panels(columns=1, size=(5, 4.1))
    for result, style in _coloured(evaluation):
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


def _distribution(evaluation):
    figure, ((ax,),) = _panels(columns=1, size=(5, 4.1))
    found = {result.label: result.found for result in evaluation.results}
    plot_flux_distribution(
        evaluation.truth.flux, found, evaluation.edges, ax=ax, flux_limit=evaluation.flux_limit
    )
    _label_flux(ax, evaluation)
    return figure


def _reliability(evaluation):
    shown = [(r, style) for r, style in _coloured(evaluation) if r.candidates.is_probability]
    if not shown:
        return None
    figure, ((ax,),) = _panels(columns=1, size=(5, 4.4))
    for result, style in shown:
        score, real = result.candidates.score, result.matches.is_matched
        error = result.calibration_error
        style = style | {"label": f"{result.label}, calibration error {error:.3f}"}
        plot_reliability(score, real, n_bins=int(np.clip(len(score) // 15, 3, 15)), ax=ax, **style)
    ax.set(title="Share of real candidates against score", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure


def _sky(evaluation):
    n = len(evaluation.results)
    lon, lat = _centred(evaluation, evaluation.truth)
    width = max(np.ptp(lon), 1.0) / max(np.ptp(lat), 1.0)
    columns = 1 if width > 1.6 else min(n, 2)
    rows = -(-n // columns)
    panel = 9.8 / max(columns, 1) if columns > 1 else 6.5 if width < 1.6 else 9.8
    figure, axes = _panels(rows, columns, (panel, np.clip(panel / width, 3.2, 6) + 0.5))
    for ax in axes.ravel()[n:]:
        ax.set_visible(False)
    for ax, (result, style) in zip(axes.ravel(), _coloured(evaluation), strict=False):
        size = 6 + 14 * np.clip(np.log10(evaluation.truth.flux / evaluation.edges[0]), 0, 3)
        found, kept = result.found, result.kept
        real = result.matches.is_matched
        x, y = _centred(evaluation, result.candidates.select(kept & ~real))
        ax.scatter(
            lon[~found], lat[~found], s=size[~found], facecolors="none", edgecolors="0.55", label="missed"
        )
        ax.scatter(lon[found], lat[found], s=size[found], color=style["color"], lw=0, label="found")
        ax.scatter(x, y, marker="x", s=28, color="#111111", linewidths=1.2, label="fake")
        ax.set_title(result.label, loc="left")
        ax.set(xlabel="l [deg]", ylabel="b [deg]", aspect="equal")
        ax.invert_xaxis()
        ax.xaxis.set_major_formatter(lambda value, _: f"{value % 360:g}")
        # Above the axes, where no source is
        ax.legend(loc="lower right", bbox_to_anchor=(1, 0.99), ncols=3, columnspacing=1.2, handletextpad=0.2)
    return figure


def _centred(evaluation, rows):
    """Longitude near that of the centre, and latitude."""
    centre = evaluation.sample["center"][0]
    return centre + (rows.lon - centre + 180) % 360 - 180, rows.lat


#: Figures of the page, in order.
FIGURES = {
    "flux": FigureSpec(
        "Purity and completeness",
        "Against flux",
        "Share of true sources found, and of candidates that are real, with 68 % binomial intervals. "
        "Both at the working threshold.",
        _flux,
    ),
    "latitude": FigureSpec(
        "Purity and completeness",
        "Against Galactic latitude",
        "The same against the absolute value of the latitude, for sources of all fluxes.",
        _latitude,
    ),
    "flux_by_latitude": FigureSpec(
        "Purity and completeness",
        "Against flux, by latitude",
        "Completeness (top) and purity (bottom) in ranges of latitude.",
        _flux_by_latitude,
        "Fewer than two ranges of latitude hold ten true sources.",
    ),
    "purity_recall": FigureSpec(
        "Precision and recall",
        "All thresholds",
        "Published matching: in order of decreasing score each candidate claims the brightest source left "
        "within the radius. Optimal matching: as many pairs as possible at each threshold. Dots mark the "
        "working thresholds.",
        _purity_recall,
    ),
    "faint": FigureSpec(
        "Precision and recall",
        "Faint sources gained against fakes",
        "As the threshold goes down, faint true sources are gained, and fakes with them. "
        "Dots mark the working thresholds.",
        _faint,
    ),
    "reliability": FigureSpec(
        "Precision and recall",
        "Reliability of the score",
        "Of candidates with a score of 0.8, four in five should be real. Bins hold equal numbers.",
        _reliability,
        "No list has scores between 0 and 1.",
    ),
    "offset": FigureSpec(
        "Positions",
        "Offset against flux",
        "Distance of each real candidate from its source, and the 68 % percentile in bins. "
        "Dashed: the matching radius, beyond which nothing is counted.",
        _offset,
        "No candidate is real.",
    ),
    "coverage": FigureSpec(
        "Positions",
        "Coverage of error ellipses",
        "Share of true positions inside the stated regions, against the stated probability; dots at 68 and "
        "95 %. Above the diagonal errors are too large, below too small. Right: its derivative, flat if the "
        "errors are true.",
        _coverage,
        "No list has error ellipses.",
    ),
    "flux_recovery": FigureSpec(
        "Fluxes",
        "Measured against true flux",
        "Real candidates at the working threshold. Faint ones are found where they fluctuate upwards.",
        _recovery,
        "No list has fluxes.",
    ),
    "flux_pull": FigureSpec(
        "Fluxes",
        "Flux errors",
        "Measured minus true flux over the error on that side; dashed: a normal distribution.",
        _pull,
        "No list has errors of fluxes in an energy range in which the truth is known.",
    ),
    "flux_distribution": FigureSpec(
        "Fluxes",
        "Distribution of fluxes",
        "All true sources, and those found at the working threshold.",
        _distribution,
    ),
    "sky": FigureSpec(
        "Sky",
        "Where sources are found and missed",
        "True sources, larger the brighter, and fakes at the working threshold. Galactic coordinates.",
        _sky,
    ),
}
