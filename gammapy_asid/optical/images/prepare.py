# Licensed under a 3-clause BSD style license - see LICENSE
"""An image in units of the noise of its sky, cut into what networks and fits see."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import uniform_filter

from ..batch import ImageBatch
from .background import Mesh, Sky, block_sky, smooth_mesh
from .image import OpticalImage

__all__ = ["Cut", "PreparedImage", "Tile", "prepare_image"]

#: Side of the blocks in which the sky is measured, in pixels.
BLOCK = 64
#: Full width at half maximum in pixels from which on pixels are summed, and the narrowest after that.
WIDEST, NARROWEST = 6.0, 3.0
#: Least variance of a pixel in units of that of the sky.
FLOOR = 0.25


@dataclass(frozen=True, eq=False)
class Cut:
    """Part of a prepared image; pixels beyond the image are not valid.

    Parameters
    ----------
    signal : `~numpy.ndarray`
        Light above the background over the noise of the sky, float32; 0 where not valid.
    variance : `~numpy.ndarray`
        Variance of `signal`, float32, 1 on the sky.
    valid : `~numpy.ndarray`
        Pixels with data, bool.
    saturated : `~numpy.ndarray`
        Valid pixels at saturation, bool.
    sky_noise, background : `~numpy.ndarray`
        Standard deviation of a pixel of sky, and its light, in the unit of the image, float32.
    """

    signal: np.ndarray
    variance: np.ndarray
    valid: np.ndarray
    saturated: np.ndarray
    sky_noise: np.ndarray
    background: np.ndarray


@dataclass(frozen=True)
class Tile:
    """Part of an image, and the inner part of it: the inner parts of all tiles are the image once.

    Parameters
    ----------
    ys, xs : slice
        Rows and columns of the tile, which may lie beyond the image.
    inner_ys, inner_xs : slice
        Rows and columns of its inner part, which lie in the image.
    """

    ys: slice
    xs: slice
    inner_ys: slice
    inner_xs: slice


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedImage:
    """Image with its sky, noise and point spread function; see `prepare_image`, which makes it.

    Parameters
    ----------
    image : `OpticalImage`
        Image.
    sky : `Sky`
        Level and noise of the sky of the binned pixels.
    binning : int
        Pixels of the image along the side of a binned pixel.
    psf : `~gammapy_asid.optical.psf.PSF`
        Point spread function of the binned pixels.
    """

    image: OpticalImage
    sky: Sky
    binning: int = 1
    psf: object = None

    @property
    def shape(self):
        """``(ny, nx)`` of the binned pixels; a rest of the image at its upper edges is left out."""
        return tuple(n // self.binning for n in self.image.shape)

    @property
    def wcs(self):
        """World coordinates of the pixels of the image, not of the binned ones."""
        return self.image.wcs

    def original(self, x, y):
        """Positions in pixels of the image of positions in binned pixels."""
        return tuple((np.asarray(v) + 0.5) * self.binning - 0.5 for v in (x, y))

    def binned(self, x, y):
        """Positions in binned pixels of positions in pixels of the image."""
        return tuple((np.asarray(v) + 0.5) / self.binning - 0.5 for v in (x, y))

    def cut(self, ys, xs):
        """Part of the image.

        Parameters
        ----------
        ys, xs : slice
            Rows and columns of binned pixels; they may lie beyond the image.

        Returns
        -------
        cut : `Cut`
            Its pixels.
        """
        inside = [slice(max(s.start, 0), min(s.stop, n)) for s, n in zip((ys, xs), self.shape, strict=True)]
        before = [
            (i.start - s.start, s.stop - max(i.stop, i.start)) for i, s in zip(inside, (ys, xs), strict=True)
        ]
        data, valid, saturated, variance = binned_cut(self.image, self.binning, *inside)
        level, noise = self.sky.level.cut(*inside), self.sky.noise.cut(*inside)
        signal = np.where(valid, (data - level) / noise, 0).astype(np.float32)
        if variance is not None:
            variance = variance / noise**2
        elif self.image.gain is not None:
            # Light of neighbouring pixels together: the noise of one must not make its own variance
            light = np.maximum(uniform_filter(signal, 3), 0)
            variance = 1 + light / (self.image.gain * noise)
        else:
            variance = np.ones_like(signal)
        variance = np.maximum(variance, FLOOR).astype(np.float32)
        parts = signal, variance, valid, saturated & valid, noise, level
        fills = 0, 1, False, False, None, None
        return Cut(
            *(
                np.pad(part, before, mode="edge")
                if fill is None
                else np.pad(part, before, constant_values=fill)
                for part, fill in zip(parts, fills, strict=True)
            )
        )

    def batch(self, ys, xs):
        """Part of the image for the networks, with the point spread function at its middle.

        Parameters
        ----------
        ys, xs : slice
            Rows and columns of binned pixels; they may lie beyond the image.

        Returns
        -------
        batch : `~gammapy_asid.optical.batch.ImageBatch`
            One image.
        """
        cut = self.cut(ys, xs)
        middle = [(s.start + s.stop - 1) / 2 for s in (xs, ys)]
        parts = (cut.signal, cut.variance, cut.valid, cut.saturated)
        psf = np.asarray(self.psf.at(*middle), dtype=np.float32)
        tensors = [torch.from_numpy(np.ascontiguousarray(part))[None] for part in (*parts, psf)]
        return ImageBatch(
            **dict(zip(("signal", "variance", "valid", "saturated", "psf"), tensors, strict=True))
        )

    def tiles(self, size=512, overlap=48):
        """Tiles that cover the image.

        Parameters
        ----------
        size : int
            Side of a tile.
        overlap : int
            Least distance of the inner part from the side of the tile; there may be nothing beyond the image.

        Yields
        ------
        tile : `Tile`
            Rows of tiles follow each other.
        """
        if size <= 2 * overlap:
            raise ValueError(f"A tile of {size} pixels has no inner part at an overlap of {overlap}.")
        rows, columns = (_cuts(n, size, overlap) for n in self.shape)
        for ys, inner_ys in rows:
            for xs, inner_xs in columns:
                yield Tile(ys, xs, inner_ys, inner_xs)


def _cuts(n, size, overlap):
    """Outer and inner slices along one axis: all tiles have the same size."""
    inner = size - 2 * overlap
    starts = range(0, n, inner)
    return [
        (slice(start - overlap, start - overlap + size), slice(start, min(start + inner, n)))
        for start in starts
    ]


def binned_cut(image, binning, ys, xs):
    """Data, valid pixels, saturated pixels and variance (or None) of a part inside the image, in binned pixels."""
    b = binning
    data, mask, error = image.cut(*(slice(s.start * b, max(s.stop, s.start) * b) for s in (ys, xs)))
    saturated = np.zeros(mask.shape, bool) if image.saturation is None else data >= image.saturation
    data = np.where(mask, 0, data)
    if b == 1:
        return data, ~mask, saturated & ~mask, None if error is None else error**2
    blocks = [
        part.reshape(part.shape[0] // b, b, part.shape[1] // b, b)
        for part in (data, ~mask, saturated & ~mask)
    ]
    count = blocks[1].sum((1, 3))
    scale = b**2 / np.maximum(count, 1)
    variance = None
    if error is not None:
        variance = np.where(mask, 0, error**2).reshape(blocks[0].shape).sum((1, 3)) * scale**2
    return blocks[0].sum((1, 3)) * scale, 2 * count >= b**2, blocks[2].any((1, 3)), variance


def measure_sky(image, binning=1):
    """Level and noise of the sky of an image, read in strips of blocks."""
    shape = tuple(n // binning for n in image.shape)
    blocks = [max(1, round(n / BLOCK)) for n in shape]
    edges = [np.linspace(0, n, count + 1).astype(int) for n, count in zip(shape, blocks, strict=True)]
    sides = [int(np.diff(e).max()) for e in edges]
    levels, noises = np.empty(blocks), np.empty(blocks)
    for row in range(blocks[0]):
        ys = slice(edges[0][row], edges[0][row + 1])
        data, valid, saturated, _ = binned_cut(image, binning, ys, slice(0, shape[1]))
        data = np.where(valid & ~saturated, data, np.nan)
        values = np.full((blocks[1], sides[0] * sides[1]), np.nan, data.dtype)
        for column in range(blocks[1]):
            block = data[:, edges[1][column] : edges[1][column + 1]]
            values[column, : block.size] = block.ravel()
        levels[row], noises[row] = block_sky(values)
    if not np.isfinite(levels).any():
        raise ValueError(f"{image.name} has no pixels that can be used: all are masked, NaN or infinite.")
    if not np.nanmax(noises) > 0:
        raise ValueError(f"{image.name} is constant: there is no noise to tell a source from.")
    noises[~(noises > 0)] = np.nan
    return Sky(*(Mesh(smooth_mesh(values), shape) for values in (levels, noises)))


def prepare_image(image, psf=None):
    """Measure the sky, its noise and the point spread function of an image.

    Parameters
    ----------
    image : `OpticalImage`
        Image.
    psf : `~gammapy_asid.optical.psf.PSF`, optional
        Point spread function of the pixels of the image; by default that of the image, or else measured.

    Returns
    -------
    prepared : `PreparedImage`
        Image in units of the noise of its sky.

    Raises
    ------
    ValueError
        If there are no pixels that can be used, or no noise.
    """
    prepared = PreparedImage(image=image, sky=measure_sky(image))
    psf = image.psf if psf is None else psf
    return replace(prepared, psf=psf)
