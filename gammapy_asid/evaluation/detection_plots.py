# Licensed under a 3-clause BSD style license - see LICENSE
"""Plots of what is found: purity, completeness, thresholds and scores."""

import numpy as np

from ..learning.score_calibration import expected_calibration_error, reliability
from .drawing import current_axes
from .metrics import binned_fraction, binomial_interval
from .thresholds import separation_curve
from .truth import FLUX_4FGL

__all__ = [
    "plot_flux_distribution",
    "plot_found_again",
    "plot_fraction",
    "plot_latitude",
    "plot_purity_recall",
    "plot_reliability",
    "plot_separation",
    "plot_threshold",
]


def plot_fraction(flux, success, edges, ax=None, flux_limit=FLUX_4FGL, shift=0.0, **kwargs):
    """Purity or completeness against flux with binomial intervals.

    Parameters
    ----------
    flux : array-like
        1-100 GeV flux in cm-2 s-1 of true sources (for the completeness) or of
        candidates (for the purity), shape ``(n,)``.
    success : array-like of bool
        Whether it was found, or is real.
    edges : array-like
        Bin edges in cm-2 s-1.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    flux_limit : float, optional
        Threshold of a catalogue, drawn as a line; None for no line.
    shift : float
        Shift of the points from the middle of their bins, in bin widths, to draw several beside one another.
    **kwargs : dict
        Passed to `~matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax, edges = current_axes(ax), np.asarray(edges, dtype=float)
    center = edges[:-1] ** (0.5 - shift) * edges[1:] ** (0.5 + shift)
    _plot_intervals(ax, binned_fraction(flux, success, edges), edges, center, kwargs)
    _draw_limit(ax, flux_limit)
    ax.set(xscale="log", xlabel="Flux 1-100 GeV [cm$^{-2}$ s$^{-1}$]", ylim=(-0.03, 1.03))
    return ax


def plot_reliability(score, is_matched, n_bins=15, ax=None, **kwargs):
    """Matched fraction against score, with the expected calibration error.

    Parameters
    ----------
    score, is_matched, n_bins
        See `~gammapy_asid.learning.score_calibration.reliability`.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    **kwargs : dict
        Passed to `~matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax = current_axes(ax)
    mean_score, fraction, number = reliability(score, is_matched, n_bins)
    _, low, high = binomial_interval(np.round(fraction * number).astype(int), number)
    error = expected_calibration_error(score, is_matched, n_bins)
    kwargs = {
        "marker": "o",
        "markersize": 4,
        "capsize": 2,
        "label": f"calibration error {error:.3f}",
    } | kwargs
    ax.plot([0, 1], [0, 1], color="0.5", linestyle="--", linewidth=1)
    ax.errorbar(mean_score, fraction, yerr=np.maximum([fraction - low, high - fraction], 0), **kwargs)
    ax.set(xlabel="Score", ylabel="Fraction of real sources", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.legend(loc="upper left")
    return ax


def plot_purity_recall(curves, ax=None):
    """Purity against recall of several methods.

    Parameters
    ----------
    curves : dict of str to `~gammapy_asid.evaluation.metrics.PurityRecall`
        Curves by label; a pair of recall and purity instead of a curve is drawn as a point.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax = current_axes(ax)
    for label, curve in curves.items():
        if isinstance(curve, tuple):
            ax.plot(*curve, marker="*", markersize=10, linestyle="none", label=label)
        else:
            ax.plot(curve.recall, curve.purity, label=label)
    ax.set(xlabel="Recall", ylabel="Purity", xlim=(0, 1), ylim=(0, 1.02))
    ax.legend(loc="lower left")
    return ax


def plot_latitude(lat, success, edges, ax=None, shift=0.0, **kwargs):
    """Purity or completeness against the absolute value of the latitude, with binomial intervals.

    Parameters
    ----------
    lat : array-like
        Galactic latitude in deg of true sources or of candidates, shape ``(n,)``.
    success : array-like of bool
        Whether it was found, or is real.
    edges : array-like
        Bin edges in deg.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    shift : float
        Shift of the points from the middle of their bins, in bin widths.
    **kwargs : dict
        Passed to `~matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax, edges = current_axes(ax), np.asarray(edges, dtype=float)
    center = (edges[:-1] + edges[1:]) / 2 + shift * np.diff(edges)
    _plot_intervals(ax, binned_fraction(np.abs(lat), success, edges), edges, center, kwargs)
    ax.set(xlabel="|b| [deg]", ylim=(-0.03, 1.03))
    return ax


