# Licensed under a 3-clause BSD style license - see LICENSE
"""Training batches, simulated as they are needed."""

import numpy as np
import torch
import torch.nn.functional as F

from .patch_simulator import SimulatedPatches, Simulator
from .sky import SPECTRAL_PARAMETERS, emission_counts, source_counts
from .variations import patch_axes, patch_grid, random_emission, sample_emission

__all__ = ["PatchSimulator"]

# Sources within this many deg of a patch shine into it.
MARGIN = 2.5

# Range of the number of sources over that of the populations.
DENSITY = (0.4, 1.1)

# Logarithms of the photon fluxes 1-100 GeV above which a user may have modelled all sources.
MODELLED = (-9.7, -8.3)


class PatchSimulator(Simulator):
    """Draws patches of random skies seen by random instruments.

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
    """

    def __init__(
        self, responses, weights, emission, draw_sky, size=64, background_share=0.65, plane_share=0.3
    ):
        super().__init__(responses, size, background_share, weights)
        self.emission = emission
        self.draw_sky = draw_sky
        self.plane_share = plane_share

    def draw(self, n, seed, instrument=None):
        """Simulate ``n`` patches.

        Parameters
        ----------
        n : int
            Number of patches.
        seed : int or sequence of int
            Equal seeds give equal patches.
        instrument : int, optional
            The one instrument of all patches; by default each has its own.

        Returns
        -------
        patches : `~gammapy_asid.simulation.patch_simulator.SimulatedPatches`
            Patches and truth; fluxes are those of 1-100 GeV.
        """
        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        drawn = torch.from_numpy(rng.choice(len(self.weights), n, p=self.weights))
        instrument = drawn if instrument is None else torch.full((n,), instrument)
        pixel_size = self.bank.pixel_size[instrument].float()
        sin_lat = np.where(
            rng.random(n) < self.plane_share,
            rng.uniform(-np.sin(np.pi / 18), np.sin(np.pi / 18), n),
            rng.uniform(-1, 1, n),
        )
        centres = torch.tensor(
            np.column_stack([rng.uniform(-np.pi, np.pi, n), np.arcsin(sin_lat)]), dtype=torch.float32
        )
        roll = torch.tensor(rng.uniform(0, 2 * np.pi, n), dtype=torch.float32)
        exposure = torch.tensor(rng.lognormal(0, 0.15, n), dtype=torch.float32)
        has_background = torch.from_numpy(rng.random(n) < self.background_share)

        shape = (self.size, self.size)
        width = self.size * pixel_size
        vectors = patch_grid(centres, roll, width, self.size // 2)
        truth, prediction = random_emission(sample_emission(self.emission, vectors), generator)
        truth, prediction = (v * exposure[:, None, None, None] for v in (truth, prediction))
        expected = emission_counts(self.bank, instrument, truth, shape)
        background = emission_counts(self.bank, instrument, prediction, shape)

        # Skies poorer and richer than the real one: the density of sources is not assumed.
        sources = self.draw_sky(rng, scale=rng.uniform(*DENSITY))
        patch, index, x, y = self._project(sources, centres, roll, pixel_size, width)
        spectra = {
            name: torch.tensor(getattr(sources, name)[index], dtype=torch.float32)
            for name in SPECTRAL_PARAMETERS
        }
        # The network knows the mean exposure only: what differs from it counts as brighter sky.
        spectra["amplitude"] = spectra["amplitude"] * exposure[patch]
        counts = source_counts(self.bank, instrument[patch], spectra)
        flux = torch.tensor(sources.flux(1, 100)[index], dtype=torch.float32) * exposure[patch]
        latitude = torch.tensor(sources.lat[index], dtype=torch.float32)
        known = self.known_sources(rng, patch, flux, MODELLED, has_background)
        images = self.images(instrument, patch, x, y, counts)
        if known.any():
            modelled = self.modelled(instrument, *(v[known] for v in (patch, x, y, counts)), generator)
            background = [b + m for b, m in zip(background, modelled, strict=True)]

        mask = self._masks(rng, n)
        masks = []
        for band, level in enumerate(self.bands.levels):
            pooled = F.avg_pool2d(mask[:, None], 2**level)[:, 0] if level else mask
            masks.append(pooled * self.bank.present[instrument, band, None, None])
        # Partly masked coarse pixels lose the masked share of their photons.
        total = [(e + i) * m for e, i, m in zip(expected, images, masks, strict=True)]
        batch = self.observe(
            instrument,
            total,
            [b * m for b, m in zip(background, masks, strict=True)],
            masks,
            [torch.ones_like(m) for m in masks],
            has_background,
            generator,
        )
        emission = [e * m for e, m in zip(expected, masks, strict=True)]
        significance = self.significance(instrument, patch, x, y, counts, emission, masks)
        truth = (v[~known] for v in (patch, x, y, flux, significance))
        spectra = {name: value[~known] for name, value in spectra.items()}
        return SimulatedPatches(
            self.bands,
            batch,
            *truth,
            spectra,
            counts[~known].sum(-1),
            latitude[~known],
            instrument,
            total,
        )

    def _project(self, sources, centres, roll, pixel_size, width):
        """Patch, catalogue index and pixel position of all sources near the patches."""
        lon, lat = (torch.deg2rad(torch.tensor(v, dtype=torch.float32)) for v in (sources.lon, sources.lat))
        vectors = torch.stack([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], -1)
        centre, axis_x, axis_y = patch_axes(centres, roll)
        radius = torch.deg2rad(width / np.sqrt(2) + MARGIN)
        cosine = centre @ vectors.T
        patch, index = torch.nonzero(cosine > radius.cos()[:, None], as_tuple=True)
        scale = cosine[patch, index] * torch.deg2rad(pixel_size)[patch]
        x = (vectors[index] * axis_x[patch]).sum(-1) / scale + (self.size - 1) / 2
        y = (vectors[index] * axis_y[patch]).sum(-1) / scale + (self.size - 1) / 2
        return patch, index, x, y

    def _masks(self, rng, n):
        """Valid pixels: the whole patch, a smaller field, or one with a hole; ``(n, size, size)``."""
        grid = np.arange(self.size)
        mask = np.ones((n, self.size, self.size), np.float32)
        for image, kind in zip(mask, rng.random(n), strict=True):
            if kind < 0.2:
                stop_y, stop_x = rng.integers(self.size // 2, self.size + 1, 2)
                image[stop_y:] = 0
                image[:, stop_x:] = 0
            elif kind < 0.3:
                cy, cx = rng.uniform(0, self.size, 2)
                r = rng.uniform(2, 8)
                image[(grid[:, None] - cy) ** 2 + (grid - cx) ** 2 < r**2] = 0
        return torch.from_numpy(mask)
