# Licensed under a 3-clause BSD style license - see LICENSE
"""What the sources of an image have in common: errors of the point spread function and of the sky, crowds."""

import numpy as np
import torch

from ..channels import neighbour_correlation

__all__ = ["CONFUSION", "N_SURROUNDINGS", "surroundings"]

#: Significance of sources that tell of errors of the point spread function.
BRIGHT = 30.0

#: Density in the square of the full width at half maximum below which it makes no difference.
EMPTY = 1e-3

#: Deviations of a pixel beyond which it tells nothing of the correlation of the noise.
QUIET = 3.0

#: Numbers of an image: what its bright sources leave at five widths and the sky around them; what is left in
#: core and stamp of a usual source, its significance, and how much neighbours cost; how much the bright ones
#: tell, the correlation of the noise, and the density.
N_SURROUNDINGS = 13

#: Where the logarithm of the scatter in stamps of usual sources is among these.
CONFUSION = 7


def surroundings(batch, fit, beyond, usual):
    """Numbers that are the same for all sources of an image.

    Parameters
    ----------
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        Images.
    fit : `~gammapy_asid.optical.fit.joint.JointFit`
        Fit of all of their sources.
    beyond : `~torch.Tensor`
        What the fit leaves of each source, relative to its light, shape ``(k, 6)``.
    usual : `~torch.Tensor`
        Other numbers of each source whose medians tell of the image, shape ``(k, 4)``.

    Returns
    -------
    numbers : `~torch.Tensor`
        Those of the image of each source, shape ``(k, N_SURROUNDINGS)``.
    density : `~torch.Tensor`
        Sources in the area of a square of the full width at half maximum, shape ``(k,)``.
    """
    significance = torch.nan_to_num(fit.flux / fit.flux_err).clamp(min=0)
    # Squares of the significance up to that of bright ones, so that none rules alone
    weight = significance**2 / (significance**2 + BRIGHT**2)
    n = len(batch)
    medians = [_medians(column, weight, fit.image, n) for column in torch.nan_to_num(beyond).T]
    even = torch.ones_like(weight)
    medians += [_medians(column, even, fit.image, n) for column in torch.nan_to_num(usual).T]
    area = batch.valid.sum((1, 2)).clamp(min=1) / batch.fwhm**2
    density = torch.bincount(fit.image, minlength=n) / area
    told = torch.log1p(torch.zeros(n).index_add_(0, fit.image, weight))
    left = fit.residual / torch.sqrt(batch.variance.clamp(min=1e-6))
    shared = neighbour_correlation(torch.where(left.abs() < QUIET, left, 0.0))
    numbers = torch.stack([*medians, told, shared, torch.log(density + EMPTY)], 1)
    return numbers[fit.image], density[fit.image].float()


def _medians(values, weight, image, n):
    """Weighted median of the sources of each image, 0 without any; shape ``(n,)``."""
    order = np.lexsort((values.numpy(), image.numpy()))
    total = np.cumsum(weight.double().numpy()[order])
    ends = np.searchsorted(image.numpy()[order], np.arange(n), side="right") - 1
    medians = np.zeros(n, np.float32)
    some = np.bincount(image.numpy(), minlength=n) > 0
    after = total[ends[some]]
    before = np.concatenate([[0.0], after[:-1]])
    middle = np.searchsorted(total, (before + after) / 2)
    medians[some] = values.numpy()[order][np.minimum(middle, ends[some])]
    return torch.from_numpy(medians)
