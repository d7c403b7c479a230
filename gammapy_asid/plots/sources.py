# Licensed under a 3-clause BSD style license - see LICENSE
"""Pictures of classified sources: sky, spectrum, light curve and probabilities of each."""

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np

from ..catalog.light_curves import SourceLightCurves
from ..display.field_image import counts_image
from ..display.style import COLOURS, class_style, plain_ticks, say
from .light_curves import MAX_ROWS, plot_light_curve
from .spectra import has_level, spectrum_label

__all__ = ["plot_classified"]

#: Side of the cut-outs: more than twice the 68 % radius of the PSF of the LAT at 1 GeV to each side.
CUTOUT = 2 * u.deg

#: Lowest part of the range of a spectrum that is drawn.
DYNAMIC = 1e-5

#: Columns of the probabilities, the classes that they are of, and what they are given.
PROBABILITIES = {
    "real_prob": ("FAKE", "real"),
    "prob_agn": ("AGN", "AGN"),
    "prob_psr": ("PSR", "PSR"),
    "prob_pwn_snr": ("PWN-SNR", "PWN-SNR"),
    "prob_fsrq": ("FSRQ", "FSRQ, if AGN"),
}


def plot_classified(candidates, datasets=None, light_curves=None):
    """A row of panels for each candidate: sky, spectrum, light curve and probabilities of its classes.

    Where there is nothing to draw the panel says so.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates, at most 40: choose some of a longer list.
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`, optional
        Data: the counts above 1 GeV are shown around each candidate, of all with the pixels of the first.
    light_curves : `~gammapy_asid.catalog.light_curves.SourceLightCurves`, list or dict, optional
        Light curves of these candidates by their names, or a list of `~gammapy.estimators.FluxPoints` with a
        time axis in their order, None where there is none; or a dict of them by name.

    Returns
    -------
    figure : `~matplotlib.figure.Figure`
        Figure.

    Raises
    ------
    ValueError
        If there is no candidate or there are too many, or the light curves are as many others.
    """
    if not 0 < len(candidates) <= MAX_ROWS:
        raise ValueError(
            f"{len(candidates)} candidates: a picture has 1 to {MAX_ROWS} rows, choose some, such as "
            f"candidates[:{MAX_ROWS}]"
        )
    curves = _light_curves_of(light_curves, list(candidates.table["name"]))
    image = None if datasets is None else counts_image(datasets)
    # Inches of a row of panels
    figure = plt.figure(figsize=(14, 2.5 * len(candidates)), layout="constrained")
    grid = figure.add_gridspec(len(candidates), 4, width_ratios=[2.2, 3.4, 3.8, 2.2])
    sources, models = candidates.to_catalog(), candidates.to_models()
    for i, (source, model, curve) in enumerate(zip(sources, models, curves, strict=True)):
        _sky(figure, grid[i, 0], image, candidates, i)
        _spectrum(figure.add_subplot(grid[i, 1]), source, model.spectral_model)
        ax = figure.add_subplot(grid[i, 2])
        say(ax, "No light curve") if curve is None else plot_light_curve(curve, ax)
        _probabilities(figure.add_subplot(grid[i, 3]), candidates.table[i])
    return figure


def _light_curves_of(light_curves, names):
    """Light curve of each name, None where there is none."""
    if light_curves is None:
        return [None] * len(names)
    if isinstance(light_curves, SourceLightCurves):
        own = set(light_curves.table["name"])
        return [light_curves.flux_points(name) if name in own else None for name in names]
    if isinstance(light_curves, dict):
        return [light_curves.get(name) for name in names]
    if len(light_curves) != len(names):
        raise ValueError(
            f"{len(light_curves)} light curves for {len(names)} candidates: give one of each, or None"
        )
    return list(light_curves)


