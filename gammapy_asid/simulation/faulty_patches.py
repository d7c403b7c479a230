# Licensed under a 3-clause BSD style license - see LICENSE
"""Patches of the LAT's sky on which a detector finds what is none: skies, masks and models that are wrong."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn.functional import normalize

from ..stats.known_sky import MIN_BACKGROUND
from .added_sources import bright_sources, close_pairs, extended_profiles, extended_sources, wrong_model
from .extended import ExtendedSources
from .field_patches import image_significance
from .lat_patches import LatSimulator
from .missing_gas import (
    GAS_BETA,
    GAS_INDEX,
    GAS_SPREAD,
    REFERENCE_INTERVAL,
    draw_clumps,
    draw_filaments,
    gas_intensity,
    unit_spectra,
)
from .patch_images import mean_on_level
from .patch_simulator import PSF_WIDTH
from .patches import SimulatedPatches
from .sky import ResponseBank, render_sources, source_counts
from .variations import patch_axes
from .wrong_emission import draw_edges, wrong_prediction
from .wrong_masks import places_outside, ragged_masks

__all__ = ["FAULTS", "FaultyLatSimulator", "FaultyPatches"]

#: Faults by number, and their shares: none is a patch as those of training are; gas on small scales that the
#: prediction lacks; a prediction wrong on large scales; ragged masks; bright sources with a wrong point
#: spread function or model; extended sources.
FAULTS = {"none": 0.3, "gas": 0.25, "emission": 0.15, "masks": 0.1, "bright": 0.1, "extended": 0.1}

# Relative error of the width of the point spread function.
PSF_ERROR = (0.03, 0.1)

# Share of the patches of wrong emission with a bubble or arc; its brightness over that of the emission in
# 1-2 GeV, and its photon index: inverse-Compton emission is harder than that of gas.
EDGE_SHARE, EDGE_LEVEL, EDGE_INDEX = 0.5, (0.05, 0.5), (1.9, 2.5)

# Bright neighbours outside of a ragged field; how many finest pixels away: a candidate nearer to one than
# sources are matched is at the source, and no light of those farther off arrives; logarithms of their fluxes.
NEIGHBOURS, NEIGHBOUR_DISTANCE, NEIGHBOUR_FLUX = 3, (3.0, 9.0), (-9.0, -6.5)

# Logarithms of the fluxes of bright sources, the brightest those of Geminga and the Crab; most of them in a
# patch, share of the patches with more than one, and of the sources that are modelled.
BRIGHT_FLUX, N_BRIGHT, SECOND, MODELLED_SHARE = (-8.7, -6.2), 2, 0.3, 0.5
# Most extended sources in a patch, and their expected significance.
N_EXTENDED, SIGNIFICANCE = 2, (4.0, 100.0)


@dataclass(kw_only=True)
class FaultyPatches(SimulatedPatches):
    """Simulated patches and what is wrong with them.

    Parameters
    ----------
    fault : `~torch.Tensor`
        Index in `FAULTS` of each patch, int8 of shape ``(n_patches,)``.
    """

    fault: torch.Tensor


class FaultyLatSimulator(LatSimulator):
    """Draws patches with one fault each; without faults they are those of `LatSimulator` of equal seeds.

    What has no fault of its own, gas as well, is never among the true sources.

    Parameters
    ----------
    *args, **kwargs
        See `LatSimulator`.
    shares : dict of float, optional
        Shares of the patches by fault, in any scale; faults that are not named are not made.
    """

    def __init__(self, *args, shares=FAULTS, **kwargs):
        super().__init__(*args, **kwargs)
        unknown = set(shares) - set(FAULTS)
        if unknown or not sum(shares.values()) > 0:
            raise ValueError(
                f"Shares {shares} are not those of {', '.join(FAULTS)}: name at least one of them"
            )
        share = np.array([shares.get(name, 0.0) for name in FAULTS])
        self.shares = share / share.sum()
        self.extended = ExtendedSources(self.bank, self.size)
        # On pixels larger than its own an image is narrower.
        rng = np.random.default_rng(0)
        factor = np.exp(rng.choice([-1, 1], len(self.weights)) * rng.uniform(*PSF_ERROR, len(self.weights)))
        self.wrong_bank = ResponseBank(
            [
                replace(r, pixel_size=float(r.pixel_size * f))
                for r, f in zip(self.bank.responses, factor, strict=True)
            ]
        )

    @classmethod
    def like(cls, simulator, share):
        """Simulator of the same sky and instruments with faults.

        Parameters
        ----------
        simulator : `LatSimulator`
            Simulator, on the CPU.
        share : float
            Share of the patches with a fault; among these the faults are as frequent as in `FAULTS`.

        Returns
        -------
        faulty : `FaultyLatSimulator`
            Simulator.
        """
        shares = {name: share * value / (1 - FAULTS["none"]) for name, value in FAULTS.items()}
        return cls(**simulator.settings, shares=shares | {"none": 1 - share})

    def _draw(self, n, rng, generator, instrument):
        # Own random numbers: what has no fault stays as it is.
        (own,) = rng.spawn(1)
        device_own = torch.Generator(self.device).manual_seed(int(own.integers(2**62)))
        fault = own.choice(len(FAULTS), n, p=self.shares)
        sky = self._sky(n, rng, generator, instrument)
        unset = torch.full_like(sky.sources.x, torch.nan)
        sky.sources = replace(sky.sources, width=torch.zeros_like(unset), significance=unset)
        spoilers = (self._add_gas, self._wrong_emission, self._wrong_masks, self._bright, self._extended)
        for number, spoil in enumerate(spoilers, start=1):
            chosen = torch.tensor(np.flatnonzero(fault == number))
            if len(chosen):
                spoil(sky, chosen, own, device_own)
        patches = self._observed(sky, generator)
        return FaultyPatches(**vars(patches), fault=torch.tensor(fault.astype(np.int8)))

    def significance(self, instrument, sources, emission, mask):
        """Expected significance, of extended sources as it was set; see `PatchSimulator.significance`."""
        values = super().significance(instrument, sources, emission, mask)
        return torch.where(sources.significance.isnan(), values, sources.significance)

    def _add_gas(self, sky, chosen, rng, generator):
        """Gas that the prediction lacks."""
        instrument, exposure = sky.instrument[chosen], sky.exposure[chosen]
        pixel_size = self.bank.pixel_size[instrument].float()
        gas = gas_intensity(sky.intensity[0][chosen], self.size)
        contrast, flux, (patch, x, y, points) = draw_clumps(rng, generator, gas, pixel_size)
        flux = flux + draw_filaments(rng, generator, gas, pixel_size, contrast)
        index = torch.tensor(rng.normal(GAS_INDEX, GAS_SPREAD, len(chosen)), dtype=torch.float32)
        counts = source_counts(self.bank, instrument, unit_spectra(index, GAS_BETA))
        counts = counts * exposure[:, None, None]
        shape = (self.size, self.size)
        point_counts = counts[patch] * points[:, None, None]
        _add(sky.emission, chosen, self.extended.convolved(instrument, flux, counts.sum(-1)))
        images = render_sources(self.bank, instrument[patch], patch, x, y, point_counts, shape, len(chosen))
        _add(sky.emission, chosen, images)

    def _wrong_emission(self, sky, chosen, rng, generator):
        """A prediction that is wrong on large scales."""
        instrument, exposure = sky.instrument[chosen], sky.exposure[chosen]
        pixel_size = self.bank.pixel_size[instrument].float()
        places = sky.centres[chosen], sky.roll[chosen]
        _, other = self._intensity(generator, instrument, *places)
        known = sky.intensity[1][chosen]
        # Levels have an error of their own, and may be far from those of the models
        other = other * (known.mean((1, 2, 3)) / other.mean((1, 2, 3)))[:, None, None, None]
        wrong = wrong_prediction(rng, known, other, self.size * pixel_size / known.shape[-1])
        before, after = (self._counts(instrument, exposure, image) for image in (known, wrong))
        _add(sky.prediction, chosen, [a - b for a, b in zip(after, before, strict=True)])

        # Light of what lies beyond the border is made up for by that of the patch.
        edges = draw_edges(rng, pixel_size, self.size)
        level = sky.intensity[0][chosen, REFERENCE_INTERVAL].mean((1, 2)) * torch.deg2rad(pixel_size) ** 2
        level = level * _tensor(np.exp(rng.uniform(*np.log(EDGE_LEVEL), len(chosen))))
        level = level * _tensor(rng.random(len(chosen)) < EDGE_SHARE) * exposure
        unit = unit_spectra(_tensor(rng.uniform(*EDGE_INDEX, len(chosen))), 0.0)
        counts = source_counts(self.bank, instrument, unit).sum(-1) * level[:, None]
        both = torch.cat([edges, torch.ones_like(edges)])
        one = torch.ones_like(counts)
        images = self.extended.convolved(instrument.repeat(2), both, torch.cat([one, one]))
        missing = _tensor(rng.random(len(chosen)) < 0.5)[:, None, None]
        for band, image in enumerate(images):
            inside, whole = image.chunk(2)
            area = 4 ** self.bands.levels[band]
            bubble = area * counts[:, band, None, None] * inside / whole.clamp(min=1e-6)
            sky.emission[band][chosen] += missing * bubble
            sky.prediction[band][chosen] += (1 - missing) * bubble
            # Smoothing of images with strong sources may leave little below zero.
            sky.prediction[band][chosen] = sky.prediction[band][chosen].clamp(min=0)

    def _wrong_masks(self, sky, chosen, rng, generator):
        """Ragged masks with bright neighbours outside."""
        masks = ragged_masks(rng, len(chosen), self.size)
        present = self.bank.present[sky.instrument[chosen]]
        for band, level in enumerate(self.bands.levels):
            share = mean_on_level(torch.tensor(masks), level)
            sky.mask[band][chosen] = share * present[:, band, None, None]
        patch, x, y = places_outside(rng, masks, NEIGHBOURS, NEIGHBOUR_DISTANCE)
        flux = 10 ** rng.uniform(*NEIGHBOUR_FLUX, len(x))
        sources = self._bright_sources(sky, rng, chosen[torch.tensor(patch)], x, y, flux)
        images = self.images(sky.instrument, sources)
        sky.images = [i + a for i, a in zip(sky.images, images, strict=True)]
        _append(sky, sources, False)

    def _bright_sources(self, sky, rng, patch, x, y, flux):
        """Point sources with the spectra of those of the sky."""
        x, y, flux = (_tensor(v) for v in (x, y, flux))
        sources = bright_sources(rng, sky.sources, self.bank, sky.instrument, patch, x, y, flux)
        return replace(sources, latitude=self._latitude(sky, sources))

    def _latitude(self, sky, sources):
        """Galactic latitude of positions in patches in deg."""
        centre, axis_x, axis_y = (axis[sources.patch] for axis in patch_axes(sky.centres, sky.roll))
        step = torch.deg2rad(self.bank.pixel_size[sky.instrument].float())[sources.patch, None]
        dx, dy = ((v[:, None] - (self.size - 1) / 2) * step for v in (sources.x, sources.y))
        return torch.rad2deg(torch.asin(normalize(centre + dx * axis_x + dy * axis_y)[:, 2]))

    def _bright(self, sky, chosen, rng, generator):
        """Bright sources with another point spread function than the network is told, or a wrong model."""
        n = len(chosen) * N_BRIGHT
        patch = chosen.repeat_interleave(N_BRIGHT)
        x, y = rng.uniform(-0.5, self.size - 0.5, (2, n))
        flux = 10 ** rng.uniform(*BRIGHT_FLUX, n)
        # The second of a patch is rarely there.
        there = torch.tensor((np.arange(n) % N_BRIGHT == 0) | (rng.random(n) < SECOND))
        added = self._bright_sources(sky, rng, patch, x, y, flux).select(there)
        modelled = torch.tensor(rng.random(len(added.x)) < MODELLED_SHARE) & sky.has_background[added.patch]
        width = PSF_WIDTH * self.bands.scale
        model = wrong_model(rng, added.select(modelled), self.bank, sky.instrument, width)
        sky.prediction = [
            p + m for p, m in zip(sky.prediction, self.images(sky.instrument, model), strict=True)
        ]
        _append(sky, added, modelled)

        own = torch.isin(sky.sources.patch, chosen)
        pixel_size = self.bank.pixel_size[sky.instrument].float()
        sources = close_pairs(rng, sky.sources.select(own), width / pixel_size)
        images = render_sources(
            self.wrong_bank,
            sky.instrument[sources.patch],
            sources.patch,
            sources.x,
            sources.y,
            sources.counts,
            (self.size, self.size),
            len(sky.instrument),
        )
        for image, new in zip(sky.images, images, strict=True):
            image[chosen] = new[chosen]

    def _extended(self, sky, chosen, rng, generator):
        """Extended sources of a given significance."""
        number = torch.tensor(rng.integers(1, N_EXTENDED + 1, len(chosen)))
        sources = extended_sources(
            rng, self.bank, sky.instrument, chosen.repeat_interleave(number), self.size
        )
        profiles = extended_profiles(rng, generator, sources, self.size)
        images = self.extended.convolved(sky.instrument[sources.patch], profiles, sources.counts.sum(-1))
        unit = image_significance(images, sources.patch, sky.mask, sky.emission)
        wanted = _tensor(np.exp(rng.uniform(*np.log(SIGNIFICANCE), len(sources.x))))
        # What no valid pixel shows stays as faint as nothing.
        flux = torch.where(unit > 0, wanted / unit.clamp(min=MIN_BACKGROUND), 0)
        sources.flux, sources.significance = flux, torch.where(unit > 0, wanted, 0)
        sources.counts = sources.counts * flux[:, None, None]
        sources.spectra = sources.spectra | {"amplitude": sources.spectra["amplitude"] * flux}
        for total, image in zip(sky.images, images, strict=True):
            total.index_add_(0, sources.patch, image * flux[:, None, None])
        latitude = self._latitude(sky, sources)
        _append(sky, replace(sources, latitude=latitude, kind=None, pixel_width=None), False)


def _tensor(values):
    """Random numbers of NumPy as float32."""
    return torch.tensor(np.asarray(values), dtype=torch.float32)


def _add(images, chosen, added):
    """Add images of some patches to those of all."""
    for image, more in zip(images, added, strict=True):
        image[chosen] += more


def _append(sky, sources, known):
    """Put sources into a sky behind those that it has."""
    known = torch.zeros(len(sources.x), dtype=torch.bool) | known
    sky.sources, sky.known = sky.sources.joined(sources), torch.cat([sky.known, known])
