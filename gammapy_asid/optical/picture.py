# Licensed under a 3-clause BSD style license - see LICENSE
"""A picture of an image with its sources, cosmic rays and trails."""

import matplotlib.pyplot as plt
import numpy as np
from astropy.visualization import AsinhStretch, ImageNormalize, ZScaleInterval
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ..display.style import COLOURS, IMAGE_MAP
from .images import read_image

__all__ = ["draw_sources"]

#: Colours that all kinds of sight tell apart (Okabe & Ito 2008), and marks that differ without them: of
#: stars, galaxies, artefacts, and sources without a class.
MARKS = {
    "star": ("x", COLOURS[0]),
    "galaxy": ("o", COLOURS[1]),
    "artefact": ("s", COLOURS[4]),
    "unknown": ("D", COLOURS[0]),
}
MASK_COLOURS = {"cosmic_ray": ("cosmic rays", COLOURS[3]), "trail": ("trails", COLOURS[2])}

#: What more than one is called.
PLURALS = {"star": "stars", "galaxy": "galaxies", "artefact": "artefacts", "unknown": "without a class"}

#: Longest side of the picture in its own pixels: a larger image is averaged in blocks.
LONGEST = 2000


def draw_sources(sources, image, ax=None):
    """Sources by class on their image, with the masks in colour.

    Parameters
    ----------
    sources : `~gammapy_asid.OpticalSources`
        Sources.
    image : str, path, `~astropy.nddata.CCDData` or `~numpy.ndarray`
        Their image.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw on.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.

    Raises
    ------
    ValueError
        If the masks are those of an image of another shape.
    """
    image = read_image(image)
    if sources.masks is not None and sources.masks.shape != tuple(image.shape):
        raise ValueError(
            f"The sources are those of an image of {sources.masks.shape} pixels, this one has {image.shape}"
        )
    ax = _new_axes(image) if ax is None else ax
    block = -(-max(image.shape) // LONGEST)
    data = _averaged(image, block)
    finite = data[np.isfinite(data)]
    low, high = ZScaleInterval().get_limits(finite) if finite.size else (0, 1)
    # The sky is grey and the brightest pixels are not all black: ten times the range of the sky
    norm = ImageNormalize(vmin=low, vmax=max(low + 10 * (high - low), low + 1e-30), stretch=AsinhStretch(0.1))
    ny, nx = (n * block for n in data.shape)
    place = {"extent": (-0.5, nx - 0.5, -0.5, ny - 0.5), "origin": "lower", "interpolation": "nearest"}
    shown = ax.imshow(data, cmap=IMAGE_MAP, norm=norm, **place)
    label = f"Pixel values [{image.unit}]" if image.unit else "Pixel values"
    bar = ax.figure.colorbar(shown, ax=ax, label=label, shrink=0.8, pad=0.02, extend="both")
    # Round numbers in equal steps: those of the scale itself crowd at its dark end
    bar.set_ticks(MaxNLocator(5).tick_values(norm.vmin, norm.vmax))
    bar.ax.set_ylim(norm.vmin, norm.vmax)
    handles = _draw_masks(ax, sources.masks, block, place)
    handles += _draw_marks(ax, sources)
    ax.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(-0.5, image.shape[0] - 0.5))
    ax.set_title(sources.summary, fontsize=10)
    if handles:
        style = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.1), "ncols": 3, "fontsize": 8}
        ax.legend(handles=handles, frameon=False, **style)
    return ax


def _new_axes(image):
    """Axes of the shape of an image, on the sky if it has a projection."""
    ny, nx = image.shape
    width = 9 * min(1, 1.3 * nx / ny)
    figure = plt.figure(figsize=(max(width, 4), np.clip(width * ny / nx, 2, 9) + 1), layout="constrained")
    if image.wcs is not None:
        ax = figure.add_subplot(projection=image.wcs)
        ax.coords[0].set_axislabel("Right ascension")
        ax.coords[1].set_axislabel("Declination")
        return ax
    ax = figure.add_subplot()
    ax.set(xlabel="x (pixels)", ylabel="y (pixels)")
    return ax


def _averaged(image, block):
    """Means of the valid pixels in blocks, NaN where there are none, read in strips of rows."""
    ny, nx = image.shape
    columns = -(-nx // block)
    strips = []
    for first in range(0, ny, 256 * block):
        rows = min(256 * block, ny - first)
        data, mask, _ = image.cut(slice(first, first + rows), slice(0, nx))
        pad = ((0, -rows % block), (0, -nx % block))
        valid = np.pad(~mask, pad).reshape(-1, block, columns, block)
        data = np.pad(np.where(mask, 0, data), pad).reshape(valid.shape)
        number = valid.sum((1, 3))
        strips.append(np.where(number > 0, data.sum((1, 3)) / np.maximum(number, 1), np.nan))
    return np.concatenate(strips)


def _draw_masks(ax, masks, block, place):
    """Cover masked pixels with a colour each, and return what the legend shows."""
    handles = []
    for name, (label, colour) in MASK_COLOURS.items() if masks is not None else ():
        mask = masks[name]
        if not mask.any():
            continue
        pad = [(0, -n % block) for n in mask.shape]
        mask = np.pad(mask, pad)
        ny, nx = mask.shape
        mask = mask.reshape(ny // block, block, nx // block, block).any((1, 3))
        colours = np.zeros((*mask.shape, 4))
        colours[mask] = to_rgba(colour, 0.8)
        ax.imshow(colours, **place)
        handles.append(Patch(color=colour, alpha=0.8, label=label))
    return handles


def _draw_marks(ax, sources):
    """Mark the sources by class, and return what the legend shows."""
    kinds, handles = sources.kinds, []
    x, y = (np.asarray(sources.table[name], float) for name in ("xcentroid", "ycentroid"))
    known = np.isfinite(x) & np.isfinite(y)
    # Marks shrink with the distance between sources, but can still be told apart
    size = float(np.clip(1600 / np.sqrt(max(len(sources), 1)), 9, 60))
    for kind, (marker, colour) in MARKS.items():
        rows = known & (kinds == kind)
        if not rows.any():
            continue
        # Only closed marks have a face
        paint = {"c": colour} if marker == "x" else {"facecolors": "none", "edgecolors": colour}
        ax.scatter(x[rows], y[rows], size, marker=marker, linewidths=0.8, **paint)
        label = "sources" if kind == "unknown" and kinds.size == rows.sum() else _called(kind, rows.sum())
        face = "none" if marker != "x" else colour
        style = {"marker": marker, "color": colour, "markerfacecolor": face, "linestyle": ""}
        handles.append(Line2D([], [], label=f"{rows.sum()} {label}", **style))
    return handles


def _called(kind, number):
    """Name of a kind, for one or for several."""
    return kind if number == 1 and kind != "unknown" else PLURALS[kind]
