# Licensed under a 3-clause BSD style license - see LICENSE
"""Expected counts of extended sources in batches of sky patches."""

import torch.nn.functional as F

from ..networks.features import correlate
from .shapes import shape_images

__all__ = ["extended_images"]

# Shapes are drawn on pixels this many times finer, with a border of as many finest pixels around
# the patch, whose light the point spread function brings in.
FINER, BORDER = 2, 24


def extended_images(bank, instrument, kind, x, y, width, elongation, angle, counts, shape):
    """Images of extended sources, one by one.

    Parameters
    ----------
    bank : `~gammapy_asid.simulation.ResponseBank`
        Responses.
    instrument : `~torch.Tensor`
        Index of each source's response, shape ``(n,)``.
    kind, x, y, width, elongation, angle : `~torch.Tensor`
        Shape, position and width in finest pixels, axis ratio and angle, see
        `~gammapy_asid.simulation.shapes.shape_images`; each of shape ``(n,)``.
    counts : `~torch.Tensor`
        Expected counts, shape ``(n, n_bands, n_sub)``.
    shape : tuple of int
        ``(ny, nx)`` of a patch in finest pixels, both equal.

    Returns
    -------
    images : list of `~torch.Tensor`
        Expected counts per band, each ``(n, ny / 2**level, nx / 2**level)``.
    """
    side = shape[0] + 2 * BORDER
    fx, fy = (FINER * (v + BORDER + 0.5) - 0.5 for v in (x, y))
    fine = shape_images(kind, fx, fy, FINER * width, FINER * side, elongation, angle)
    profile = F.avg_pool2d(fine[:, None], FINER) * FINER**2
    middle = bank.kernels.shape[3] // 2
    images = []
    for band, level in enumerate(bank.bands.levels):
        pooled = (F.avg_pool2d(profile, 2**level) * 4**level if level else profile)[:, 0]
        kernels = bank.kernels[instrument, band, :, middle, middle]
        kernel = (counts[:, band, :, None, None] * kernels).sum(1)
        border = BORDER >> level
        inside = slice(border, border + (shape[0] >> level))
        images.append(correlate(pooled, kernel)[:, inside, inside].clamp(min=0))
    return images
