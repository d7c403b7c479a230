# Licensed under a 3-clause BSD style license - see LICENSE
"""Plots of what is measured: positions, fluxes, sizes and their errors."""

import numpy as np

from ..learning.interval_calibration import coverage_curve
from .drawing import current_axes

__all__ = [
    "plot_binned",
    "plot_coverage",
    "plot_flux_recovery",
    "plot_offset",
    "plot_pull",
    "plot_size_recovery",
]


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
    ax = current_axes(ax)
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
    ax, x, y, edges = current_axes(ax), np.asarray(x), np.asarray(y), np.asarray(edges, dtype=float)
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
        Result of `~gammapy_asid.learning.interval_calibration.probability_integral_transform`.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    **kwargs : dict
        Passed to `~matplotlib.axes.Axes.plot`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax, levels = current_axes(ax), np.linspace(0, 1, 101)
    ax.plot(levels, coverage_curve(pit, levels), **kwargs)
    ax.plot([0, 1], [0, 1], "k--", lw=0.8)
    ax.set(xlabel="Stated probability", ylabel="Share of true values inside", xlim=(0, 1), ylim=(0, 1))
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
    ax, true, flux = current_axes(ax), np.asarray(true, dtype=float), np.asarray(flux, dtype=float)
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
    ax, edges = current_axes(ax), np.linspace(-5, 5, 26)
    number = np.histogram(np.clip(pull, -4.999, 4.999), edges)[0]
    ax.stairs(number / (max(1, len(pull)) * np.diff(edges)), edges, **({"linewidth": 1.6} | kwargs))
    if not any(line.get_gid() == "normal" for line in ax.lines):
        x = np.linspace(-5, 5, 201)
        ax.plot(
            x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), color="0.3", linestyle="--", lw=0.8, gid="normal"
        )
    ax.set(xlabel="(measured - true) / error", ylabel="Density", xlim=(-5, 5))
    return ax


def plot_size_recovery(size, quantiles, ax=None, edges=()):
    """Estimated against true sizes with their 68 % intervals.

    Parameters
    ----------
    size : `~numpy.ndarray`
        True size in deg, shape ``(n,)``.
    quantiles : `~numpy.ndarray`
        Lower end, median and upper end in deg, shape ``(n, 3)``.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    edges : sequence of float
        Sizes between the classes, drawn as lines.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax = current_axes(ax)
    low, middle, high = np.asarray(quantiles).T
    error = np.maximum([middle - low, high - middle], 0)
    ax.errorbar(size, middle, yerr=error, fmt=".", markersize=3, linewidth=0.6, alpha=0.6)
    span = [np.min(size) / 1.2, np.max(size) * 1.2]
    ax.plot(span, span, "k--", linewidth=1)
    for edge in edges:
        ax.axvline(edge, color="0.6", linestyle=":")
        ax.axhline(edge, color="0.6", linestyle=":")
    ax.set(xscale="log", yscale="log", xlabel="True size [deg]", ylabel="Estimated size [deg]", xlim=span)
    return ax
