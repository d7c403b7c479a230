# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates that are two sources: found by their elongation, decided by the likelihood."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from .known_sky import MIN_BACKGROUND, known_sky
from .point_fit import PointFit, fit_sources
from .source_images import source_images
from .source_stamps import STAMP_HALF, nearest_pixel, on_level, sample_psf, source_stamps

__all__ = ["CLOSEST", "Split", "elongation", "split_blends"]

#: Significance of the elongation from which two sources are tried, and the largest ratio of the smaller
#: to the larger elongation: a round source is extended, or the point spread function wider than stated.
MIN_ELONGATION, ROUND = 3.5, 0.5

#: Gain of the likelihood ratio from which two sources are taken: absolute, and as a share of that of the
#: source, for a point spread function that is not known exactly.
MIN_GAIN, GAIN_SHARE = 28.0, 0.015

#: Widths of the point spread function, over that stated, with which the one source is fitted too: two must
#: beat the best of them by `MIN_TS`.
WIDTHS = (0.9, 1.1)

#: Smallest distance of two sources in sides of the native pixels, where counts lost their place inside these.
#: A source at the edge or the corner of a pixel lights two whose centres are up to a diagonal apart, which in
#: the long pixels of HEALPix is 1.7 sides.
CLOSEST = 1.7

#: Likelihood ratio of each of the two sources with the other one in place, and of the two over one source of
#: another width.
MIN_TS = 16.0

#: Half distance of the two to start from, in nominal finest pixels.
HALF_RANGE = (0.4, 2.5)

#: Share of a pixel over which slopes of the point spread function are taken.
STEP = 0.5


@dataclass
class Split:
    """Sources after the split of blends, tensors with one row per source.

    Parameters
    ----------
    parent : `~torch.Tensor`
        Index of the source that it was, shape ``(n,)``; halves of a blend share it.
    x, y : `~torch.Tensor`
        Position in finest pixels; that of sources that stay one is as given.
    fit : `~gammapy_asid.stats.point_fit.PointFit`
        Fit of the sources.
    """

    parent: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    fit: PointFit


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


@torch.no_grad()
def split_blends(batch, tables, field, x, y, native=0.0):
    """Split candidates where two sources describe the counts better than one.

    Parameters
    ----------
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields.
    tables : `~torch.Tensor`
        Result of `~gammapy_asid.inputs.psf.psf_tables`.
    field, x, y : `~torch.Tensor`
        Field and position in finest pixels of each candidate, shape ``(n,)``.
    native : float
        Side in finest pixels of the native pixels inside which counts lost their place, 0 if they kept it.

    Returns
    -------
    split : `Split`
        At least as many sources, in the order of the candidates.
    """
    parent = torch.arange(len(x), device=x.device)
    single = fit_sources(batch, tables, field, x, y)
    one = _images(batch, tables, field, single.x, single.y, single.counts)
    rest = [counts - image for counts, image in zip(batch.counts, one, strict=True)]
    sky = known_sky(replace(batch, counts=rest))
    expected = [s + image for s, image in zip(sky, one, strict=True)]
    tried, half = _pairs(batch, tables, field, single, expected, CLOSEST * native)
    wide = _other_widths(batch, tables, field, single, sky, one, expected, tried)
    while tried.any():
        # What is far from the pairs stays as it is
        near = _near(field, single, tried)
        far = _images(batch, tables, field[~near], single.x[~near], single.y[~near], single.counts[~near])
        around = [s + image for s, image in zip(sky, far, strict=True)]
        index = torch.repeat_interleave(parent[near], torch.where(tried, 2, 1)[near])
        sign = torch.ones(len(index), device=x.device)
        sign[1:][index[1:] == index[:-1]] = -1
        offset = torch.where(tried[index, None], sign[:, None] * half[index], 0.0)
        start = torch.stack([single.x, single.y], -1)[index] + offset
        pair = fit_sources(batch, tables, field[index], *start.unbind(-1), sky=around)
        two = _images(batch, tables, field[index], pair.x, pair.y, pair.counts)
        both = [s + image for s, image in zip(around, two, strict=True)]
        gain = _gain(batch, expected, both, field, single)
        faintest = torch.full_like(single.x, torch.inf).scatter_reduce(0, index, pair.ts.sum(1), "amin")
        # The source as it is in the bands that tell the two apart
        share = gain.clamp(min=0) / gain.clamp(min=0).sum(1, keepdim=True).clamp(min=1e-6)
        needed = torch.clamp(GAIN_SHARE * (share * single.ts).sum(1), min=MIN_GAIN)
        needed = torch.maximum(needed, wide + MIN_TS)
        distance = _distance(index, pair, len(x))
        kept = tried & (gain.sum(1) > needed) & (faintest > MIN_TS) & (distance >= CLOSEST * native)
        if kept.equal(tried):
            return _split(x, y, kept, near, single, pair)
        # Once more without those that failed, which were in the fit of their neighbours
        tried = kept
    return Split(parent, x, y, single)


