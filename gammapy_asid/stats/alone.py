# Licensed under a 3-clause BSD style license - see LICENSE
"""Fields that hold one source each, beside what the others are known to be."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from .source_images import source_images
from .source_stamps import STAMP_HALF

__all__ = ["alone"]

#: Finest pixels around the stamps of a source: half its distance from a second one, and their way.
BORDER = 8


def alone(batch, tables, sky, field, fit, chosen):
    """A small field around each of some sources, in which the others are part of the known sky.

    Hypotheses on one source are then compared without what its neighbours gain or lose.

    Parameters
    ----------
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields.
    tables : `~torch.Tensor`
        Result of `~gammapy_asid.inputs.psf.psf_tables`.
    sky : list of `~torch.Tensor`
        Known sky with all sources, shape as the counts.
    field : `~torch.Tensor`
        Field of each source, shape ``(n,)``.
    fit : `~gammapy_asid.stats.point_fit.PointFit`
        Sources.
    chosen : `~torch.Tensor`
        Indices of those that get a field, shape ``(n_chosen,)``.

    Returns
    -------
    fields : `~gammapy_asid.inputs.batch.FieldBatch`
        Small fields.
    around : list of `~torch.Tensor`
        All but the source in each, shape as their counts.
    corner : `~torch.Tensor`
        Column and row of their first pixel in finest pixels, shape ``(n_chosen, 2)``.
    """
    own, field = fit.select(chosen), field[chosen]
    block = 2 ** max(batch.levels)
    reach = max(STAMP_HALF[level] << level for level in set(batch.levels)) + BORDER
    reach = -(-reach // block)
    place = torch.stack([own.x, own.y], -1)
    shape = torch.tensor(batch.field_mask.shape[:0:-1], device=place.device)
    corner = torch.minimum(torch.round(place).long().clamp(min=0), shape - 1) // block - reach
    size = (2 * reach + 1) * block

    def cut(images):
        return [
            _cut(image, field, corner * (block >> level), size >> level, reach * block >> level)
            for image, level in zip(images, batch.levels, strict=True)
        ]

    small = replace(
        batch,
        counts=cut(batch.counts),
        background=cut(batch.background),
        mask=cut(batch.mask),
        exposure=cut(batch.exposure),
        kernels=batch.kernels[field],
        spectra=batch.spectra[field],
        conditions=batch.conditions[field],
        has_background=batch.has_background[field],
        pixel_size=batch.pixel_size[field],
        extent_levels=(),
        extended=[],
    )
    number, place = torch.arange(len(chosen), device=place.device), place - corner * block
    images = source_images(
        tables, batch.levels, (len(chosen), size, size), number, *place.unbind(-1), own.counts
    )
    around = [
        (everything - image * exposure * mask).clamp(min=0)
        for everything, image, exposure, mask in zip(
            cut(sky), images, small.exposure, small.mask, strict=True
        )
    ]
    return small, around, corner * block


def _cut(images, field, corner, size, border):
    """Squares of images from their first pixels on, zero outside."""
    offset = torch.arange(size, device=images.device)
    column, row = (corner + border).unbind(-1)
    padded = F.pad(images, [border, border + size, border, border + size])
    return padded[
        field[:, None, None], (row[:, None] + offset)[:, :, None], (column[:, None] + offset)[:, None]
    ]