def plot_separation(distance, is_separated, edges, ax=None, **kwargs):
    """Probability that two neighbours are found as two, against their distance.

    Parameters
    ----------
    distance, is_separated, edges
        See `~gammapy_asid.evaluation.separation_curve`.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    **kwargs : dict
        Passed to `~matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax, edges = current_axes(ax), np.asarray(edges, dtype=float)
    center = (edges[:-1] + edges[1:]) / 2
    _plot_intervals(ax, separation_curve(distance, is_separated, edges), edges, center, kwargs)
    ax.set(xlabel="Distance of the pair [deg]", ylabel="Probability that both are found", ylim=(-0.03, 1.03))
    return ax


def plot_found_again(flux, found, again, edges, ax=None, **kwargs):
    """Share of the sources found in one case that another finds as well, against flux.

    Parameters
    ----------
    flux : array-like
        1-100 GeV flux of true sources in cm-2 s-1, shape ``(n_true,)``.
    found, again : array-like of bool
        Which of them the first and the second case find.
    edges : array-like
        Bin edges in cm-2 s-1.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    **kwargs : dict
        Passed to `plot_fraction`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    found = np.asarray(found, dtype=bool)
    ax = plot_fraction(np.asarray(flux)[found], np.asarray(again)[found], edges, ax=ax, **kwargs)
    ax.set_ylabel("Share found again")
    return ax


def plot_threshold(curves, ax=None, marks=None):
    """Faint sources gained against fakes as the threshold goes down.

    Parameters
    ----------
    curves : dict of str to `~gammapy_asid.evaluation.ThresholdCurve`
        Curves by label.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    marks : dict of str to float, optional
        Threshold of each curve at which a dot is drawn.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax = current_axes(ax)
    for label, curve in curves.items():
        # Every curve starts with an empty list
        fakes, gained = np.append(0, curve.fakes), np.append(0, curve.gained)
        (line,) = ax.plot(fakes, gained, drawstyle="steps-post", label=label)
        if marks and label in marks:
            gained, fakes = curve.at_threshold(marks[label])
            ax.plot(fakes, gained, "o", color=line.get_color(), markersize=6, zorder=3)
    ax.set(xlabel="Fakes", ylabel="Sources gained", ylim=(0, None))
    ax.set_xscale("symlog", linthresh=10)
    ax.set_xlim(0, None)
    ax.legend(loc="upper left")
    return ax


def plot_flux_distribution(flux, found, edges, ax=None, flux_limit=FLUX_4FGL):
    """Numbers of all true sources and of those found, in bins of flux.

    Parameters
    ----------
    flux : array-like
        True flux in cm-2 s-1, shape ``(n_true,)``.
    found : dict of str to array-like of bool
        Which of them are found, by label.
    edges : array-like
        Bin edges in cm-2 s-1.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    flux_limit : float, optional
        Threshold of a catalogue, drawn as a line; None for no line.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax, flux = current_axes(ax), np.asarray(flux, dtype=float)
    ax.stairs(np.histogram(flux, edges)[0], edges, fill=True, color="0.85", label="all true sources")
    for label, own in found.items():
        ax.stairs(np.histogram(flux[own], edges)[0], edges, linewidth=1.6, label=label)
    _draw_limit(ax, flux_limit)
    ax.set(xscale="log", xlabel="Flux 1-100 GeV [cm$^{-2}$ s$^{-1}$]", ylabel="Sources in the bin")
    ax.legend()
    return ax


def _plot_intervals(ax, intervals, edges, center, kwargs):
    """Fractions with their intervals in bins."""
    fraction, low, high = intervals
    kwargs = {"marker": "o", "markersize": 4, "linestyle": "none", "capsize": 2} | kwargs
    xerr, yerr = [center - edges[:-1], edges[1:] - center], np.maximum([fraction - low, high - fraction], 0)
    ax.errorbar(center, fraction, xerr=xerr, yerr=yerr, **kwargs)


def _draw_limit(ax, flux_limit):
    """Threshold of the catalogue as a line, once."""
    if flux_limit is not None and not any(line.get_gid() == "flux_limit" for line in ax.lines):
        ax.axvline(
            flux_limit, color="0.5", linestyle="--", linewidth=1, label="4FGL-DR4 threshold", gid="flux_limit"
        )
