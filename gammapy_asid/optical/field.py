# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources placed in an image, and its parts with the sources in them."""

from dataclasses import dataclass

import numpy as np
import torch

from .batch import HALF, ImageBatch
from .fit.joint import joint_fit
from .flags import OpticalFlag
from .pixel_flags import pixel_flags
from .positions import add_sky, duplicates, given_table, pixel_positions
from .sources import OpticalSources

__all__ = ["FieldPart", "field_parts", "placed_sources"]

#: Side of the parts of an image, over which its point spread function is one, and how far they reach beyond
#: the sources that are kept of them: their stamps, and those of their neighbours.
TILE, OVERLAP = 512, 2 * HALF + 8

#: Flags of sources of which nothing is measured.
LOST = OpticalFlag.OUTSIDE | OpticalFlag.MASKED


def placed_sources(prepared, sources, columns=()):
    """Sources with their positions in an image, and with flags by its pixels.

    Parameters
    ----------
    prepared : `~gammapy_asid.optical.images.PreparedImage`
        Image.
    sources : `~gammapy_asid.OpticalSources`, `~astropy.table.Table`, SkyCoord or Candidates
        Sources; what is given is not changed.
    columns : sequence of str
        Columns that are to be made: those of the same names in a list of others get the ending ``_given``.

    Returns
    -------
    placed : `~gammapy_asid.OpticalSources`
        A copy with all rows, and with columns ``ra`` and ``dec`` if the image has a projection.
    measured : `~numpy.ndarray`
        Which of them lie on valid pixels, bool of shape ``(n,)``.
    """
    known = isinstance(sources, OpticalSources)
    table = sources.table.copy() if known else given_table(sources, prepared.wcs, columns)
    x, y = pixel_positions(table, prepared.wcs)
    if not np.array_equal(x, table["xcentroid"], equal_nan=True):
        # Another image: flags are no longer those of these pixels
        table["xcentroid"], table["ycentroid"], table["flags"] = x, y, np.zeros(len(x), "i4")
    masks = sources.masks if known else None
    bits = None if masks is None or masks.shape != prepared.image.shape else masks.bits
    flags = pixel_flags(prepared.image, x, y, prepared.psf.fwhm * prepared.binning, bits)
    table["flags"] = np.asarray(table["flags"]) | flags | duplicates(x, y)
    add_sky(table, prepared.wcs)
    meta = sources.meta if known else {}
    placed = OpticalSources(table, None if bits is None else masks, prepared.wcs, meta, prepared.image)
    return placed, (np.asarray(table["flags"]) & LOST) == 0


@dataclass
class FieldPart:
    """Part of an image with the sources in it.

    Parameters
    ----------
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        Part of the image.
    x, y : `~numpy.ndarray`
        Positions of all sources in it, in its pixels, shape ``(m,)``.
    near : `~numpy.ndarray`
        Their numbers among all sources of the image, shape ``(m,)``.
    own : `~torch.Tensor`
        Which of them are kept: the others are better seen in another part; indices of shape ``(k,)``.
    rows : `~numpy.ndarray`
        Numbers of these among all sources of the image, shape ``(k,)``.
    noise : `~numpy.ndarray`
        Noise of the sky at these in the unit of the image, shape ``(k,)``.
    """

    batch: ImageBatch
    x: np.ndarray
    y: np.ndarray
    near: np.ndarray
    own: torch.Tensor
    rows: np.ndarray
    noise: np.ndarray

    def fit(self, **settings):
        """Fit of all sources in it, see `~gammapy_asid.optical.fit.joint.joint_fit`.

        Parameters
        ----------
        **settings
            Its arguments.
        """
        return joint_fit(self.batch, self.x, self.y, **settings)


def field_parts(prepared, x, y):
    """Parts of an image with their sources.

    Parameters
    ----------
    prepared : `~gammapy_asid.optical.images.PreparedImage`
        Image.
    x, y : `~numpy.ndarray`
        Positions in pixels of the image, shape ``(n,)``; NaN for sources that are left out.

    Yields
    ------
    part : `FieldPart`
        A part with at least one source that is kept; each source is kept once.
    """
    x, y = prepared.binned(x, y)
    for tile in prepared.tiles(TILE, OVERLAP):
        near = np.flatnonzero(_within(x, tile.xs) & _within(y, tile.ys))
        kept = _within(x[near], tile.inner_xs) & _within(y[near], tile.inner_ys)
        if not kept.any():
            continue
        rows = near[kept]
        noise = prepared.sky.noise.cut(tile.inner_ys, tile.inner_xs)
        inner = (tile.inner_ys, y), (tile.inner_xs, x)
        yield FieldPart(
            batch=prepared.batch(tile.ys, tile.xs),
            x=x[near] - tile.xs.start,
            y=y[near] - tile.ys.start,
            near=near,
            own=torch.from_numpy(np.flatnonzero(kept)),
            rows=rows,
            noise=noise[tuple(np.round(v[rows]).astype(int) - part.start for part, v in inner)],
        )


def _within(values, part):
    return (values >= part.start - 0.5) & (values < part.stop - 0.5)
