# Licensed under a 3-clause BSD style license - see LICENSE
"""How well models of the sources describe small fields, be the sky around them what it may."""

import torch

from .band_fit import LEVEL_PRIOR, LEVEL_RANGE
from .known_sky import MIN_BACKGROUND
from .significance import score_terms, signed_significance
from .source_stamps import STAMP_HALF, nearest_pixel, source_stamps

__all__ = ["best_levels", "dispersion"]

#: Median of the square of a standard normal variable.
MEDIAN = 0.4549

#: Steps to the best level of the sky: each squares the relative error.
N_STEPS = 5


def best_levels(batch, sky, images, x, y):
    """Likelihood of models on the stamps around one source a field, the level of the sky in each band free.

    Parameters
    ----------
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields, ``n`` of them.
    sky, images : list of `~torch.Tensor`
        Expected counts per band of the sky, and of the sources that are compared; shape as the counts.
    x, y : `~torch.Tensor`
        Middle of the stamps in finest pixels, shape ``(n,)``.

    Returns
    -------
    likelihood : `~torch.Tensor`
        Twice the logarithm, shape ``(n, n_bands)``, without what no model changes.
    level : `~torch.Tensor`
        Factor on the sky, of that shape.
    """
    field = torch.arange(len(x), device=x.device)
    prior = torch.where(batch.has_background, *LEVEL_PRIOR).to(x)
    result = []
    for band, band_level in enumerate(batch.levels):
        half, place = STAMP_HALF[band_level], nearest_pixel(x, y, band_level, sky[band].shape)
        stamps = (batch.counts[band], sky[band], images[band], (batch.mask[band] > 0).to(x))
        counts, around, source, valid = (source_stamps(image, field, *place, half) for image in stamps)
        level = torch.ones_like(x)
        for _ in range(N_STEPS):
            model = (level[:, None, None] * around + source).clamp(min=MIN_BACKGROUND)
            slope = ((counts / model - 1) * around * valid).sum((1, 2)) + (1 - level) / prior**2
            information = (counts * (around / model) ** 2 * valid).sum((1, 2)) + 1 / prior**2
            level = (level + slope / information).clamp(*LEVEL_RANGE)
        model = (level[:, None, None] * around + source).clamp(min=MIN_BACKGROUND)
        terms = 2 * ((counts * torch.log(model) - model) * valid).sum((1, 2))
        result.append((terms - ((level - 1) / prior) ** 2, level))
    return tuple(torch.stack(values, 1) for values in zip(*result, strict=True))


def dispersion(batch, model, x, y):
    """Squared significance of sources on what models leave around one source a field, by its median.

    It is one where the model is right, and near it beside few sources that the model lacks. Where it
    lacks structure of the sky, likelihood ratios are larger by chance by that factor (quasi-likelihood,
    McCullagh & Nelder 1989, Generalized Linear Models, chapter 9).

    Parameters
    ----------
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields, ``n`` of them.
    model : list of `~torch.Tensor`
        Expected counts of everything per band, shape as the counts.
    x, y : `~torch.Tensor`
        Middle of the stamps in finest pixels, shape ``(n,)``.

    Returns
    -------
    dispersion : `~torch.Tensor`
        At least one, shape ``(n, n_bands)``.
    """
    field, result = torch.arange(len(x), device=x.device), []
    # What lies around the stamps shines into them
    border = batch.kernels.shape[-1] // 2
    for band, level in enumerate(batch.levels):
        place = nearest_pixel(x, y, level, model[band].shape)
        images = batch.counts[band], model[band], batch.mask[band], batch.exposure[band]
        counts, expected, mask, exposure = (
            source_stamps(image, field, *place, STAMP_HALF[level] + border) for image in images
        )
        terms = score_terms(
            counts, expected.clamp(min=MIN_BACKGROUND), mask, exposure, batch.kernels[:, band]
        )
        inner = slice(border, -border)
        terms = [term[:, inner, inner] for term in terms]
        # Where no pixel is valid transforms leave their rounding
        seen = (mask[:, inner, inner] > 0) & (terms[2] > 1e-6)
        squared = torch.where(seen, signed_significance(*terms) ** 2, torch.nan)
        result.append(squared.flatten(1).nanmedian(1).values / MEDIAN)
    return torch.stack(result, 1).nan_to_num(1.0).clamp(min=1)
