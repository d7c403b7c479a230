# Licensed under a 3-clause BSD style license - see LICENSE
"""Plots of detection quality."""

import numpy as np

from .calibration import expected_calibration_error, reliability
from .metrics import binned_fraction, binomial_interval
from .thresholds import separation_curve
from .uncertainty import coverage_curve

__all__ = [
    "plot_binned",
    "plot_coverage",
    "plot_flux_distribution",
    "plot_flux_recovery",
    "plot_found_again",
    "plot_fraction",
    "plot_latitude",
    "plot_offset",
    "plot_pull",
    "plot_purity_recall",
    "plot_reliability",
    "plot_separation",
    "plot_threshold",
]

#: 1-100 GeV flux in cm-2 s-1 above which 90 % of the 4FGL-DR4 sources at |b| > 20 deg lie.
FLUX_4FGL = 8e-11


def _axes(ax):
    import matplotlib.pyplot as plt

    return plt.gca() if ax is None else ax


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
    ax, edges = _axes(ax), np.asarray(edges, dtype=float)
    fraction, low, high = binned_fraction(flux, success, edges)
    center = edges[:-1] ** (0.5 - shift) * edges[1:] ** (0.5 + shift)
    kwargs = {"marker": "o", "markersize": 4, "linestyle": "none", "capsize": 2} | kwargs
    xerr = np.stack([center - edges[:-1], edges[1:] - center])
    ax.errorbar(center, fraction, xerr=xerr, yerr=np.maximum([fraction - low, high - fraction], 0), **kwargs)
    _draw_limit(ax, flux_limit)
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
    ax = _axes(ax)
    _plot_intervals(ax, binned_fraction(np.abs(lat), success, edges), edges, kwargs, shift)
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
    ax = _axes(ax)
    _plot_intervals(ax, separation_curve(distance, is_separated, edges), edges, kwargs)
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
    ax = _axes(ax)
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


def plot_flux_recovery(true, flux, errn=None, errp=None, ax=None, **kwargs):
    """Measured against true flux.

    Parameters
    ----------
    true, flux : array-like
        Fluxes in cm-2 s-1, shape ``(n,)``.
    errn, errp : array-like, optional
        Errors down and up.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    **kwargs : dict
        Passed to `~matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax, true, flux = _axes(ax), np.asarray(true, dtype=float), np.asarray(flux, dtype=float)
    yerr = None if errn is None or errp is None else np.maximum(np.nan_to_num([errn, errp]), 0)
    kwargs = {"marker": "o", "markersize": 3, "linestyle": "none", "elinewidth": 0.7, "alpha": 0.7} | kwargs
    ax.errorbar(true, flux, yerr=yerr, **kwargs)
    if len(true) and not any(line.get_gid() == "equal" for line in ax.lines):
        ax.axline(
            (true.min(), true.min()), (2 * true.max(), 2 * true.max()), color="0.3", lw=0.8, gid="equal"
        )
    ax.set(xscale="log", yscale="log")
    ax.set(xlabel="True flux [cm$^{-2}$ s$^{-1}$]", ylabel="Measured flux [cm$^{-2}$ s$^{-1}$]")
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
    ax, flux = _axes(ax), np.asarray(flux, dtype=float)
    ax.stairs(np.histogram(flux, edges)[0], edges, fill=True, color="0.85", label="all true sources")
    for label, own in found.items():
        ax.stairs(np.histogram(flux[own], edges)[0], edges, linewidth=1.6, label=label)
    _draw_limit(ax, flux_limit)
    ax.set(xscale="log", xlabel="Flux 1-100 GeV [cm$^{-2}$ s$^{-1}$]", ylabel="Sources in the bin")
    ax.legend()
    return ax


def plot_pull(pull, ax=None, **kwargs):
    """Distribution of deviations in units of their errors, beside a normal distribution.

    Parameters
    ----------
    pull : array-like
        Deviations over errors, shape ``(n,)``; those beyond 5 are drawn at 5.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    **kwargs : dict
        Passed to `~matplotlib.axes.Axes.stairs`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax, edges = _axes(ax), np.linspace(-5, 5, 26)
    number = np.histogram(np.clip(pull, -4.999, 4.999), edges)[0]
    ax.stairs(number / (max(1, len(pull)) * np.diff(edges)), edges, **({"linewidth": 1.6} | kwargs))
    if not any(line.get_gid() == "normal" for line in ax.lines):
        x = np.linspace(-5, 5, 201)
        ax.plot(
            x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), color="0.3", linestyle="--", lw=0.8, gid="normal"
        )
    ax.set(xlabel="(measured - true) / error", ylabel="Density", xlim=(-5, 5))
    return ax


def _plot_intervals(ax, intervals, edges, kwargs, shift=0.0):
    """Fractions with their intervals, in linear bins."""
    fraction, low, high = intervals
    edges = np.asarray(edges, dtype=float)
    center = (edges[:-1] + edges[1:]) / 2 + shift * np.diff(edges)
    kwargs = {"marker": "o", "markersize": 4, "linestyle": "none", "capsize": 2} | kwargs
    xerr, yerr = [center - edges[:-1], edges[1:] - center], np.maximum([fraction - low, high - fraction], 0)
    ax.errorbar(center, fraction, xerr=xerr, yerr=yerr, **kwargs)


def _draw_limit(ax, flux_limit):
    """Threshold of the catalogue as a line, once."""
    if flux_limit is not None and not any(line.get_gid() == "flux_limit" for line in ax.lines):
        ax.axvline(
            flux_limit, color="0.5", linestyle="--", linewidth=1, label="4FGL-DR4 threshold", gid="flux_limit"
        )
