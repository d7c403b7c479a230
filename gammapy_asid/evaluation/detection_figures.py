# Licensed under a 3-clause BSD style license - see LICENSE
"""Figures of what is found, for the page of an evaluation."""

import numpy as np

from .detection_plots import (
    plot_fraction,
    plot_latitude,
    plot_purity_recall,
    plot_reliability,
    plot_threshold,
)
from .drawing import FigureSpec, beside, coloured, label_flux, panels
from .numbers import LATITUDE_EDGES, LATITUDE_RANGES

__all__ = ["DETECTION_FIGURES"]

#: Sources in a range of latitudes below which it gets no panel of its own.
MIN_SOURCES = 10


def _with_flux(evaluation):
    """Results that have fluxes of candidates."""
    return [(r, style) for r, style in beside(evaluation) if evaluation.candidate_flux(r) is not None]


def _by_flux(evaluation, axes, latitude=(0, 90)):
    """Completeness and purity against flux in a range of latitudes on two axes."""
    limit = evaluation.flux_limit
    inside = _in_range(evaluation.truth.lat, latitude)
    for result, style in beside(evaluation):
        flux, found = evaluation.truth.flux[inside], result.found[inside]
        plot_fraction(flux, found, evaluation.edges, ax=axes[0], flux_limit=limit, **style)
    for result, style in _with_flux(evaluation):
        kept = result.kept & _in_range(result.candidates.lat, latitude)
        flux, real = evaluation.candidate_flux(result)[kept], result.matches.is_matched[kept]
        plot_fraction(flux, real, evaluation.edges, ax=axes[1], flux_limit=limit, **style)
    axes[0].set_ylabel("Completeness")
    axes[1].set_ylabel("Purity")
    label_flux(axes[0], evaluation)
    label_flux(axes[1], evaluation, "Measured flux")
    for ax in axes:
        ax.set(xscale="log", xlim=(evaluation.edges[0], evaluation.edges[-1]), ylim=(-0.03, 1.03))
    if not _with_flux(evaluation):
        axes[1].text(
            0.5, 0.5, "no list has fluxes", transform=axes[1].transAxes, ha="center", color="0.5", va="center"
        )


def _in_range(lat, latitude):
    return (np.abs(lat) >= latitude[0]) & (np.abs(lat) <= latitude[1])


def _draw_flux(evaluation):
    """Completeness and purity against flux."""
    figure, axes = panels()
    _by_flux(evaluation, axes[0])
    axes[0, 0].set_title("Completeness")
    axes[0, 1].set_title("Purity")
    axes[0, 0].legend(loc="lower right")
    return figure


def _draw_latitude(evaluation):
    """Completeness and purity against latitude."""
    figure, ((left, right),) = panels()
    for result, style in beside(evaluation):
        plot_latitude(evaluation.truth.lat, result.found, LATITUDE_EDGES, ax=left, **style)
        kept = result.kept
        plot_latitude(
            result.candidates.lat[kept], result.matches.is_matched[kept], LATITUDE_EDGES, ax=right, **style
        )
    left.set(title="Completeness", ylabel="Completeness")
    right.set(title="Purity", ylabel="Purity")
    left.legend(loc="lower right")
    return figure


def _draw_flux_by_latitude(evaluation):
    """Completeness and purity against flux in ranges of latitude; None for fewer than two."""
    ranges = [r for r in LATITUDE_RANGES if np.sum(_in_range(evaluation.truth.lat, r)) >= MIN_SOURCES]
    if len(ranges) < 2:
        return None
    figure, axes = panels(2, len(ranges), (9.8 / len(ranges), 3.1), sharey=True)
    for column, latitude in zip(axes.T, ranges, strict=True):
        _by_flux(evaluation, column, latitude=latitude)
        column[0].set_title(f"{latitude[0]:g} < |b| < {latitude[1]:g} deg")
    for ax in axes[:, 1:].ravel():
        ax.set_ylabel("")
    axes[0, -1].legend(loc="lower right")
    return figure


def _draw_purity_recall(evaluation):
    """Purity against recall in both matchings."""
    figure, ((left, right),) = panels()
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
    for result, style in coloured(evaluation):
        purity, recall = result.curve.at_threshold(result.threshold)
        left.plot(recall, purity, "o", color=style["color"], markersize=6)
    return figure


def _draw_faint(evaluation):
    """Faint sources gained against fakes."""
    figure, ((ax,),) = panels(columns=1, size=(5, 4.1))
    curves = {result.label: result.faint for result in evaluation.results}
    plot_threshold(curves, ax=ax, marks={result.label: result.threshold for result in evaluation.results})
    low, high = evaluation.settings["faint"]
    number = evaluation.results[0].faint.n_true
    below = f"{low:.3g} to {high:.3g}" if low > 0 else f"below {high:.3g}"
    ax.set_ylim(0, 1.25 * max(1, *(curve.gained.max(initial=0) for curve in curves.values())))
    ax.set_title(f"{number} true sources {below} cm$^{{-2}}$ s$^{{-1}}$")
    ax.set(xlabel="Fakes at or above the threshold", ylabel="Faint sources gained")
    return figure


def _draw_reliability(evaluation):
    """Share of real candidates against score; None without probabilities."""
    shown = [(r, style) for r, style in coloured(evaluation) if r.candidates.is_probability]
    if not shown:
        return None
    figure, ((ax,),) = panels(columns=1, size=(5, 4.4))
    for result, style in shown:
        score, real = result.candidates.score, result.matches.is_matched
        error = result.calibration_error
        style = style | {"label": f"{result.label}, calibration error {error:.3f}"}
        plot_reliability(score, real, n_bins=int(np.clip(len(score) // 15, 3, 15)), ax=ax, **style)
    ax.set(title="Share of real candidates against score", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure


#: Figures of the page, in order.
DETECTION_FIGURES = {
    "flux": FigureSpec(
        "Purity and completeness",
        "Against flux",
        "Share of true sources found, and of candidates that are real, with 68 % binomial intervals. "
        "Both at the working threshold.",
        _draw_flux,
        wide=True,
    ),
    "latitude": FigureSpec(
        "Purity and completeness",
        "Against Galactic latitude",
        "The same against the absolute value of the latitude, for sources of all fluxes.",
        _draw_latitude,
        wide=True,
    ),
    "flux_by_latitude": FigureSpec(
        "Purity and completeness",
        "Against flux, by latitude",
        "Completeness (top) and purity (bottom) in ranges of latitude.",
        _draw_flux_by_latitude,
        "Fewer than two ranges of latitude hold ten true sources.",
        wide=True,
    ),
    "purity_recall": FigureSpec(
        "Precision and recall",
        "All thresholds",
        "Published matching: in order of decreasing score each candidate claims the brightest source left "
        "within the radius. Optimal matching: as many pairs as possible at each threshold. Dots mark the "
        "working thresholds.",
        _draw_purity_recall,
        wide=True,
    ),
    "faint": FigureSpec(
        "Precision and recall",
        "Faint sources gained against fakes",
        "As the threshold goes down, faint true sources are gained, and fakes with them. "
        "Dots mark the working thresholds.",
        _draw_faint,
    ),
    "reliability": FigureSpec(
        "Precision and recall",
        "Reliability of the score",
        "Of candidates with a score of 0.8, four in five should be real. Bins hold equal numbers.",
        _draw_reliability,
        "No list has scores between 0 and 1.",
    ),
}
