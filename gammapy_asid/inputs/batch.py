# Licensed under a 3-clause BSD style license - see LICENSE
"""Band cubes as tensors."""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from ..utils.devices import Movable
from .bands import LAT_PIXEL_SIZE
from .conditioning import conditions, extended_kernels, feature_kernels, trial_spectra

__all__ = ["FieldBatch", "field_batch"]


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


@dataclass(kw_only=True)
class FieldBatch(Movable):
    """Fields of equal shape as tensors: what the network sees.

    Parameters
    ----------
    levels : tuple of int
        Resolution level of each band.
    counts, background, mask, exposure : list of `~torch.Tensor`
        Per band, shape ``(n, ny / 2**level, nx / 2**level)``: counts, predicted
        counts of the known sky (ones where unknown), share of valid pixels, and
        exposure over its mean.
    kernels : `~torch.Tensor`
        Point spread function on each band's pixels, shape ``(n, n_bands, k, k)``.
    spectra : `~torch.Tensor`
        Counts in each band of a source of unit total counts for the trial
        spectra, shape ``(n, n_spectra, n_bands)``; zero in absent bands.
    conditions : `~torch.Tensor`
        Instrument description, shape ``(n, n_conditions)``.
    has_background : `~torch.Tensor`
        Whether the background is a prediction, bool of shape ``(n,)``.
    pixel_size : `~torch.Tensor`
        Finest pixel size in deg, shape ``(n,)``.
    scale : float
        Nominal pixel size of the bands over that of the LAT.
    extent_levels : tuple of int
        Level of the significance of each extent.
    extended : list of `~torch.Tensor`
        Matched filters of extended sources, each of shape ``(n, n_bands, k, k)``, see
        `~gammapy_asid.inputs.conditioning.extended_kernels`.
    """

    levels: tuple
    counts: list
    background: list
    mask: list
    exposure: list
    kernels: torch.Tensor
    spectra: torch.Tensor
    conditions: torch.Tensor
    has_background: torch.Tensor
    pixel_size: torch.Tensor
    scale: float = 1.0
    extent_levels: tuple = ()
    extended: list = field(default_factory=list)

    def __len__(self):
        return len(self.has_background)

    @property
    def device(self):
        """Where the tensors are."""
        return self.has_background.device

    @property
    def nominal(self):
        """Nominal size of the finest pixels in finest pixels, shape ``(n,)``."""
        return LAT_PIXEL_SIZE * self.scale / self.pixel_size

    @property
    def field_mask(self):
        """Share of valid data in each finest pixel in any band, shape ``(n, ny, nx)``."""
        finest = [mask for mask, level in zip(self.mask, self.levels, strict=True) if level == 0]
        return torch.stack(finest).amax(0)
