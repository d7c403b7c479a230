# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources that are put into patches: bright ones, and extended ones."""

from dataclasses import replace

import numpy as np
import torch

from .extended import BORDER
from .mock_catalog import SOURCE_CLASSES
from .patch_images import resized
from .patches import PatchSources
from .shapes import SHAPES, shape_images, shell_size
from .sky import source_counts
from .spectra import photon_flux
from .variations import random_structure

__all__ = ["bright_sources", "close_pairs", "extended_profiles", "extended_sources", "wrong_model"]

# Energies in GeV of the fluxes of sources.
FLUX_RANGE = (1, 100)

# Errors of a wrong model of a bright source: ranges of that of the flux, of the position in deg per width of
# the point spread function, and of the photon index.
FLUX_ERROR, SHIFT, INDEX_ERROR = (0.01, 0.2), (0.02, 0.5), (0.01, 0.2)
# Energy in GeV at which a wrong spectrum is right: few fits are better elsewhere.
PIVOT = 2.0

# Share of sources that are close pairs; share of the counts of the second one, and its distance in widths of
# the point spread function.
PAIR_SHARE, PAIR_PART, PAIR_DISTANCE = 0.3, (0.1, 0.5), (0.1, 0.5)

# Spectra of extended sources: mean and spread of the index and curvature, about those of PWN and SNR.
INDEX, BETA = (2.1, 0.3), (0.12, 0.1)
# Radii in deg of the source's light, from hardly resolved to that of the Large Magellanic Cloud.
RADIUS = (0.1, 1.5)
# Standard deviations of a Gaussian in the radius of about two thirds of its light.
GAUSSIAN_RADIUS = 1.5
# Largest axis ratio of Gaussians, and largest logarithmic contrast of clumps within extended sources.
ELONGATION, CLUMPS = 2.0, 0.7


def _flux(spectra):
    """Photon flux of sources, 1 / (cm2 s), shape ``(n,)``."""
    low, high = (torch.full_like(spectra["index"], e) for e in FLUX_RANGE)
    return photon_flux(spectra, low, high).to(low.dtype)


def bright_sources(rng, sources, bank, instrument, patch, x, y, flux):
    """Point sources at places, each with spectrum and class of one of the others.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of randomness.
    sources : `PatchSources`
        Others.
    bank : `~gammapy_asid.simulation.ResponseBank`
        Responses.
    instrument : `~torch.Tensor`
        Instrument of each patch, shape ``(n_patches,)``.
    patch, x, y, flux : `~torch.Tensor`
        Patch, position in finest pixels and photon flux of 1-100 GeV.

    Returns
    -------
    added : `PatchSources`
        Sources.
    """
    like = sources.select(torch.tensor(rng.integers(len(sources.x), size=len(x))))
    spectra = like.spectra | {"amplitude": like.spectra["amplitude"] * flux / _flux(like.spectra)}
    counts = source_counts(bank, instrument[patch], spectra)
    latitude = torch.full_like(x, torch.nan)
    return replace(like, patch=patch, x=x, y=y, flux=flux, spectra=spectra, counts=counts, latitude=latitude)


def wrong_model(rng, sources, bank, instrument, width):
    """Bright sources as a poor model has them: with another flux, position and spectrum.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of randomness.
    sources : `PatchSources`
        Sources.
    bank, instrument
        See `bright_sources`.
    width : float
        Width of the point spread function in deg.

    Returns
    -------
    sources : `PatchSources`
        Those of the model.
    """
    n = len(sources.x)

    def error(limits):
        values = np.exp(rng.uniform(*np.log(limits), n)) * rng.choice([-1, 1], n)
        return torch.tensor(values, dtype=torch.float32)

    spectra = sources.spectra
    index = spectra["index"] + error(INDEX_ERROR)
    amplitude = spectra["amplitude"] * (1 + error(FLUX_ERROR))
    amplitude = amplitude * (PIVOT / spectra["reference"]) ** (index - spectra["index"])
    counts = source_counts(
        bank, instrument[sources.patch], spectra | {"index": index, "amplitude": amplitude}
    )
    shift = error(SHIFT) * width / bank.pixel_size[instrument].float()[sources.patch]
    angle = torch.tensor(rng.uniform(0, np.pi, n), dtype=torch.float32)
    x, y = sources.x + shift * torch.cos(angle), sources.y + shift * torch.sin(angle)
    return replace(sources, x=x, y=y, counts=counts)


