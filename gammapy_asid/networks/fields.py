# Licensed under a 3-clause BSD style license - see LICENSE
"""Band cubes as tensors."""

import numpy as np
import torch
import torch.nn.functional as F

from .description import conditions, extended_kernels, feature_kernels, trial_spectra
from .features import FieldBatch

__all__ = ["field_batch"]


def field_batch(cubes):
    """Stack band cubes of equal shape and response into what the network sees.

    Parameters
    ----------
    cubes : list of `~gammapy_asid.inputs.BandCube`
        Cubes with one response, all with a background or all without.

    Returns
    -------
    batch : `FieldBatch`
        Fields.
    """
    n, first = len(cubes), cubes[0]
    response, known = first.response, first.has_background
    levels = response.bands.levels

    def stack(name):
        columns = zip(*(getattr(cube, name) for cube in cubes), strict=True)
        return [torch.from_numpy(np.stack(column)).float() for column in columns]

    mask = torch.from_numpy(np.stack([cube.mask for cube in cubes])).float()
    masks = [
        F.avg_pool2d(mask[:, band : band + 1], 2**level)[:, 0] if level else mask[:, band]
        for band, level in enumerate(levels)
    ]

    def repeat(array):
        array = torch.as_tensor(array, dtype=torch.float32)
        return array.expand(n, *array.shape)

    return FieldBatch(
        levels=levels,
        counts=stack("counts"),
        # Without a prediction every valid pixel counts alike.
        background=stack("background") if known else masks,
        mask=masks,
        # The exposure of a cube holds the valid share of a pixel, which the mask states on its own.
        exposure=[e / m.clamp(min=1e-6) for e, m in zip(stack("exposure"), masks, strict=True)],
        kernels=repeat(feature_kernels(response)),
        spectra=repeat(trial_spectra(response)),
        conditions=repeat(conditions(response, known)),
        has_background=torch.full((n,), known),
        pixel_size=torch.full((n,), response.pixel_size),
        scale=response.bands.scale,
        extent_levels=response.bands.extent_levels,
        extended=[repeat(kernels) for kernels in extended_kernels(response)],
    )
