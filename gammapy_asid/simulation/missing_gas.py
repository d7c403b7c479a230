# Licensed under a 3-clause BSD style license - see LICENSE
"""Interstellar gas on small scales that models of the emission lack: clumps and filaments.

All of it shines as gas does, in proportion to the gas around it, and is what a detector takes for sources.
"""

import numpy as np
import torch
import torch.nn.functional as F

from .extended import BORDER
from .patch_images import resized
from .shapes import SHAPES, shape_images
from .sky_grid import INTERVALS
from .spectra import photon_flux
from .variations import random_structure

__all__ = ["REFERENCE_INTERVAL", "draw_clumps", "draw_filaments", "gas_intensity", "unit_spectra"]

#: Energies in GeV in which intensities and fluxes are given, and their interval.
REFERENCE = (1.0, 2.0)
REFERENCE_INTERVAL = INTERVALS.index(REFERENCE[0])

#: Photon index at 1 GeV and curvature of the emission of gas, those of what gll_iem_v07 has more within 1 deg
#: of the plane than within 5 deg, and the spread of the index from cloud to cloud.
GAS_INDEX, GAS_BETA, GAS_SPREAD = 2.15, 0.125, 0.1

# Intensity in the reference energies of what is no gas, that of gll_iem_v07 at the poles in 1 / (cm2 s sr),
# and least share of the gas: inverse-Compton emission does not outshine all gas anywhere.
NO_GAS, LEAST_GAS = 4.5e-7, 0.1

# Clumps in a square degree of the brightest gas; their number grows with the brightness of the gas until
# that of PLANE, which it has within 5 deg of the plane: more of them merge. They are drawn up to REACH finest
# pixels around a patch.
DENSITY, PLANE, REACH = 0.6, 1e-5, 8
# Width of the clumps in deg, from what no instrument resolves, and their axis ratio, that of filaments.
WIDTH, ELONGATION = (0.015, 0.5), (1.0, 8.0)
# Range of the contrast to the gas around of a patch's clumps of the width TYPICAL, and the spread of its
# logarithm from clump to clump: of the flux they would make, which grows with the width to the power one.
CONTRAST, SPREAD, TYPICAL = (0.03, 0.7), 0.5, 0.15
# Clumps narrower than this many finest pixels are drawn as points.
NARROW = 0.35

# Largest contrast of filaments over that of clumps, and their width over the scale of the structure that
# they run along.
FILAMENTS, FILAMENT_WIDTH = 0.5, (0.03, 0.15)


def gas_intensity(intensity, size):
    """Brightness of the gas on finest pixels in and around patches.

    Parameters
    ----------
    intensity : `~torch.Tensor`
        Intensity of the emission, shape ``(n, n_intervals, gy, gx)``.
    size : int
        Side of a patch in finest pixels.

    Returns
    -------
    gas : `~torch.Tensor`
        In 1-2 GeV, 1 / (cm2 s sr), with a border of `~gammapy_asid.simulation.extended.BORDER` pixels.
    """
    total = intensity[:, REFERENCE_INTERVAL]
    gas = torch.maximum(total - NO_GAS, LEAST_GAS * total)
    return F.pad(resized(gas, (size, size))[:, None], [BORDER] * 4, mode="replicate")[:, 0]


def unit_spectra(index, beta):
    """Log-parabolas with a photon flux of 1 / (cm2 s) in 1-2 GeV.

    Parameters
    ----------
    index : `~torch.Tensor`
        Photon index at 1 GeV, shape ``(n,)``.
    beta : float
        Curvature.

    Returns
    -------
    spectra : dict of `~torch.Tensor`
        See `~gammapy_asid.simulation.spectra.differential_flux`.
    """
    one, zero = torch.ones_like(index), torch.zeros_like(index)
    spectra = {"amplitude": one, "reference": one, "index": index, "beta": one * beta}
    spectra |= {"lambda_": zero, "alpha": one}
    low, high = (one * e for e in REFERENCE)
    return spectra | {"amplitude": (1 / photon_flux(spectra, low, high)).to(index.dtype)}


