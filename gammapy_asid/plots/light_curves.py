# Licensed under a 3-clause BSD style license - see LICENSE
"""Pictures of light curves."""

import matplotlib.pyplot as plt
import numpy as np
from gammapy.estimators import FluxPoints
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from ..catalog.light_curves import SourceLightCurves
from ..display.numbers import plain_tick
from ..display.style import COLOURS, say
from ..stats.variability import variability_index

__all__ = ["MAX_ROWS", "plot_light_curve", "plot_light_curves"]

#: A picture of more rows is too long to look at.
MAX_ROWS = 40


def plot_light_curves(light_curves, names=None):
    """Light curves below each other.

    Parameters
    ----------
    light_curves : `~gammapy_asid.catalog.light_curves.SourceLightCurves` or list
        Light curves, or a list of `~gammapy.estimators.FluxPoints` with a time axis, as
        `~gammapy.estimators.LightCurveEstimator` makes them; at most 40.
    names : str or sequence of str, optional
        Sources to draw of the former, all by default; of the latter the names of all.

    Returns
    -------
    figure : `~matplotlib.figure.Figure`
        Figure.

    Raises
    ------
    ValueError
        If there is no light curve or there are too many.
    """
    names = [names] if isinstance(names, str) else names
    if isinstance(light_curves, SourceLightCurves):
        names = list(light_curves.table["name"] if names is None else names)
        light_curves = [light_curves.flux_points(name) for name in names]
    names = [""] * len(light_curves) if names is None else names
    if not 0 < len(light_curves) <= MAX_ROWS:
        raise ValueError(f"{len(light_curves)} light curves: a picture has 1 to {MAX_ROWS}, choose some")
    figure = plt.figure(figsize=(7, 2.2 * len(light_curves)), layout="constrained")
    axes = figure.subplots(len(light_curves), squeeze=False)[:, 0]
    for ax, points, name in zip(axes, light_curves, names, strict=True):
        plot_light_curve(points, ax)
        ax.set_title(f"{name}   {ax.get_title()}" if name else ax.get_title(), fontsize=9)
    figure.legend(handles=_legend(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def plot_light_curve(points, ax):
    """Fluxes against time with their errors, limits as arrows, and the mean of the bins as a band.

    The title tells the variability index, see `~gammapy_asid.stats.variability.variability_index`.

    Parameters
    ----------
    points : `~gammapy.estimators.FluxPoints`
        Flux points with a time axis.
    ax : `~matplotlib.axes.Axes`
        Axes.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.

    Raises
    ------
    ValueError
        If the points have no time axis.
    """
    if not isinstance(points, FluxPoints) or "time" not in points.geom.axes.names:
        raise ValueError("A light curve is FluxPoints with a time axis, as LightCurveEstimator makes them")
    flux, error = (_by_time(m) for m in (points.flux, points.flux_err))
    edges = points.geom.axes["energy"].edges.to_value("GeV")
    title = f"{edges[0]:g}–{edges[-1]:g} GeV"
    known = np.isfinite(flux).any(axis=0).sum()
    if known == 0:
        say(ax, "No flux in any bin: outside the valid data")
        ax.set_title(title, fontsize=9)
        return ax
    points.plot(ax, sed_type="flux", axis_name="time", color=COLOURS[0], capsize=2)
    if len(flux) == 1:
        _mean_band(ax, flux[0], error[0])
    ax.get_legend().remove()
    ax.set_yscale("linear")
    ax.set_ylim(bottom=0)
    # More dates than this run into each other
    ax.xaxis.set_major_locator(AutoDateLocator(minticks=3, maxticks=8))
    ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))
    ax.tick_params("x", rotation=0)
    _plain_fluxes(ax)
    index = ", ".join(f"{value:.1f}" for value in variability_index(flux, error))
    ax.set_title(f"{title}, variability index {index} in {known} bins", fontsize=9)
    return ax


def _plain_fluxes(ax):
    """Fluxes as plain numbers: the power of ten is that of the unit."""
    power = int(np.floor(np.log10(ax.get_ylim()[1])))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: plain_tick(value / 10.0**power)))
    ax.set(xlabel="", ylabel=f"Flux [10$^{{{power}}}$ cm$^{{-2}}$ s$^{{-1}}$]")


def _legend():
    """What the marks are."""
    limit = {"marker": "v", "color": COLOURS[0], "ls": "", "label": "95 % upper limit"}
    return [
        Line2D([], [], marker="o", color=COLOURS[0], label="flux with 68 % error"),
        Line2D([], [], **limit),
        Patch(color="0.8", label="mean of the bins with its error"),
    ]


def _by_time(quantity):
    """Values of a map of flux points in cm-2 s-1, shape ``(n_energies, n_times)``."""
    energy, time = (quantity.geom.axes.index_data(name) for name in ("energy", "time"))
    values = np.moveaxis(quantity.quantity.to_value("cm-2 s-1"), (energy, time), (0, 1))
    return values.reshape(*values.shape[:2])


def _mean_band(ax, flux, error):
    """Mean of the bins: one weighted by the errors would be too low, for low fluxes have small errors."""
    known = np.isfinite(flux) & np.isfinite(error)
    if known.any():
        mean, own = flux[known].mean(), np.sqrt((error[known] ** 2).sum()) / known.sum()
        ax.axhspan(mean - own, mean + own, color="0.8", zorder=0)
        ax.axhline(mean, color="0.5", linewidth=1, zorder=0)