def _sky(figure, place, image, candidates, i):
    """Counts around a candidate, with its 95 % ellipse and its neighbours."""
    position, name = candidates.positions[i], str(candidates.table["name"][i]).removeprefix("ASID ")
    if image is None or image.geom.is_hpx or not image.geom.contains(position)[0]:
        ax = figure.add_subplot(place)
        say(ax, "No image of the sky")
        ax.set_title(name, fontsize=9)
        return
    part = image.cutout(position, CUTOUT, mode="trim")
    ax = figure.add_subplot(place, projection=part.geom.wcs)
    # A bright neighbour must not hide the source
    top = np.nanmax(image.cutout(position, CUTOUT / 4, mode="trim").data)
    ax.imshow(part.data, origin="lower", cmap="gray_r", vmin=0, vmax=1.1 * top if top > 0 else 1)
    others = candidates.positions[np.arange(len(candidates)) != i]
    # In pixels: Astropy's axes can't draw an empty list of positions
    ax.plot(*part.geom.to_image().coord_to_pix(others), "+", color=COLOURS[0])
    # An ellipse of 95 %, or a point where the error is not known
    candidates[i : i + 1].to_regions()[0].to_pixel(ax.wcs).plot(ax=ax, color=COLOURS[1], lw=1)
    for coordinate in ax.coords:
        coordinate.set_ticklabel_visible(False)
        coordinate.set_ticks_visible(False)
        coordinate.set_axislabel("")
    ax.set(xlim=(-0.5, part.data.shape[1] - 0.5), ylim=(-0.5, part.data.shape[0] - 0.5))
    ax.text(0.03, 0.03, f"{CUTOUT:.0f}", transform=ax.transAxes, fontsize=7)
    ax.set_title(name, fontsize=9)


def _spectrum(ax, source, spectrum):
    """Fluxes of the bands and the spectrum that belongs to the class or was fitted."""
    try:
        points = source.flux_points
    except ValueError:
        say(ax, "No fluxes in bands")
        return
    ax.yaxis.set_units(u.Unit("erg cm-2 s-1"))
    points.plot(ax, sed_type="e2dnde", color="k", capsize=2)
    if ax.get_legend() is not None:
        ax.get_legend().remove()
    edges = points.energy_min[0], points.energy_max[-1]
    bottom, top = ax.get_ylim()
    if has_level(source):
        of_class = str(source.data.get("Source_Class", ""))
        colour = class_style([of_class])[of_class]["color"] if of_class else "0.5"
        energy = np.geomspace(*edges, 100)
        values = (energy**2 * spectrum(energy)).to_value(ax.yaxis.units)
        label = spectrum_label(source, spectrum)
        ax.plot(energy.to_value(ax.xaxis.units), values, color=colour, label=label)
        ax.legend(fontsize=7, loc="lower left")
        top = max(top, values.max())
    # What lies far below all points, such as the limits of a bright pulsar, would hide the rest
    ax.set_ylim(max(bottom / 3, 3 * DYNAMIC * top), 3 * top)
    ax.set_ylabel(r"$E^2\,dN/dE$ [erg cm$^{-2}$ s$^{-1}$]")
    ax.set_title("")
    plain_ticks(ax.xaxis, (1, 3) if edges[1] / edges[0] < 1000 else (1,))


def _probabilities(ax, row):
    """Probabilities of the classes as bars."""
    there = {
        name: own for name, own in PROBABILITIES.items() if name in row.colnames and np.isfinite(row[name])
    }
    if not there:
        say(ax, "No class")
        return
    styles = class_style([name for name, _ in there.values()])
    places = np.arange(len(there))[::-1]
    colours = [styles[name]["color"] for name, _ in there.values()]
    values = [float(row[name]) for name in there]
    bars = ax.barh(places, values, color=colours)
    # FSRQ or BL Lac is no question of what is no AGN
    for bar, (_, label) in zip(bars, there.values(), strict=True):
        bar.set_alpha(0.3 if label == "FSRQ, if AGN" and row["prob_agn"] < 0.5 else 1.0)
    for place, value in zip(places, values, strict=True):
        ax.text(1.02, place, f"{value:.2f}", va="center", fontsize=8)
    ax.set(xlim=(0, 1), yticks=places, yticklabels=[label for _, label in there.values()])
    ax.set(xlabel="Probability", title=str(row["source_class"]))