def _images(batch, tables, field, x, y, counts):
    """Expected counts of sources per band."""
    images = source_images(tables, batch.levels, batch.field_mask.shape, field, x, y, counts)
    return [
        image * exposure * mask
        for image, exposure, mask in zip(images, batch.exposure, batch.mask, strict=True)
    ]


def _other_widths(batch, tables, field, single, sky, one, expected, tried):
    """Gain of one source seen with the best of `WIDTHS`, 0 if it is best as stated; shape ``(n,)``."""
    best = torch.zeros_like(single.x)
    if tried.any():
        own, place = single.select(tried), field[tried]
        images = _images(batch, tables, place, own.x, own.y, own.counts)
        around = [s + image - i for s, image, i in zip(sky, one, images, strict=True)]
        for width in WIDTHS:
            scaled = _scaled(tables, width)
            fit = fit_sources(batch, scaled, place, own.x, own.y, sky=around)
            images = _images(batch, scaled, place, fit.x, fit.y, fit.counts)
            other = [s + image for s, image in zip(around, images, strict=True)]
            gain = _gain(batch, expected, other, place, own).sum(1)
            best[tried] = torch.maximum(best[tried], gain)
    return best


def _scaled(tables, width):
    """Tables of a point spread function that is wider by a factor."""
    axis = torch.linspace(-1, 1, tables.shape[-1], device=tables.device) / width
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).expand(len(tables), -1, -1, -1)
    scaled = F.grid_sample(tables, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return scaled / tables.new_tensor([width**2, width**3, width**3])[:, None, None]


def _distance(index, pair, n):
    """Distance between the two of each source that is fitted as two, NaN for others; shape ``(n,)``."""
    distance, second = pair.x.new_full((n,), torch.nan), torch.nonzero(index[1:] == index[:-1])[:, 0] + 1
    distance[index[second]] = torch.hypot(*(v[second] - v[second - 1] for v in (pair.x, pair.y)))
    return distance


def _pairs(batch, tables, field, single, expected, closest):
    """Which sources are tried as two, and half the vectors between the two, see `_half_distance`."""
    bright = torch.nonzero(single.ts.sum(1) > MIN_GAIN)[:, 0]
    half = single.x.new_full((len(field), 2), torch.nan)
    if len(bright):
        moments = elongation(batch, tables, field[bright], single.select(bright), expected)
        half[bright] = _half_distance(batch, *moments, field[bright], closest)
    return torch.isfinite(half[:, 0]), half


def _near(field, single, tried):
    """Sources on the finest stamps of sources that are tried, and these."""
    distance = torch.maximum(*((v[:, None] - v[tried]).abs() for v in (single.x, single.y)))
    return ((distance <= STAMP_HALF[0]) & (field[:, None] == field[tried])).any(1)


def _split(x, y, kept, near, single, pair):
    """Sources after the split: a fit of the pairs and their neighbours joined with that of the others."""
    fit = PointFit.cat([pair, single.select(~near)])
    number = torch.where(kept, 2, 1)
    parent = torch.repeat_interleave(torch.arange(len(x), device=x.device), number)
    order = torch.cat([torch.nonzero(part[parent])[:, 0] for part in (near, ~near)]).argsort()
    fit, moved = fit.select(order), kept[parent]
    return Split(parent, torch.where(moved, fit.x, x[parent]), torch.where(moved, fit.y, y[parent]), fit)


def _half_distance(batch, moments, covariance, field, closest):
    """Half of the vector between the two sources that the elongation suggests; NaN where there is none.

    Nor is there where they would be closer than `closest` in finest pixels.
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


def _gain(batch, one, two, field, fit):
    """Likelihood ratio of two models around each source, shape ``(n, n_bands)``."""
    gain = []
    for band, level in enumerate(batch.levels):
        ratio = torch.log(two[band].clamp(min=MIN_BACKGROUND) / one[band].clamp(min=MIN_BACKGROUND))
        terms = 2 * (batch.counts[band] * ratio - (two[band] - one[band])) * (batch.mask[band] > 0)
        place = nearest_pixel(fit.x, fit.y, level, terms.shape)
        gain.append(source_stamps(terms, field, *place, STAMP_HALF[level]).sum((1, 2)))
    return torch.stack(gain, 1)
