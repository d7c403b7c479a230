# Licensed under a 3-clause BSD style license - see LICENSE
"""Stamps around sources, and the point spread function on them."""

import numpy as np
import torch
import torch.nn.functional as F

from ..inputs.psf import PHASES

__all__ = ["nearest_pixel", "on_level", "sample_psf", "source_stamps"]

# Half width of the stamps in pixels of each level: for the LAT 1, 1.6, 2.4 and 4 deg, as wide as the cores of
# the point spread functions of the bands on it.
STAMP_HALF = (10, 8, 6, 5)


def on_level(x, level):
    """Coordinate in pixels of a level of a coordinate in finest pixels.

    Parameters
    ----------
    x : `~torch.Tensor`
        Finest pixels.
    level : int
        Resolution level.

    Returns
    -------
    x : `~torch.Tensor`
        Pixels of the level.
    """
    return (x + 0.5) / 2**level - 0.5


def sample_psf(tables, dx, dy, half):
    """Point spread function on stamps, and its derivatives.

    Parameters
    ----------
    tables : `~torch.Tensor`
        One band of `~gammapy_asid.inputs.psf.psf_tables`, shape ``(3, size, size)``.
    dx, dy : `~torch.Tensor`
        Position of the source relative to the middle of its stamp in pixels, shape ``(n,)``.
    half : int
        Half width of the stamps.

    Returns
    -------
    psf : `~torch.Tensor`
        Shape ``(3, n, 2 * half + 1, 2 * half + 1)``.
    """
    offset = torch.arange(-half, half + 1, device=dx.device, dtype=dx.dtype)
    reach = tables.shape[-1] / (2 * PHASES)
    grid = torch.stack(
        torch.broadcast_tensors(
            (offset - dx[:, None])[:, None, :] / reach, (offset - dy[:, None])[:, :, None] / reach
        ),
        -1,
    )
    # One image a source, so that threads share them.
    images = tables.expand(len(dx), -1, -1, -1)
    sampled = F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return sampled.transpose(0, 1)


def stamp_index(shape, field, column, row, half):
    """Places of stamps in flattened images with a border of their half width.

    Parameters
    ----------
    shape : tuple of int
        ``(n_fields, ny, nx)`` of the images.
    field, column, row : `~torch.Tensor`
        Field and central pixel of each stamp, shape ``(n,)``.
    half : int
        Half width.

    Returns
    -------
    index : `~torch.Tensor`
        Shape ``(n, 2 * half + 1, 2 * half + 1)``.
    """
    offset = torch.arange(2 * half + 1, device=column.device)
    rows, columns = row[:, None, None] + offset[:, None], column[:, None, None] + offset
    return (field[:, None, None] * (shape[1] + 2 * half) + rows) * (shape[2] + 2 * half) + columns


def source_stamps(images, field, column, row, half):
    """Stamps of images around pixels, zero outside.

    Parameters
    ----------
    images : `~torch.Tensor`
        Shape ``(n_fields, ny, nx)``.
    field, column, row : `~torch.Tensor`
        Field and central pixel of each stamp, shape ``(n,)``.
    half : int
        Half width.

    Returns
    -------
    stamps : `~torch.Tensor`
        Shape ``(n, 2 * half + 1, 2 * half + 1)``.
    """
    return F.pad(images, [half] * 4).flatten()[stamp_index(images.shape, field, column, row, half)]


def add_stamps(stamps, field, column, row, shape):
    """Sum of stamps around pixels, shape ``(n_fields, ny, nx)``: the reverse of `source_stamps`.

    Parameters
    ----------
    stamps : `~torch.Tensor`
        Shape ``(n, k, k)``, `k` odd.
    field, column, row : `~torch.Tensor`
        Field and central pixel of each stamp, shape ``(n,)``.
    shape : tuple of int
        ``(n_fields, ny, nx)``.

    Returns
    -------
    images : `~torch.Tensor`
        Of that shape.
    """
    half = stamps.shape[-1] // 2
    n_fields, ny, nx = shape
    wide = n_fields, ny + 2 * half, nx + 2 * half
    image = torch.zeros(int(np.prod(wide)), device=stamps.device)
    image.index_add_(0, stamp_index(shape, field, column, row, half).flatten(), stamps.flatten())
    return image.view(wide)[:, half : half + ny, half : half + nx]


def nearest_pixel(x, y, level, shape):
    """Pixel of a level in which each source lies, the nearest one if it lies outside.

    Parameters
    ----------
    x, y : `~torch.Tensor`
        Positions in finest pixels, shape ``(n,)``.
    level : int
        Resolution level.
    shape : tuple of int
        Shape of images of the level, ``(..., ny, nx)``.

    Returns
    -------
    column, row : `~torch.Tensor`
        Shape ``(n,)``.
    """
    ny, nx = shape[-2:]
    column = torch.round(on_level(x, level)).long().clamp(0, nx - 1)
    return column, torch.round(on_level(y, level)).long().clamp(0, ny - 1)
