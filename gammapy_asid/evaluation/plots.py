# Licensed under a 3-clause BSD style license - see LICENSE
"""Plots of detection quality."""

import numpy as np

from .calibration import expected_calibration_error, reliability
from .metrics import binned_fraction, binomial_interval
from .uncertainty import coverage_curve

__all__ = [
    "plot_binned",
    "plot_coverage",
    "plot_fraction",
    "plot_offset",
    "plot_purity_recall",
    "plot_reliability",
]

#: 1-100 GeV flux in cm-2 s-1 above which 90 % of the 4FGL-DR4 sources at |b| > 20 deg lie.
FLUX_4FGL = 8e-11


def _axes(ax):
    import matplotlib.pyplot as plt

    return plt.gca() if ax is None else ax


def plot_fraction(flux, success, edges, ax=None, flux_limit=FLUX_4FGL, **kwargs):
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
    **kwargs : dict
        Passed to `~matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax, edges = _axes(ax), np.asarray(edges, dtype=float)
    fraction, low, high = binned_fraction(flux, success, edges)
    center = np.sqrt(edges[:-1] * edges[1:])
    kwargs = {"marker": "o", "markersize": 4, "linestyle": "none", "capsize": 2} | kwargs
    xerr = np.stack([center - edges[:-1], edges[1:] - center])
    ax.errorbar(center, fraction, xerr=xerr, yerr=np.maximum([fraction - low, high - fraction], 0), **kwargs)
    if flux_limit is not None and not any(line.get_gid() == "flux_limit" for line in ax.lines):
        ax.axvline(
            flux_limit, color="0.5", linestyle="--", linewidth=1, label="4FGL-DR4 threshold", gid="flux_limit"
        )
    ax.set(xscale="log", xlabel="Flux 1-100 GeV [cm$^{-2}$ s$^{-1}$]", ylim=(-0.03, 1.03))
    return ax


def plot_reliability(score, is_matched, n_bins=15, ax=None, **kwargs):
    """Matched fraction against score, with the expected calibration error.

    Parameters
    ----------
    score, is_matched, n_bins
        See `~gammapy_asid.evaluation.calibration.reliability`.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    **kwargs : dict
        Passed to `~matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax = _axes(ax)
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
    ax = _axes(ax)
    for label, curve in curves.items():
        if isinstance(curve, tuple):
            ax.plot(*curve, marker="*", markersize=10, linestyle="none", label=label)
        else:
            ax.plot(curve.recall, curve.purity, label=label)
    ax.set(xlabel="Recall", ylabel="Purity", xlim=(0, 1), ylim=(0, 1.02))
    ax.legend(loc="lower left")
    return ax


def plot_offset(flux, separation, edges, ax=None, limit=None, **kwargs):
    """Offsets from the true position against flux: each of them, and their 68 % percentile.

    Parameters
    ----------
    flux : array-like
        True flux in cm-2 s-1 of the matched sources, shape ``(n,)``.
    separation : array-like
        Offsets in deg.
    edges : array-like
        Bin edges in cm-2 s-1 for the percentile.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    limit : array-like, optional
        Offset below which 68 % can lie at best, one for each bin, in deg.
    **kwargs : dict
        Passed to `~matplotlib.axes.Axes.plot` of the percentile.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax = _axes(ax)
    flux, separation, edges = (np.asarray(value, dtype=float) for value in (flux, separation, edges))
    center = np.sqrt(edges[:-1] * edges[1:])
    bins = np.digitize(flux, edges) - 1
    percentile = [
        np.percentile(separation[bins == i], 68) if np.any(bins == i) else np.nan for i in range(len(center))
    ]
    ax.plot(flux, separation, ".", markersize=2, color="0.7", rasterized=True)
    ax.plot(center, percentile, **({"marker": "o", "label": "68 %"} | kwargs))
    if limit is not None:
        ax.plot(center, limit, color="k", linestyle=":", label="68 %, information limit")
    ax.set(xscale="log", yscale="log", xlabel="Flux 1-100 GeV [cm$^{-2}$ s$^{-1}$]", ylabel="Offset [deg]")
    ax.legend(loc="upper right")
    return ax


def plot_binned(x, y, edges, ax=None, **kwargs):
    """Median and central 68 % of a quantity in bins of another.

    Parameters
    ----------
    x, y : array-like
        Quantities, shape ``(n,)``.
    edges : array-like
        Bin edges of `x`. Bins with fewer than five values are left out.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    **kwargs : dict
        Passed to `~matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax, x, y, edges = _axes(ax), np.asarray(x), np.asarray(y), np.asarray(edges, dtype=float)
    points = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        own = y[(x >= low) & (x < high)]
        if len(own) >= 5:
            points.append([np.sqrt(low * high), *np.quantile(own, [0.16, 0.5, 0.84])])
    center, low, middle, high = np.reshape(points, (-1, 4)).T
    kwargs = {"marker": "o", "markersize": 4, "capsize": 2} | kwargs
    ax.errorbar(center, middle, yerr=[middle - low, high - middle], **kwargs)
    return ax


def plot_coverage(pit, ax=None, **kwargs):
    """Share of truths inside the regions of a stated probability, against that probability.

    Parameters
    ----------
    pit : array-like
        Result of `~gammapy_asid.evaluation.uncertainty.probability_integral_transform`.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    **kwargs : dict
        Passed to `~matplotlib.axes.Axes.plot`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax, levels = _axes(ax), np.linspace(0, 1, 101)
    ax.plot(levels, coverage_curve(pit, levels), **kwargs)
    ax.plot([0, 1], [0, 1], "k--", lw=0.8)
    ax.set(xlabel="Stated probability", ylabel="Share of true values inside", xlim=(0, 1), ylim=(0, 1))
    return ax