def draw_clumps(rng, generator, gas, pixel_size):
    """Clumps of gas.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of randomness.
    generator : `~torch.Generator`
        Source of their places.
    gas : `~torch.Tensor`
        Result of `gas_intensity`, shape ``(n, ny, nx)``.
    pixel_size : `~torch.Tensor`
        Of the finest pixels in deg, shape ``(n,)``.

    Returns
    -------
    contrast : `~torch.Tensor`
        Of the resolved clumps to the gas of TYPICAL ones, one a patch, shape ``(n,)``.
    flux : `~torch.Tensor`
        Flux of the resolved clumps in 1-2 GeV in each pixel, 1 / (cm2 s), shape of the gas.
    points : tuple of `~torch.Tensor`
        Patch, position in finest pixels of the patch, and flux of those that look like points.
    """
    n, side, _ = gas.shape
    inner = slice(BORDER - REACH, side - BORDER + REACH)
    near = gas[:, inner, inner]
    width = near.shape[-1]
    area = (width * pixel_size) ** 2
    mean = near.mean((1, 2))
    rate = DENSITY * area * mean / (mean + PLANE)
    number = rng.poisson(rate.cpu().numpy())
    patch = torch.tensor(np.repeat(np.arange(n), number))
    # Each patch draws as many places as the one with most clumps.
    place = torch.multinomial(near.flatten(1), max(number.max(), 1), replacement=True, generator=generator)
    place = place[torch.arange(place.shape[1]) < torch.tensor(number)[:, None]]
    row, column = torch.div(place, width, rounding_mode="floor"), place % width

    contrast = torch.tensor(np.exp(rng.uniform(*np.log(CONTRAST), n)), dtype=torch.float32)
    jitter, draws = rng.uniform(-0.5, 0.5, (2, len(patch))), rng.random((3, len(patch)))
    jitter, draws = (torch.tensor(v, dtype=torch.float32) for v in (jitter, draws))
    size, ratio = (lo * (hi / lo) ** u for (lo, hi), u in zip((WIDTH, ELONGATION), draws, strict=False))
    bright = torch.tensor(rng.lognormal(0, SPREAD, len(patch)), dtype=torch.float32)
    # That of a Gaussian of the typical width as bright as the gas
    solid_angle = 2 * torch.pi * np.radians(TYPICAL) ** 2
    flux = near[patch, row, column] * contrast[patch] * bright * solid_angle * size / TYPICAL

    x, y = column - REACH + jitter[0], row - REACH + jitter[1]
    pixels = size / pixel_size[patch]
    wide = pixels > NARROW
    total = torch.zeros_like(gas)
    if wide.any():
        stamps = shape_images(
            torch.full((int(wide.sum()),), SHAPES.index("gaussian")),
            x[wide] + BORDER,
            y[wide] + BORDER,
            pixels[wide],
            side,
            ratio[wide],
            torch.pi * draws[2][wide],
        )
        total.index_add_(0, patch[wide], flux[wide, None, None] * stamps)
    return contrast, total, tuple(v[~wide] for v in (patch, x, y, flux))


def draw_filaments(rng, generator, gas, pixel_size, contrast):
    """Filaments of gas along the lines on which a random image is zero.

    Parameters
    ----------
    rng, generator, gas, pixel_size
        See `draw_clumps`.
    contrast : `~torch.Tensor`
        Contrast of the clumps, shape ``(n,)``.

    Returns
    -------
    flux : `~torch.Tensor`
        Flux in 1-2 GeV in each pixel, 1 / (cm2 s), shape of the gas.
    """
    n, side, _ = gas.shape
    lines, strength = random_structure(2 * n, side // 2, generator, slope=3.0).view(
        2, n, side // 2, side // 2
    )
    width = torch.tensor(np.exp(rng.uniform(*np.log(FILAMENT_WIDTH), (n, 1, 1))), dtype=torch.float32)
    ridge = torch.exp(-0.5 * (lines / width) ** 2) * strength.clamp(min=0)
    height = torch.tensor(rng.uniform(0, FILAMENTS, n), dtype=torch.float32) * contrast
    solid_angle = torch.deg2rad(pixel_size) ** 2
    return (height * solid_angle)[:, None, None] * resized(ridge, (side, side)) * gas
