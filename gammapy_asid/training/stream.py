# Licensed under a 3-clause BSD style license - see LICENSE
"""Endless training batches, simulated as they are needed."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import IterableDataset

from ..networks.description import conditions, feature_kernels, trial_spectra
from ..networks.features import FieldBatch, network_inputs
from ..simulation.sky import ResponseBank, emission_counts, render_sources, source_counts
from ..simulation.variations import patch_axes, patch_grid, random_emission, sample_emission
from .targets import target_maps

__all__ = ["PatchSimulator", "PatchStream", "SimulatedPatches"]

# Sources within this many deg of a patch shine into it.
MARGIN = 2.5
# Range of the number of sources over that of the populations.
DENSITY = (0.4, 1.1)


@dataclass
class SimulatedPatches:
    """Patches with their truth.

    Parameters
    ----------
    batch : `~gammapy_asid.networks.FieldBatch`
        What the network sees.
    patch, x, y, flux : `~torch.Tensor`
        True sources that are not part of the known sky: patch, position in finest
        pixels, photon flux 1-100 GeV in 1 / (cm2 s); shape ``(n_sources,)``.
    latitude : `~torch.Tensor`
        Galactic latitude of the patches in deg, shape ``(n_patches,)``.
    """

    batch: FieldBatch
    patch: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    flux: torch.Tensor
    latitude: torch.Tensor


class PatchSimulator:
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
        Takes a `~numpy.random.Generator` and ``scale``, a factor on the number of sources; returns a `~gammapy_asid.simulation.MockCatalog`.
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
        self.bank = ResponseBank(responses)
        self.weights = np.asarray(weights, float) / np.sum(weights)
        self.emission = emission
        self.draw_sky = draw_sky
        self.size = size
        self.background_share = background_share
        self.plane_share = plane_share
        self.filters = torch.stack([feature_kernels(response) for response in responses])
        self.spectra = torch.tensor(np.array([trial_spectra(r) for r in responses]), dtype=torch.float32)
        self.conditions = torch.tensor(
            np.array([[conditions(r, known) for known in (False, True)] for r in responses])
        )

    def draw(self, n, seed):
        """Simulate ``n`` patches.

        Parameters
        ----------
        n : int
            Number of patches.
        seed : int or sequence of int
            Equal seeds give equal patches.

        Returns
        -------
        patches : `SimulatedPatches`
            Patches and truth.
        """
        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        instrument = torch.from_numpy(rng.choice(len(self.weights), n, p=self.weights))
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
            for name in ("amplitude", "reference", "index", "beta", "lambda_", "alpha")
        }
        counts = source_counts(self.bank, instrument[patch], spectra) * exposure[patch, None, None]
        flux = torch.tensor(sources.flux(1, 100)[index], dtype=torch.float32)
        images = render_sources(self.bank, instrument[patch], patch, x, y, counts, shape, n)
        known = self._known_sources(rng, patch, flux, counts, has_background)
        if known.any():
            total = counts[known].sum((1, 2))
            error = torch.randn(3, len(total), generator=generator) / torch.sqrt(total.clamp(min=1))
            wrong = (
                counts[known]
                * (1 + error[0] + 0.02 * torch.randn(len(total), generator=generator)).clamp(min=0)[
                    :, None, None
                ]
            )
            # Position error of a fit: the width of the point spread function over the root of the counts.
            shift = 0.4 / pixel_size[patch[known]] * error[1:]
            modelled = render_sources(
                self.bank,
                instrument[patch[known]],
                patch[known],
                x[known] + shift[0].clamp(-1, 1),
                y[known] + shift[1].clamp(-1, 1),
                wrong,
                shape,
                n,
            )
            background = [b + m for b, m in zip(background, modelled, strict=True)]

        mask = self._masks(rng, n)
        observed, known_sky, masks = [], [], []
        for band, level in enumerate(self.bank.bands.levels):
            pooled = F.avg_pool2d(mask[:, None], 2**level)[:, 0] if level else mask
            valid = pooled * self.bank.present[instrument, band, None, None]
            # Partly masked coarse pixels lose the masked share of their photons.
            observed.append(torch.poisson((expected[band] + images[band]) * valid, generator=generator))
            sky = torch.where(has_background[:, None, None], background[band], 1.0)
            known_sky.append(sky * valid)
            masks.append(valid)
        batch = FieldBatch(
            levels=self.bank.bands.levels,
            counts=observed,
            background=known_sky,
            mask=masks,
            exposure=[torch.ones_like(v) for v in observed],
            kernels=self.filters[instrument],
            spectra=self.spectra[instrument],
            conditions=self.conditions[instrument, has_background.long()],
            has_background=has_background,
            pixel_size=pixel_size,
        )
        new = ~known
        latitude = torch.rad2deg(centres[:, 1])
        return SimulatedPatches(batch, patch[new], x[new], y[new], flux[new], latitude)

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

    def _known_sources(self, rng, patch, flux, counts, has_background):
        """Sources that the user has modelled already: the bright ones of some patches."""
        n = len(has_background)
        limit = np.where(rng.random(n) < 0.35, 10 ** rng.uniform(-9.7, -8.3, n), np.inf)
        bright = flux > torch.tensor(limit, dtype=torch.float32)[patch]
        chosen = torch.from_numpy(rng.random(len(patch)) < 0.85)
        return bright & chosen & has_background[patch]

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


class PatchStream(IterableDataset):
    """Batches of network inputs and targets, equal for equal seeds.

    Parameters
    ----------
    simulator : `PatchSimulator`
        Makes the patches.
    batch_size : int
        Patches in a batch.
    n_batches : int
        Length of the stream.
    seed : int
        Seed; batch ``i`` depends on the seed and on ``i`` alone.
    start : int
        First batch, to resume.
    """

    def __init__(self, simulator, batch_size, n_batches, seed=0, start=0):
        self.simulator = simulator
        self.batch_size = batch_size
        self.n_batches = n_batches
        self.seed = seed
        self.start = start

    def __len__(self):
        return self.n_batches - self.start

    def __iter__(self):
        worker = torch.utils.data.get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for index in range(self.start + first, self.n_batches, step):
            yield self.batch(index)

    @torch.no_grad()
    def batch(self, index):
        """Batch number ``index``: dict of ``inputs``, ``conditions``, ``targets`` and ``mask``."""
        patches = self.simulator.draw(self.batch_size, (self.seed, index))
        field = patches.batch
        shape = (self.simulator.size, self.simulator.size)
        targets = target_maps(patches.patch, patches.x, patches.y, field.pixel_size, self.batch_size, shape)
        inputs = network_inputs(field)
        n_level0 = [i for i, level in enumerate(field.levels) if level == 0]
        mask = torch.stack([field.mask[i] for i in n_level0]).amax(0)
        return {"inputs": inputs, "conditions": field.conditions, "targets": targets, "mask": mask}
