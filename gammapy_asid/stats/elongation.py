# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources whose image is longer than the point spread function."""

import torch

from .known_sky import MIN_BACKGROUND
from .source_stamps import STAMP_HALF, nearest_pixel, on_level, sample_psf, source_stamps

__all__ = ["elongation", "half_distance"]

#: Significance of the elongation from which two sources are tried, and the largest ratio of the smaller
#: to the larger elongation: a round source is extended, or the point spread function wider than stated.
MIN_ELONGATION, ROUND = 3.5, 0.5

#: Half distance of the two to start from, in nominal finest pixels.
HALF_RANGE = (0.4, 2.5)

#: Share of a pixel over which slopes of the point spread function are taken.
STEP = 0.5


def _slopes(tables, dx, dy, half):
    """Point spread function on stamps, its first and second slopes by the place; shape ``(6, n, k, k)``."""
    psf, first_x, first_y = sample_psf(tables, dx, dy, half)
    _, east, cross_east = sample_psf(tables, dx + STEP, dy, half)
    _, west, cross_west = sample_psf(tables, dx - STEP, dy, half)
    _, _, north = sample_psf(tables, dx, dy + STEP, half)
    _, _, south = sample_psf(tables, dx, dy - STEP, half)
    second = (east - west, cross_east - cross_west, north - south)
    return torch.stack([psf, first_x, first_y, *(value / (2 * STEP) for value in second)])


def elongation(batch, tables, field, fit, expected):
    """Second moments by which sources are wider than points, from the score of the likelihood.

    Two sources of shares s and 1 - s at the distance d look, to second order, like a point whose image
    is widened by s (1 - s) d^2 along their line. Position and counts in each band are free.

    Parameters
    ----------
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields.
    tables : `~torch.Tensor`
        Result of `~gammapy_asid.inputs.psf.psf_tables`.
    field : `~torch.Tensor`
        Field of each source, shape ``(n,)``.
    fit : `~gammapy_asid.stats.point_fit.PointFit`
        Sources as points.
    expected : list of `~torch.Tensor`
        Expected counts of everything per band, shape as the counts.

    Returns
    -------
    moments : `~torch.Tensor`
        xx, xy, yy in squared finest pixels, shape ``(n, 3)``.
    covariance : `~torch.Tensor`
        Shape ``(n, 3, 3)``.
    """
    gradient, information = 0.0, 1e-6 * torch.eye(5, device=fit.x.device)
    for band, level in enumerate(batch.levels):
        half, size = STAMP_HALF[level], 2.0**level
        column, row = nearest_pixel(fit.x, fit.y, level, batch.counts[band].shape)
        local = on_level(fit.x, level) - column, on_level(fit.y, level) - row

        def cut(image, place=(field, column, row), half=half):
            return source_stamps(image, *place, half)

        weight = cut(batch.exposure[band] * batch.mask[band])
        model = cut(expected[band]).clamp(min=MIN_BACKGROUND)
        inverse = (weight > 0) / model
        slopes = _slopes(tables[band], *local, half) * weight
        scale = torch.tensor([1, 1 / size, 1 / size, 0.5 / size**2, 1 / size**2, 0.5 / size**2])
        scale = scale.to(slopes.device)
        slopes = slopes * scale[:, None, None, None]
        slopes[1:] *= fit.counts[:, band, None, None]
        g = (slopes * (cut(batch.counts[band]) * inverse - (weight > 0).float())).sum((2, 3)).T
        i = torch.einsum("inyx,jnyx,nyx->nij", slopes, slopes, inverse)
        own = i[:, :1, :1] + 1e-9
        gradient = gradient + g[:, 1:] - (i[:, 1:, 0] * g[:, :1] / own[:, 0])
        information = information + i[:, 1:, 1:] - i[:, 1:, :1] * i[:, :1, 1:] / own
    covariance = torch.linalg.inv(information)
    moments = (covariance @ gradient[..., None])[..., 0]
    return moments[:, 2:], covariance[:, 2:, 2:]


def half_distance(batch, field, moments, covariance, closest):
    """Half of the vector between the two sources that the elongation suggests.

    Parameters
    ----------
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields.
    field : `~torch.Tensor`
        Field of each source, shape ``(n,)``.
    moments, covariance : `~torch.Tensor`
        Results of `elongation`.
    closest : float
        Smallest distance of two sources in finest pixels.

    Returns
    -------
    half : `~torch.Tensor`
        In finest pixels, shape ``(n, 2)``; NaN where the source is not long, or the two would be too close.
    """
    xx, xy, yy = moments.T
    matrix = torch.stack([torch.stack([xx, xy], -1), torch.stack([xy, yy], -1)], -2)
    # On the host: the sign of vectors, which orders the two sources, depends on the library
    values, vectors = (v.to(matrix.device) for v in torch.linalg.eigh(matrix.cpu()))
    ux, uy = vectors[:, 0, 1], vectors[:, 1, 1]
    along = torch.stack([ux**2, 2 * ux * uy, uy**2], -1)
    error = torch.sqrt(torch.einsum("ni,nij,nj->n", along, covariance, along))
    is_double = (values[:, 1] > MIN_ELONGATION * error + closest**2 / 4) & (
        values[:, 0] < ROUND * values[:, 1]
    )
    nominal = batch.nominal[field]
    length = torch.sqrt(values[:, 1].clamp(min=0))
    length = torch.minimum(torch.maximum(length, HALF_RANGE[0] * nominal), HALF_RANGE[1] * nominal)
    return torch.where(is_double[:, None], length[:, None] * vectors[:, :, 1], torch.nan)
