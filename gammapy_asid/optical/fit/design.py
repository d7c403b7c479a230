# Licensed under a 3-clause BSD style license - see LICENSE
"""The linear problem of a fit: the light of each source in each pixel, as a sparse matrix."""

import numpy as np
import torch
from scipy.sparse import coo_array, csc_array

from .profiles import nearest_pixels

__all__ = ["Pixels", "around", "design", "sky_design"]

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
    profiles : `~gammapy_asid.optical.fit.profiles.Profiles`
        Point spread function.
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
    n_pixels, columns = len(pixels.weight), 1 if slopes is None else 3
    fwhm = profiles.fwhm[image]
    parts = []
    for chunk in torch.arange(len(x)).split(_CHUNK):
        own = image[chunk], x[chunk], y[chunk]
        light = profiles(*own, slopes=slopes is not None)
        light = light if slopes is not None else light[:, None]
        column, row = nearest_pixels(*own[1:])
        index, inside = around(pixels.shape, own[0], column, row, (profiles.half,) * 2)
        offset = torch.arange(-profiles.half, profiles.half + 1)
        near = offset[:, None] ** 2 + offset**2 <= (CORE * fwhm[chunk, None, None]) ** 2
        keep = near | (light[:, 0] * brightness[chunk, None, None] > NEGLIGIBLE)
        keep = (keep & inside).flatten(1)
        if slopes is not None:
            light = torch.cat([light[:, :1], light[:, 1:] * slopes[chunk, None, None, None]], 1)
        parts.append(
            (
                keep.sum(1).numpy().astype(np.int32),
                index.flatten(1)[keep].numpy().astype(np.int32),
                light.flatten(2).transpose(0, 1)[:, keep].numpy(),
            )
        )
    counts = np.concatenate([np.zeros(1, np.int32), *(part[0] for part in parts)])
    index = np.concatenate([np.zeros(0, np.int32), *(part[1] for part in parts)])
    light = (
        np.concatenate([np.zeros((columns, 0), np.float32), *(part[2] for part in parts)], 1)
        * pixels.weight[index]
    )
    pointers = np.cumsum(counts, dtype=np.int32)
    return [csc_array((values, index, pointers), shape=(n_pixels, len(x))) for values in light]


def sky_design(pixels, mesh):
    """Sky that is linear between the nodes of a mesh, in units of the pixels' noise.

    Parameters
    ----------
    pixels : `Pixels`
        Images.
    mesh : float
        Distance of the nodes in pixels.

    Returns
    -------
    matrix : `~scipy.sparse.csc_array`
        Shape ``(n_pixels, n_nodes)``.
    """
    n, ny, nx = pixels.shape
    counts = [int(np.ceil((size - 1) / mesh)) + 1 for size in (ny, nx)]
    image, y, x = np.indices(pixels.shape).reshape(3, -1)
    rows = np.arange(len(x))
    parts = []
    for along_y in (0, 1):
        for along_x in (0, 1):
            node_y, node_x = (y // mesh).astype(int) + along_y, (x // mesh).astype(int) + along_x
            share = (1 - np.abs(y / mesh - node_y)) * (1 - np.abs(x / mesh - node_x))
            there = (node_y < counts[0]) & (node_x < counts[1])
            node = (image * counts[0] + node_y) * counts[1] + node_x
            parts.append(((share[there] * pixels.weight[there]).astype(np.float32), rows[there], node[there]))
    values, index, nodes = (np.concatenate(part) for part in zip(*parts, strict=True))
    return coo_array((values, (index, nodes)), shape=(len(x), n * counts[0] * counts[1])).tocsc()
