# Licensed under a 3-clause BSD style license - see LICENSE
"""Images of point sources, and what they tell of positions."""

import torch

from .known_sky import MIN_BACKGROUND
from .source_stamps import STAMP_HALF, add_stamps, nearest_pixel, on_level, sample_psf, source_stamps

__all__ = ["position_information", "source_images"]


def source_images(tables, levels, shape, field, x, y, counts):
    """Images of sources of an average spectrum.

    Parameters
    ----------
    tables : `~torch.Tensor`
        Result of `~gammapy_asid.inputs.psf.psf_tables`.
    levels : tuple of int
        Resolution level of each band.
    shape : tuple of int
        ``(n_fields, ny, nx)`` in finest pixels.
    field, x, y : `~torch.Tensor`
        Field and position in finest pixels of each source, shape ``(n,)``.
    counts : `~torch.Tensor`
        Expected counts on the whole sky, shape ``(n, n_bands)``.

    Returns
    -------
    images : list of `~torch.Tensor`
        Per band, shape ``(n_fields, ny / 2**level, nx / 2**level)``.
    """
    images = []
    for band, level in enumerate(levels):
        size = (shape[0], shape[1] >> level, shape[2] >> level)
        column, row = nearest_pixel(x, y, level, size)
        psf = sample_psf(
            tables[band], on_level(x, level) - column, on_level(y, level) - row, STAMP_HALF[level]
        )[0]
        images.append(add_stamps(counts[:, band, None, None] * psf, field, column, row, size))
    return images


def position_information(tables, levels, expected, weight, field, x, y, counts):
    """Fisher information of the position of sources, all else known: its inverse is the Cramer-Rao bound.

    Parameters
    ----------
    tables : `~torch.Tensor`
        Result of `~gammapy_asid.inputs.psf.psf_tables`.
    levels : tuple of int
        Resolution level of each band.
    expected, weight : list of `~torch.Tensor`
        Per band, shape ``(n_fields, ny / 2**level, nx / 2**level)``: expected counts of everything,
        and the share of a source's photons that each pixel keeps.
    field, x, y : `~torch.Tensor`
        Field and position in finest pixels of each source, shape ``(n,)``.
    counts : `~torch.Tensor`
        Expected counts on the whole sky, shape ``(n, n_bands)``.

    Returns
    -------
    information : `~torch.Tensor`
        Of x, y (finest pixels) and the relative amplitude of each band, shape
        ``(n, n_bands, 3, 3)``: bands add.
    """
    parts = []
    for band, level in enumerate(levels):
        half = STAMP_HALF[level]
        column, row = nearest_pixel(x, y, level, expected[band].shape)
        local = on_level(x, level) - column, on_level(y, level) - row
        psf = sample_psf(tables[band], *local, half) * source_stamps(weight[band], field, column, row, half)
        model = source_stamps(expected[band], field, column, row, half)
        slopes = counts[:, band, None, None] * torch.stack([psf[1] / 2**level, psf[2] / 2**level, psf[0]])
        inverse = torch.where(model > 0, 1 / model.clamp(min=MIN_BACKGROUND), 0.0)
        parts.append(torch.einsum("inyx,jnyx,nyx->nij", slopes, slopes, inverse))
    return torch.stack(parts, 1)
