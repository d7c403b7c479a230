# Licensed under a 3-clause BSD style license - see LICENSE
"""The linear problem of a fit: the light of each source in each pixel, as a sparse matrix."""

import numpy as np
import torch
from scipy.sparse import csc_array

from .profiles import nearest_pixels

__all__ = ["Pixels", "around", "design"]

#: Light of a source that is left out of the fit, in units of the noise of a pixel of sky.
NEGLIGIBLE = 0.03

#: Pixels around a source that count in any case, in units of the full width at half maximum.
CORE = 1.5

#: Sources whose stamps are in memory at a time.
_CHUNK = 2048


class Pixels:
    """Images as one list of pixels, and what each is worth.

    Parameters
    ----------
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        Images.
    """

    def __init__(self, batch):
        self.shape = tuple(batch.signal.shape)
        good = batch.valid & ~batch.saturated
        weight = torch.where(good, batch.variance.clamp(min=1e-6).rsqrt(), 0.0)
        self.good = good
        self.weight = weight.flatten().numpy()
        self.data = torch.where(good, batch.signal, 0.0).flatten().numpy() * self.weight


def around(shape, image, column, row, half):
    """Pixels around given ones.

    Parameters
    ----------
    shape : tuple of int
        ``(n, ny, nx)`` of the images.
    image, column, row : `~torch.Tensor`
        Image and pixel in the middle, shape ``(k,)``.
    half : tuple of int
        Pixels before and after the middle.

    Returns
    -------
    index : `~torch.Tensor`
        Number of each pixel in the flattened images, 0 outside; shape ``(k, s, s)``.
    inside : `~torch.Tensor`
        Whether it is in the image, bool of the same shape.
    """
    before, after = half
    offset = torch.arange(-before, after + 1)
    rows, columns = row[:, None, None] + offset[:, None], column[:, None, None] + offset
    inside = (rows >= 0) & (rows < shape[1]) & (columns >= 0) & (columns < shape[2])
    index = (image[:, None, None] * shape[1] + rows) * shape[2] + columns
    return torch.where(inside, index, 0), inside


def design(pixels, profiles, image, x, y, brightness, slopes=None):
    """Light of each source in each pixel in units of the pixel's noise.

    Only pixels where the source matters have entries, so that bright sources reach far and faint ones cost
    little.

    Parameters
    ----------
    pixels : `Pixels`
        Images.
    profiles : tuple of `~gammapy_asid.optical.fit.profiles.Profiles`
        Point spread function on smaller and on the largest stamps.
    image, x, y : `~torch.Tensor`
        Image and position of each source, shape ``(k,)``.
    brightness : `~torch.Tensor`
        Rough flux, which tells how far a source reaches, shape ``(k,)``.
    slopes : `~torch.Tensor`, optional
        Fluxes with which the derivatives with respect to `x` and `y` are multiplied; without, there are none.

    Returns
    -------
    matrices : list of `~scipy.sparse.csc_array`
        Of unit flux, and with `slopes` of a move by a pixel in x and y; each of shape ``(n_pixels, k)``.
    """
    near, far = profiles
    # Light beyond the smaller stamps counts for bright sources only; positions within pixels move it a little
    kernels = near.batch.kernels.clone()
    inner = slice(far.half - near.half + 1, far.half + near.half)
    kernels[:, inner, inner] = 0
    reaching = brightness * kernels.amax((1, 2))[image] > NEGLIGIBLE / 2
    parts, order = [_entries(pixels, near, image[:0], x[:0], y[:0], brightness[:0], slopes)], []
    for own, rows in ((near, torch.nonzero(~reaching)[:, 0]), (far, torch.nonzero(reaching)[:, 0])):
        order.append(rows)
        for chunk in rows.split(_CHUNK):
            sources = (v[chunk] for v in (image, x, y, brightness))
            parts.append(_entries(pixels, own, *sources, None if slopes is None else slopes[chunk]))
    counts, index, light = zip(*parts, strict=True)
    index = np.concatenate(index)
    light = np.concatenate(light, 1) * pixels.weight[index]
    pointers = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype(np.int32)
    shape = len(pixels.weight), len(x)
    back = np.argsort(torch.cat(order).numpy())
    return [csc_array((values, index, pointers), shape=shape)[:, back] for values in light]


def _entries(pixels, profiles, image, x, y, brightness, slopes):
    """Number of entries of sources, their pixels, and the light and its slopes there."""
    light = profiles(image, x, y, slopes=slopes is not None)
    light = light if slopes is not None else light[:, None]
    column, row = nearest_pixels(x, y)
    index, inside = around(pixels.shape, image, column, row, (profiles.half,) * 2)
    offset = torch.arange(-profiles.half, profiles.half + 1)
    near = offset[:, None] ** 2 + offset**2 <= (CORE * profiles.batch.fwhm[image, None, None]) ** 2
    keep = near | (light[:, 0] * brightness[:, None, None] > NEGLIGIBLE)
    keep = (keep & inside).flatten(1)
    if slopes is not None:
        light[:, 1:] *= slopes[: len(x), None, None, None]
    return (
        keep.sum(1).numpy(),
        index.flatten(1)[keep].numpy().astype(np.int32),
        light.flatten(2).transpose(0, 1)[:, keep].numpy(),
    )
