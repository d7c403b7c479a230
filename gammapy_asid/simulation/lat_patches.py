# Licensed under a 3-clause BSD style license - see LICENSE
"""Patches of the sky of the Fermi-LAT, simulated as they are needed."""

from dataclasses import dataclass

import numpy as np
import torch

from .mock_catalog import SOURCE_CLASSES
from .patch_images import mean_on_level
from .patch_simulator import LEVEL_SPREAD, PatchSimulator
from .patches import PatchSources
from .sky import SPECTRAL_PARAMETERS, emission_counts, source_counts
from .variations import patch_axes, patch_grid, random_emission, sample_emission

__all__ = ["LatSimulator", "PatchSky"]

# Sources within this many deg of a patch shine into it: the reach of the kernels on the finest pixels.
MARGIN = 2.5

# Range of the number of sources over that of the populations: skies poorer and richer than the real one, so
# that the density of sources is not learned.
DENSITY = (0.4, 1.1)

# Energies in GeV of the fluxes, and logarithms of those above which a user may have modelled all sources:
# from 2.5 times the threshold of 4FGL to the few brightest ones.
FLUX_RANGE, MODELLED = (1, 100), (-9.7, -8.3)

# Sine of the largest latitude of the patches on the plane, where the sky is most crowded.
SIN_PLANE = np.sin(np.pi / 18)

# Shares of the patches at the edge of a field, which leave out at most half of either side, and of those with
# a hole of a radius in finest pixels, like the masks of bright sources.
EDGE_SHARE, HOLE_SHARE, HOLE_RADIUS = 0.2, 0.1, (2, 8)


@dataclass(kw_only=True)
class PatchSky:
    """What is expected in patches, before photons are drawn; images are lists of tensors per band.

    Parameters
    ----------
    instrument : `~torch.Tensor`
        Response of each patch, shape ``(n,)``.
    centres, roll : `~torch.Tensor`
        Galactic longitude and latitude of the centres in rad, shape ``(n, 2)``, and angle of each patch.
    exposure, has_background : `~torch.Tensor`
        Exposure over its mean, and whether the network gets the prediction; shape ``(n,)``.
    intensity : tuple of `~torch.Tensor`
        Of the true emission and of its prediction, 1 / (cm2 s sr), shape ``(n, n_intervals, gy, gx)``.
    emission, prediction : list of `~torch.Tensor`
        Counts of the true emission, and predicted counts with the sources already modelled.
    sources : `PatchSources`
        Sources.
    known : `~torch.Tensor`
        Those already modelled, bool of shape ``(n_sources,)``.
    images : list of `~torch.Tensor`
        Counts of the sources.
    mask : list of `~torch.Tensor`
        Share of valid pixels.
    """

    instrument: torch.Tensor
    centres: torch.Tensor
    roll: torch.Tensor
    exposure: torch.Tensor
    has_background: torch.Tensor
    intensity: tuple
    emission: list
    prediction: list
    sources: PatchSources
    known: torch.Tensor
    images: list
    mask: list


