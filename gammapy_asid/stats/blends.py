# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates that are two sources: found by their elongation, decided by the likelihood."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from .alone import alone
from .elongation import elongation, half_distance
from .hypotheses import best_levels, dispersion
from .known_sky import known_sky
from .point_fit import PointFit, fit_sources
from .source_images import source_images
from .source_stamps import STAMP_HALF

__all__ = ["CLOSEST", "Split", "split_blends"]

#: Gain of the likelihood ratio from which two sources are taken, in units of what structure of the sky makes
#: by chance. On simulated skies of the LAT, counts only, that unit takes out four of five false pairs.
MIN_GAIN = 24.0

#: The same as a share of the likelihood ratio of the source, for a point spread function that is not known
#: exactly.
GAIN_SHARE = 0.012

#: Widths of the point spread function, over that stated, with which the one source is fitted too, and the
#: gain of two over the best of them.
WIDTHS, MIN_WIDTH_GAIN = (0.9, 1.1), 12.0

#: Smallest distance of two sources in sides of the native pixels, where counts lost their place inside these.
#: A source at the edge or the corner of a pixel lights two whose centres are up to a diagonal apart, which in
#: the long pixels of HEALPix is 1.7 sides.
CLOSEST = 1.7

#: Largest distance in nominal finest pixels: two match radii, from which on the network sees two by itself.
FARTHEST = 6.0

#: Likelihood ratio of each of the two sources with the other one in place.
MIN_TS = 16.0


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
    single = fit_sources(batch, tables, field, x, y)
    one = _images(batch, tables, field, single)
    rest = [counts - image for counts, image in zip(batch.counts, one, strict=True)]
    sky = known_sky(replace(batch, counts=rest))
    expected = [s + image for s, image in zip(sky, one, strict=True)]
    tried, half = _long_sources(batch, tables, field, single, expected, CLOSEST * native)
    start = single.x.new_full((len(x), 2, 2), torch.nan)
    if len(tried):
        start[tried] = _halves(batch, tables, expected, field, single, tried, half, CLOSEST * native)
    is_two = torch.isfinite(start[:, 0, 0])
    if not is_two.any():
        return Split(torch.arange(len(x), device=x.device), x, y, single)
    return _split(batch, tables, sky, field, single, start, x, y)


def _images(batch, tables, field, fit):
    """Expected counts of sources per band."""
    shape = batch.field_mask.shape
    images = source_images(tables, batch.levels, shape, field, fit.x, fit.y, fit.counts)
    return [
        image * exposure * mask
        for image, exposure, mask in zip(images, batch.exposure, batch.mask, strict=True)
    ]


def _long_sources(batch, tables, field, single, expected, closest):
    """Indices of the sources that are tried as two, and half the vectors between the two."""
    bright = torch.nonzero(single.ts.sum(1) > MIN_GAIN)[:, 0]
    moments = elongation(batch, tables, field[bright], single.select(bright), expected)
    half = half_distance(batch, field[bright], *moments, closest)
    long = torch.isfinite(half[:, 0])
    return bright[long], half[long]


def _halves(batch, tables, expected, field, single, tried, half, closest):
    """Places of the two sources that some are, shape ``(n_tried, 2, 2)``; NaN for those that are one.

    Each is fitted as one and as two beside the others as they are.
    """
    small, around, corner = alone(batch, tables, expected, field, single, tried)
    number = torch.arange(len(tried), device=tried.device)
    place = torch.stack([single.x[tried], single.y[tried]], -1) - corner

    def fitted(tables, number, start):
        fit = fit_sources(small, tables, number, *start.unbind(-1), sky=around)
        images = _images(small, tables, number, fit)
        return fit, images, *best_levels(small, around, images, *place.unbind(-1))

    one, _, likelihood, _ = fitted(tables, number, place)
    widths = [fitted(_scaled(tables, width), number, place)[2] for width in WIDTHS]
    sign = torch.tensor([1.0, -1.0], device=half.device)[:, None]
    start = (place[:, None] + sign * half[:, None]).flatten(0, 1)
    pair, images, both, level = fitted(tables, number.repeat_interleave(2), start)

    gain, widths = both - likelihood, [(other - likelihood).sum(1) for other in widths]
    # The source as it is in the bands that tell the two apart
    share = gain.clamp(min=0) / gain.clamp(min=0).sum(1, keepdim=True).clamp(min=1e-6)
    needed = [GAIN_SHARE * (share * one.ts).sum(1), *(other + MIN_WIDTH_GAIN for other in widths)]
    places = torch.stack([pair.x, pair.y], -1).unflatten(0, (-1, 2))
    distance = (places[:, 0] - places[:, 1]).norm(dim=-1)
    faintest = pair.ts.sum(1).unflatten(0, (-1, 2)).amin(1)
    kept = (gain.sum(1) > torch.stack(needed).amax(0)) & (faintest > MIN_TS)
    kept &= (distance >= closest) & (distance <= FARTHEST * small.nominal)
    terms = zip(level.T, around, images, strict=True)
    model = [factor[:, None, None] * sky + image for factor, sky, image in terms]
    kept &= (gain / dispersion(small, model, *place.unbind(-1))).sum(1) > MIN_GAIN
    return torch.where(kept[:, None, None], places + corner[:, None], torch.nan)


def _scaled(tables, width):
    """Tables of a point spread function that is wider by a factor."""
    axis = torch.linspace(-1, 1, tables.shape[-1], device=tables.device) / width
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).expand(len(tables), -1, -1, -1)
    scaled = F.grid_sample(tables, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return scaled / tables.new_tensor([width**2, width**3, width**3])[:, None, None]


def _split(batch, tables, sky, field, single, start, x, y):
    """Sources after the split: a fit of the pairs and their neighbours joined with that of the others."""
    is_two = torch.isfinite(start[:, 0, 0])
    # What is far from the pairs stays as it is
    near = _near(field, single, is_two)
    far = _images(batch, tables, field[~near], single.select(~near))
    around = [s + image for s, image in zip(sky, far, strict=True)]
    places = torch.where(is_two[:, None, None], start, torch.stack([single.x, single.y], -1)[:, None])
    parent = torch.repeat_interleave(torch.arange(len(x), device=x.device), torch.where(is_two, 2, 1))
    second = torch.zeros_like(parent)
    second[1:] = (parent[1:] == parent[:-1]).long()
    part = near[parent]
    chosen = parent[part]
    pair = fit_sources(batch, tables, field[chosen], *places[chosen, second[part]].unbind(-1), sky=around)
    fit = PointFit.cat([pair, single.select(~near)])
    order = torch.cat([torch.nonzero(part)[:, 0], torch.nonzero(~part)[:, 0]]).argsort()
    fit, moved = fit.select(order), is_two[parent]
    return Split(parent, torch.where(moved, fit.x, x[parent]), torch.where(moved, fit.y, y[parent]), fit)


def _near(field, single, chosen):
    """Sources on the finest stamps of chosen sources, and these."""
    distance = torch.maximum(*((v[:, None] - v[chosen]).abs() for v in (single.x, single.y)))
    return ((distance <= STAMP_HALF[0]) & (field[:, None] == field[chosen])).any(1)
