# Licensed under a 3-clause BSD style license - see LICENSE
"""Pictures of fields and score maps."""

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from gammapy.datasets import Datasets
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.patheffects import withStroke
from matplotlib.ticker import NullFormatter

from ..likelihood.compare import disagreements

__all__ = ["plot_field", "plot_score_map", "plot_ts_against_score", "counts_image"]

#: Up to this many candidates get their names written beside them: more would overlap.
MAX_LABELS = 12

#: Test statistics below are drawn here, for a logarithmic axis has no zero.
SMALLEST_TS = 0.1

#: Counts below blur a picture of sources: the PSF is wider there.
PICTURE_E_MIN = 1 * u.GeV


def plot_field(candidates, dataset=None, ax=None, catalog=None):
    """Candidates on the smoothed counts of their field.

    Rings mark the candidates, coloured by score; inner circles are the 95 % errors.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.
    dataset : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`, optional
        Data of the field: the counts above 1 GeV are shown, of all with the pixels of the first. By default
        the score map of the candidates.
    ax : `~astropy.visualization.wcsaxes.WCSAxes`, optional
        Axes to draw on.
    catalog : `~gammapy.catalog.SourceCatalog` or `~astropy.coordinates.SkyCoord`, optional
        Known sources to mark with crosses.

    Returns
    -------
    ax : `~astropy.visualization.wcsaxes.WCSAxes`
        Axes.
    """
    if dataset is None:
        return _plot_candidates(plot_score_map(candidates, ax), candidates, catalog)
    image = counts_image(dataset)
    ax = _new_axes(image) if ax is None else ax
    # A few bright pixels must not hide the field
    top = np.nanpercentile(image.data, 99.8)
    image.plot(ax=ax, cmap="gray_r", stretch="sqrt", vmin=np.nanpercentile(image.data, 1), vmax=top)
    return _plot_candidates(ax, candidates, catalog)


def plot_score_map(candidates, ax=None):
    """Score map of the network.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates with the map ``score``.
    ax : `~astropy.visualization.wcsaxes.WCSAxes`, optional
        Axes to draw on.

    Returns
    -------
    ax : `~astropy.visualization.wcsaxes.WCSAxes`
        Axes.

    Raises
    ------
    ValueError
        If the candidates have no score map.
    """
    if "score" not in candidates.maps:
        raise ValueError("The candidates have no map 'score': give a dataset to draw on")
    image = candidates.maps["score"]
    ax = _new_axes(image) if ax is None else ax
    image.plot(ax=ax, cmap="gray_r", stretch="linear", vmin=0, vmax=1)
    ax.figure.colorbar(ax.images[0], ax=ax, label="Probability of a source", shrink=0.8, pad=0.02)
    return ax


def plot_ts_against_score(candidates, score=0.9, ts=25.0, ax=None):
    """Test statistic of the likelihood against the score of the network.

    Candidates on which the two disagree, see `~gammapy_asid.likelihood.disagreements`, are drawn in red
    and named as far as there is room.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Fitted candidates.
    score, ts : float
        Limits from which the network and the likelihood are sure.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw on.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    table, differ = candidates.table, disagreements(candidates, score, ts)
    ax = plt.subplots(figsize=(6, 4.5))[1] if ax is None else ax
    # The scores of sure candidates crowd below 1: the logit spreads them
    others = ~np.isin(table["name"], differ["name"])
    for rows, colour, label in ((table[others], "C0", "agree"), (differ, "C3", "disagree")):
        ax.scatter(
            rows["score"], np.maximum(rows["ts"], SMALLEST_TS), s=14, c=colour, label=f"{label} ({len(rows)})"
        )
    if len(differ) <= MAX_LABELS:
        for row in differ:
            place = (row["score"], max(row["ts"], SMALLEST_TS))
            ax.annotate(row["name"], place, (3, 3), textcoords="offset points", fontsize=6)
    ax.axhline(ts, color="0.6", lw=0.8)
    ax.axvline(score, color="0.6", lw=0.8)
    ax.set(xscale="logit", yscale="log", xlabel="Score", ylabel="Test statistic")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.legend()
    return ax


def _new_axes(image):
    ny, nx = image.geom.data_shape[-2:]
    height = np.clip(8 * ny / nx, 4, 7)
    figure = plt.figure(figsize=(9.5, height + 0.5), layout="constrained")
    ax = figure.add_subplot(projection=image.geom.wcs)
    ax.set(xlim=(-0.5, nx - 0.5), ylim=(-0.5, ny - 0.5))
    return ax


def counts_image(datasets):
    """Counts above 1 GeV, or all where there are none, smoothed by about the PSF.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data: those with the pixels of the first are added, such as bins of time or types of events.

    Returns
    -------
    image : `~gammapy.maps.Map`
        Image.
    """
    first, *others = (_image(dataset) for dataset in Datasets(datasets))
    image = first.copy()
    for other in others:
        if other.geom == first.geom:
            image.data += other.data
    return image.smooth(0.1 * u.deg) if image.geom.is_image and not image.geom.is_hpx else image


def _image(dataset):
    axis = dataset.counts.geom.axes["energy"]
    first = np.searchsorted(axis.edges[:-1].to_value("GeV"), PICTURE_E_MIN.to_value("GeV") * 0.999)
    first = first if first < axis.nbin else 0
    return dataset.counts.slice_by_idx({"energy": slice(first, None)}).sum_over_axes(keepdims=False)


def _plot_candidates(ax, candidates, catalog):
    table, positions = candidates.table, candidates.positions
    transform = ax.get_transform("icrs")
    if catalog is not None:
        known = getattr(catalog, "positions", catalog).icrs
        style = {"marker": "x", "s": 30, "color": "tab:blue", "linewidths": 1, "label": "known"}
        ax.scatter(known.ra.deg, known.dec.deg, transform=transform, **style)
    colours = ScalarMappable(Normalize(candidates.meta.get("threshold", 0), 1), "autumn_r")
    ax.scatter(
        positions.ra.deg,
        positions.dec.deg,
        transform=transform,
        edgecolors=colours.to_rgba(table["score"]),
        facecolors="none",
        s=130,
        linewidths=1.6,
    )
    ax.figure.colorbar(colours, ax=ax, label="Score", shrink=0.8, pad=0.02)
    for region in candidates.to_regions():
        region.to_pixel(ax.wcs).plot(ax=ax, color="k", lw=0.6)
    if len(candidates) <= MAX_LABELS:
        for name, position in zip(table["name"], positions, strict=True):
            x, y = ax.wcs.world_to_pixel(position)
            label = name.removeprefix("ASID ")
            text = ax.annotate(
                label, (x, y), xytext=(7, 7), textcoords="offset points", fontsize=7, clip_on=True
            )
            text.set_path_effects([withStroke(linewidth=2, foreground="white")])
    if catalog is not None:
        ax.legend(loc="upper right", fontsize="small")
    return ax
