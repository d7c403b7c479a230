# Licensed under a 3-clause BSD style license - see LICENSE
"""The score test for a source with the level of the emission around it free."""

import torch

from .correlation import correlate_pairs

__all__ = ["profiled_score_terms", "windows"]

#: Radius of the window in units of the 68 % radius of the point spread function, and the smallest one in
#: pixels: narrower ones hold too little of the surroundings to tell a source from a higher level.
WINDOW, SMALLEST = 3.0, 3.0

#: Counts that tie the level of each part to the known sky; one that is off by a half is no surprise.
PRIOR = 4.0

#: One Newton step from an empty window may end below zero; no level is below this share of the known sky.
LOWEST = 0.2

#: Least share of the information that is left: in windows of few pixels cut by a mask a source and a higher
#: level are the same.
LEAST = 0.05


def windows(kernels):
    """Windows around a source in which the level of the emission is free: disks of a few widths.

    Parameters
    ----------
    kernels : `~torch.Tensor`
        Point spread functions, shape ``(..., k, k)``.

    Returns
    -------
    windows : `~torch.Tensor`
        Ones and zeros, shape of the kernels.
    """
    half = kernels.shape[-1] // 2
    step = torch.arange(-half, half + 1, device=kernels.device, dtype=kernels.dtype)
    distance = torch.hypot(step[:, None], step)
    order = distance.flatten().argsort(stable=True)
    within = kernels.flatten(-2)[..., order].cumsum(-1)
    inside = (within < 0.68 * within[..., -1:]).sum(-1).clamp(max=len(order) - 1)
    radius = (WINDOW * distance.flatten()[order][inside]).clamp(SMALLEST, half)
    return (distance <= radius[..., None, None]).to(kernels.dtype)


def profiled_score_terms(counts, background, mask, exposure, kernels):
    """Terms of the score test on the known sky, and with its level and an isotropic part free nearby.

    Around each pixel the sky is ``(1 + s) b + t e`` (known sky ``b``, exposure ``e``) within the window of
    the pixel. One Newton step from ``s = t = 0`` without a source, tied to the known sky by a few counts,
    gives the level that the counts around the pixel prefer, and with it the expected value of the score and
    what is left of its variance: the test of Rao with nuisance parameters (Neyman 1959, in Probability and
    Statistics, ed. Grenander, 213).

    Parameters
    ----------
    counts, background, mask, exposure, kernels
        See `~gammapy_asid.stats.significance.score_terms`.

    Returns
    -------
    terms, profiled : tuple of `~torch.Tensor`
        Each as the result of `~gammapy_asid.stats.significance.score_terms`.
    """
    weight = exposure * mask
    valid = (mask > 0).to(counts.dtype)
    images = [
        weight * counts / background,
        weight,
        weight**2 / background,
        (counts - background) * valid,
        background * valid,
    ]
    pairs = ((0, 0), (1, 0), (2, 1), (2, 0), (3, 2), (4, 2), (0, 2), (1, 2), (2, 2))
    observed, expected, information, isotropic, excess, level, seen, exposed, square = correlate_pairs(
        images, [kernels, kernels**2, windows(kernels)], pairs
    )
    level = level.clamp(min=0)
    # The isotropic part in units of the known sky of the window
    unit = level / exposed.clamp(min=1e-6)
    isotropic = unit * isotropic
    slope = unit * (seen - exposed)
    first, second = level + PRIOR, unit**2 * square.clamp(min=0) + PRIOR
    determinant = (first * second - level**2).clamp(min=1e-6)
    scale = (second * excess - level * slope) / determinant
    offset = (first * slope - level * excess) / determinant
    known = expected.clamp(min=1e-12)
    ratio = (1 + scale + offset * isotropic / known).clamp(min=LOWEST)
    lost = (second * expected**2 - 2 * level * expected * isotropic + first * isotropic**2) / determinant
    left = torch.maximum(information - lost, LEAST * information)
    return (observed, expected, information), (observed, expected * ratio, left * ratio)
