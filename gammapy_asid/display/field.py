# Licensed under a 3-clause BSD style license - see LICENSE
"""The picture of a field with its sources."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D

from .field_image import field_image, own_counts_image, score_image
from .labels import place_labels
from .style import COLOURS, IMAGE_MAP, SCORE_MAP, class_style, outlined

__all__ = ["plot_field", "plot_score_map"]

#: Ticks of a colour bar of significance.
SIGNIFICANCES = (0, 1, 2, 3, 5, 10, 20, 40, 80, 160)
#: Height of a label over that of the colour bar.
LABEL_HEIGHT = 0.05

#: Of more sources than this none is named: their rings fill the picture.
MAX_LABELS = 80

#: Inches of the longer side of the sky.
SIDE = 7.5


def plot_field(sources, dataset=None, ax=None, catalog=None):
    """Sources on the picture of their field.

    Rings mark the sources, coloured by score or class where they have one; ellipses inside are the 95 %
    errors, dashed circles the widths of sources that are probably extended.

    Parameters
    ----------
    sources : `~gammapy_asid.Candidates` or another table of sources of this package
        Sources.
    dataset : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`, optional
        Data of the field: the significance of the counts above 1 GeV is shown, of all with the pixels of the
        first; smoothed counts where no background is known. By default the counts that come with candidates,
        or their score map.
    ax : `~astropy.visualization.wcsaxes.WCSAxes`, optional
        Axes to draw on.
    catalog : `~gammapy.catalog.SourceCatalog` or `~astropy.coordinates.SkyCoord`, optional
        Known sources to mark with crosses, those of a catalogue with their names.

    Returns
    -------
    ax : `~astropy.visualization.wcsaxes.WCSAxes`
        Axes.

    Raises
    ------
    ValueError
        If there is no dataset, and no map among those of the sources.
    """
    shown = _own_image(sources) if dataset is None else field_image(dataset)
    ax = _new_axes(shown.image) if ax is None else ax
    _draw_image(ax, shown)
    handles, points, texts = _mark_sources(ax, sources)
    colours = ["black"] * len(texts)
    if catalog is not None:
        known, names = _known_sources(ax, catalog)
        handles.append(
            ax.scatter(*known.T, marker="x", s=34, color=COLOURS[1], lw=1.2, label=_catalog_label(catalog))
        )
        points, texts = np.vstack([points, known]), texts + names
        colours += [COLOURS[1]] * len(names)
    ax.set_title(_title(sources, dataset, shown), fontsize=10)
    if handles:
        style = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.11), "ncols": 4, "fontsize": 8}
        ax.legend(handles=handles, frameon=False, **style)
    if len(sources) <= MAX_LABELS:
        place_labels(ax, points, texts, colours)
    return ax


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
    shown = score_image(candidates)
    ax = _new_axes(shown.image) if ax is None else ax
    _draw_image(ax, shown)
    ax.set_title(_title(candidates, None, shown), fontsize=10)
    return ax


def _own_image(sources):
    """Image of the maps that come with sources."""
    maps = getattr(sources, "maps", {})
    if "counts" in maps:
        return own_counts_image(sources)
    if "score" not in maps:
        raise ValueError(f"{type(sources).__name__} without maps: give the dataset to draw on")
    return score_image(sources)


def _new_axes(image):
    ny, nx = image.geom.data_shape[-2:]
    scale = SIDE / max(nx, ny)
    width, height = max(nx * scale, 4.5), max(ny * scale, 2.5)
    figure = plt.figure(figsize=(width + 2.6, height + 1.4), layout="constrained")
    ax = figure.add_subplot(projection=image.geom.wcs)
    ax.set(xlim=(-0.5, nx - 0.5), ylim=(-0.5, ny - 0.5))
    return ax


def _draw_image(ax, shown):
    """Draw an image with its colour bar."""
    is_score = shown.kind == "score"
    low, high = shown.limits
    stretch = "sqrt" if shown.kind == "counts" else "linear"
    shown.image.plot(ax=ax, cmap=IMAGE_MAP, stretch=stretch, vmin=low, vmax=high)
    bar = ax.figure.colorbar(
        ax.images[-1], ax=ax, label=shown.label, shrink=0.8, pad=0.02, extend="neither" if is_score else "max"
    )
    bar.formatter.set_useOffset(False)
    if shown.kind == "significance":
        ticks = _apart([own for own in SIGNIFICANCES if low <= own <= high], ax.images[-1].norm)
        bar.set_ticks(ticks, labels=[f"{own} σ" for own in ticks])


def _apart(ticks, norm):
    """Ticks whose labels do not touch on the colour bar."""
    kept = []
    for tick in ticks:
        if not kept or norm(tick) - norm(kept[-1]) >= LABEL_HEIGHT:
            kept.append(tick)
    return kept


def _pixels(ax, positions):
    """Places in pixels, shape ``(n, 2)``."""
    return np.column_stack(ax.wcs.world_to_pixel(positions)).reshape(-1, 2)


def _mark_sources(ax, sources):
    """Mark sources; what the legend shows, their places in pixels, and their names."""
    table = sources.own_table
    points = _pixels(ax, sources.positions)
    handles = [_rings(ax, sources, table, points)] if "source_class" not in table.colnames else []
    if not handles:
        handles = _class_marks(ax, table, points)
    if "semi_major_95" in table.colnames:
        for region in sources.to_regions():
            region.to_pixel(ax.wcs).plot(ax=ax, color="k", lw=0.7)
        handles.append(
            Line2D([], [], marker="o", mfc="none", mec="k", ms=5, ls="", mew=0.7, label="95 % error")
        )
    handles += _widths(ax, sources, table)
    if "name" not in table.colnames:
        return handles, points, [str(own) for own in table["id"]]
    return handles, points, [str(name).removeprefix("ASID ") for name in table["name"]]


def _rings(ax, sources, table, points):
    """Rings around sources, coloured by score where they have one."""
    style = {"s": 130, "facecolors": "none", "linewidths": 1.6, "label": "source"}
    if "score" not in table.colnames or not np.isfinite(np.asarray(table["score"])).any():
        rings = ax.scatter(*points.T, edgecolors=COLOURS[0], **style)
    else:
        threshold = getattr(sources, "meta", {}).get("threshold", 0)
        colours = ScalarMappable(Normalize(threshold, 1), SCORE_MAP)
        style["label"] = "candidate, coloured by score"
        rings = ax.scatter(*points.T, edgecolors=colours.to_rgba(table["score"]), **style)
        ax.figure.colorbar(colours, ax=ax, label="Score: probability to be real", shrink=0.8, pad=0.02)
    rings.set_path_effects(outlined(3))
    return rings


def _class_marks(ax, table, points):
    """Marks of each class; sources without one have grey rings."""
    classes = np.array([str(name) or "no class" for name in table["source_class"]])
    marks = []
    for name, style in class_style(sorted(set(classes) - {"no class"})).items():
        marks.append(_marks(ax, points[classes == name], name, style["color"], style["marker"]))
    if (classes == "no class").any():
        marks.append(_marks(ax, points[classes == "no class"], "no class", "0.4", "o"))
    return marks


def _marks(ax, points, name, colour, marker):
    label = f"{name} ({len(points)})"
    mark = ax.scatter(
        *points.T, s=110, facecolors="none", edgecolors=colour, marker=marker, lw=1.6, label=label
    )
    mark.set_path_effects(outlined(3))
    return mark


def _widths(ax, sources, table):
    """Circles of the widths of sources that are probably extended."""
    if "extended_prob" not in table.colnames:
        return []
    wide = np.flatnonzero(np.asarray(table["extended_prob"]) > 0.5)
    points = _pixels(ax, sources.positions[wide])
    pixel = np.abs(ax.wcs.proj_plane_pixel_scales()[0]).to_value("deg")
    for place, width in zip(points, table["ext_sigma"][wide].to_value("deg"), strict=True):
        if np.isfinite(width):
            ax.add_patch(plt.Circle(place, width / pixel, fill=False, ls="--", lw=1.2, color=COLOURS[3]))
    line = Line2D([], [], marker="o", mfc="none", mec=COLOURS[3], ms=9, ls="", label="width if extended")
    return [line] if len(wide) else []


def _known_sources(ax, catalog):
    """Places in pixels and names of known sources inside the axes."""
    positions = getattr(catalog, "positions", catalog)
    points = _pixels(ax, positions.reshape(-1))
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    with np.errstate(invalid="ignore"):
        inside = (points[:, 0] > x0) & (points[:, 0] < x1) & (points[:, 1] > y0) & (points[:, 1] < y1)
    names = [""] * len(points)
    if hasattr(catalog, "source_name"):
        names = [catalog.source_name(i) for i in range(len(points))]
    return points[inside], [name for name, own in zip(names, inside, strict=True) if own]


def _catalog_label(catalog):
    return f"known source ({catalog.tag})" if hasattr(catalog, "tag") else "known source"


def _title(sources, dataset, shown):
    """What the picture shows, in one line."""
    parts = [sources.summary]
    names = [d.name for d in ([dataset] if hasattr(dataset, "counts") else dataset or ())]
    if len(names) == 1:
        parts.append(f"dataset {names[0]}")
    elif names:
        parts.append(f"{len(names)} datasets")
    if shown.energy_range is not None:
        parts.append("{:g}–{:g} GeV".format(*shown.energy_range))
    return ", ".join(parts)