def close_pairs(rng, sources, width):
    """Sources of which some are two that no data tell apart.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of randomness.
    sources : `PatchSources`
        Sources.
    width : `~torch.Tensor`
        Width of the point spread function in finest pixels of each patch, shape ``(n_patches,)``.

    Returns
    -------
    sources : `PatchSources`
        With the same counts, the second ones of the pairs behind all others.
    """
    n = len(sources.x)
    part = rng.uniform(*PAIR_PART, n) * (rng.random(n) < PAIR_SHARE)
    angle, distance = rng.uniform(0, 2 * np.pi, n), rng.uniform(*PAIR_DISTANCE, n)
    values = (part, distance * np.cos(angle), distance * np.sin(angle))
    part, dx, dy = (torch.tensor(v, dtype=torch.float32) for v in values)
    width, share = width[sources.patch], part[:, None, None]
    main = replace(sources, counts=sources.counts * (1 - share))
    x, y = sources.x + dx * width, sources.y + dy * width
    return main.joined(replace(sources, x=x, y=y, counts=sources.counts * share).select(part > 0))


def extended_sources(rng, bank, instrument, patch, size):
    """Pulsar wind nebulae and supernova remnants with a photon flux of 1 / (cm2 s).

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of randomness.
    bank, instrument
        See `bright_sources`.
    patch : `~torch.Tensor`
        Patch of each, shape ``(n,)``.
    size : int
        Side of a patch in finest pixels.

    Returns
    -------
    sources : `PatchSources`
        Sources with ``kind``, ``width`` and ``pixel_width``.
    """
    n = len(patch)
    kind = torch.tensor(rng.integers(1, len(SHAPES), n))
    radius = torch.tensor(np.exp(rng.uniform(*np.log(RADIUS), n)), dtype=torch.float32)
    # Root mean square along one axis of a Gaussian, a disk and a shell of the radius
    width = radius * torch.tensor([0.0, 1 / GAUSSIAN_RADIUS, 0.5, shell_size(1.0)])[kind]
    index, beta = (torch.tensor(rng.normal(*v, n), dtype=torch.float32) for v in (INDEX, BETA))
    one = torch.ones(n)
    spectra = {"amplitude": one, "reference": one, "index": index, "beta": beta.clamp(min=0)}
    spectra |= {"lambda_": 0 * one, "alpha": one}
    spectra["amplitude"] = 1 / _flux(spectra)
    x, y = (torch.tensor(rng.uniform(0, size - 1, n), dtype=torch.float32) for _ in range(2))
    names = [SOURCE_CLASSES.index(name) for name in ("pwn", "snr")]
    return PatchSources(
        patch=patch,
        x=x,
        y=y,
        flux=one.clone(),
        spectra=spectra,
        counts=source_counts(bank, instrument[patch], spectra),
        latitude=torch.full((n,), torch.nan),
        width=width,
        pixel_width=width / bank.pixel_size[instrument].float()[patch],
        kind=kind,
        source_class=torch.tensor(rng.choice(names, n).astype(np.int8)),
    )


def extended_profiles(rng, generator, sources, size):
    """Brightness of extended sources, which is not smooth, on finest pixels with a border.

    Parameters
    ----------
    rng, generator : `~numpy.random.Generator`, `~torch.Generator`
        Sources of randomness.
    sources : `PatchSources`
        Result of `extended_sources`.
    size : int
        Side of a patch in finest pixels.

    Returns
    -------
    profiles : `~torch.Tensor`
        Shape ``(n, side, side)``; each adds up to one.
    """
    n, side = len(sources.x), size + 2 * BORDER
    ratio = torch.tensor(rng.uniform(1, ELONGATION, n), dtype=torch.float32)
    angle = torch.tensor(rng.uniform(0, np.pi, n), dtype=torch.float32)
    place = sources.x + BORDER, sources.y + BORDER
    smooth = shape_images(sources.kind, *place, sources.pixel_width, side, ratio, angle)
    strength = torch.tensor(rng.uniform(0, CLUMPS, (n, 1, 1)), dtype=torch.float32)
    clumped = smooth * torch.exp(strength * resized(random_structure(n, side // 2, generator), (side, side)))
    return clumped / clumped.sum((1, 2), keepdim=True)