class LatSimulator(PatchSimulator):
    """Draws patches of random skies seen by random instruments; fluxes are those of 1-100 GeV.

    Parameters
    ----------
    responses : list of `~gammapy_asid.inputs.Response`
        Instruments to draw from.
    weights : array-like
        Probability of each instrument.
    emission : `~torch.Tensor`
        Intensities of an emission bank.
    draw_sky : callable
        Takes a `~numpy.random.Generator` and ``scale``, a factor on the number of sources;
        returns a `~gammapy_asid.simulation.MockCatalog`.
    size : int
        Patch size in finest pixels.
    background_share : float
        Share of the patches that come with a predicted background.
    plane_share : float
        Share of the patches centred within 10 deg of the Galactic plane beyond the
        isotropic share.
    variations : sequence of callable
        Changes of the emission and its prediction, see
        `~gammapy_asid.simulation.emission_variations.GeneratedStructure`.
    """

    def __init__(
        self,
        responses,
        weights,
        emission,
        draw_sky,
        size=64,
        background_share=0.65,
        plane_share=0.3,
        variations=(),
    ):
        super().__init__(responses, size, background_share, weights)
        self.emission = emission
        self.draw_sky = draw_sky
        self.plane_share = plane_share
        self.variations = tuple(variations)

    @property
    def settings(self):
        """Arguments that make a simulator of the same skies."""
        names = ("weights", "emission", "draw_sky", "size", "background_share", "plane_share", "variations")
        return {"responses": self.bank.responses} | {name: getattr(self, name) for name in names}

    def _draw(self, n, rng, generator, instrument):
        return self._observed(self._sky(n, rng, generator, instrument), generator)

    def _sky(self, n, rng, generator, instrument):
        """What is expected in patches of a random sky (`PatchSky`)."""
        drawn = torch.tensor(rng.choice(len(self.weights), n, p=self.weights))
        instrument = drawn if instrument is None else torch.full((n,), instrument)
        centres, roll = self._places(rng, n)
        exposure = torch.tensor(rng.lognormal(0, LEVEL_SPREAD, n), dtype=torch.float32)
        has_background = torch.tensor(rng.random(n) < self.background_share)
        intensity = self._intensity(generator, instrument, centres, roll)
        latitude, width = torch.rad2deg(centres[:, 1]), self._width(instrument)
        for variation in self.variations:
            intensity = variation(intensity, latitude, width, generator)
        emission, prediction = (self._counts(instrument, exposure, image) for image in intensity)
        sources = self._sources(rng, instrument, centres, roll, exposure)
        known = self.known_sources(rng, sources.patch, sources.flux, MODELLED, has_background)
        images = self.images(instrument, sources)
        if known.any():
            modelled = self.modelled(instrument, sources.select(known), generator)
            prediction = [p + m for p, m in zip(prediction, modelled, strict=True)]
        return PatchSky(
            instrument=instrument,
            centres=centres,
            roll=roll,
            exposure=exposure,
            has_background=has_background,
            intensity=intensity,
            emission=emission,
            prediction=prediction,
            sources=sources,
            known=known,
            images=images,
            mask=self._band_masks(rng, instrument),
        )

    def _observed(self, sky, generator):
        """Patches with photons, see `PatchSimulator.draw`."""
        mask = sky.mask
        # Partly masked coarse pixels lose the masked share of their photons.
        expected = [(e + i) * m for e, i, m in zip(sky.emission, sky.images, mask, strict=True)]
        prediction, emission = (
            [v * m for v, m in zip(values, mask, strict=True)] for values in (sky.prediction, sky.emission)
        )
        flat = [torch.ones_like(m) for m in mask]
        batch = self.observe(sky.instrument, expected, prediction, mask, flat, sky.has_background, generator)
        sources = sky.sources
        sources.significance = self.significance(sky.instrument, sources, emission, mask)
        return self._with_truth(batch, sources.select(~sky.known), sky.instrument, expected)

    def _places(self, rng, n):
        """Galactic longitude and latitude of the centres in rad, and the angle of each patch."""
        sin_lat = np.where(
            rng.random(n) < self.plane_share,
            rng.uniform(-SIN_PLANE, SIN_PLANE, n),
            rng.uniform(-1, 1, n),
        )
        centres = np.column_stack([rng.uniform(-np.pi, np.pi, n), np.arcsin(sin_lat)])
        roll = rng.uniform(0, 2 * np.pi, n)
        return [torch.tensor(v, dtype=torch.float32) for v in (centres, roll)]

    def _width(self, instrument):
        """Width of the patches in deg."""
        return self.size * self.bank.pixel_size[instrument].float()

    def _intensity(self, generator, instrument, centres, roll):
        """Intensity of the interstellar and isotropic emission, and its prediction."""
        vectors = patch_grid(centres, roll, self._width(instrument), self.size // 2)
        return random_emission(sample_emission(self.emission, vectors), generator)

    def _counts(self, instrument, exposure, intensity):
        """Expected counts of emission."""
        shape = (self.size, self.size)
        return emission_counts(self.bank, instrument, intensity * exposure[:, None, None, None], shape)

    def _sources(self, rng, instrument, centres, roll, exposure):
        """Sources of one random sky in and near the patches."""
        catalog = self.draw_sky(rng, scale=rng.uniform(*DENSITY))
        patch, index, x, y = self._project(catalog, instrument, centres, roll)
        spectra = {
            name: torch.tensor(getattr(catalog, name), dtype=torch.float32)[index]
            for name in SPECTRAL_PARAMETERS
        }
        # The network knows the mean exposure only: what differs from it counts as brighter sky.
        spectra["amplitude"] = spectra["amplitude"] * exposure[patch]
        return PatchSources(
            patch=patch,
            x=x,
            y=y,
            flux=torch.tensor(catalog.flux(*FLUX_RANGE), dtype=torch.float32)[index] * exposure[patch],
            spectra=spectra,
            counts=source_counts(self.bank, instrument[patch], spectra),
            latitude=torch.tensor(catalog.lat, dtype=torch.float32)[index],
            source_class=torch.tensor(_class_numbers(catalog.source_class))[index],
        )

    def _project(self, catalog, instrument, centres, roll):
        """Patch, catalogue index and pixel position of all sources near the patches."""
        pixel_size = self.bank.pixel_size[instrument].float()
        lon, lat = (torch.deg2rad(torch.tensor(v, dtype=torch.float32)) for v in (catalog.lon, catalog.lat))
        vectors = torch.stack([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], -1)
        centre, axis_x, axis_y = patch_axes(centres, roll)
        radius = torch.deg2rad(self.size * pixel_size / np.sqrt(2) + MARGIN)
        cosine = centre @ vectors.T
        patch, index = torch.nonzero(cosine > radius.cos()[:, None], as_tuple=True)
        scale = cosine[patch, index] * torch.deg2rad(pixel_size)[patch]
        x = (vectors[index] * axis_x[patch]).sum(-1) / scale + (self.size - 1) / 2
        y = (vectors[index] * axis_y[patch]).sum(-1) / scale + (self.size - 1) / 2
        return patch, index, x, y

    def _band_masks(self, rng, instrument):
        """Share of valid pixels per band: the whole patch, a smaller field, or one with a hole."""
        return self._on_levels(self._masks(rng, len(instrument)), instrument)

    def _on_levels(self, mask, instrument):
        """Share of valid pixels per band, of masks on the finest pixels."""
        present = self.bank.present[instrument]
        return [
            mean_on_level(mask, level) * present[:, band, None, None]
            for band, level in enumerate(self.bands.levels)
        ]

    def _masks(self, rng, n):
        """Valid finest pixels, shape ``(n, size, size)``."""
        grid = np.arange(self.size)
        mask = np.ones((n, self.size, self.size), np.float32)
        for image, kind in zip(mask, rng.random(n), strict=True):
            if kind < EDGE_SHARE:
                stop_y, stop_x = rng.integers(self.size // 2, self.size + 1, 2)
                image[stop_y:] = 0
                image[:, stop_x:] = 0
            elif kind < EDGE_SHARE + HOLE_SHARE:
                cy, cx = rng.uniform(0, self.size, 2)
                radius = rng.uniform(*HOLE_RADIUS)
                image[(grid[:, None] - cy) ** 2 + (grid - cx) ** 2 < radius**2] = 0
        return torch.tensor(mask)


def _class_numbers(names):
    """Index of each class in `SOURCE_CLASSES`, -1 for others, int8."""
    numbers = np.full(len(names), -1, np.int8)
    for number, name in enumerate(SOURCE_CLASSES):
        numbers[names == name] = number
    return numbers
