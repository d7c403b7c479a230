# Licensed under a 3-clause BSD style license - see LICENSE
"""Training batches, simulated as they are needed."""

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from ..networks.features import network_inputs
from ..simulation.sky import SPECTRAL_PARAMETERS, emission_counts, source_counts
from ..simulation.variations import patch_axes, patch_grid, random_emission, sample_emission
from .patches import SimulatedPatches, Simulator
from .targets import target_maps

__all__ = ["PatchSimulator", "PatchStream"]

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
        patches : `~gammapy_asid.training.patches.SimulatedPatches`
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
        for band, level in enumerate(self.bank.bands.levels):
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
            self.bank.bands,
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


class PatchStream(Dataset):
    """Batches of network inputs and targets, equal for equal seeds.

    Parameters
    ----------
    simulator : `~gammapy_asid.training.patches.Simulator`
        Makes the patches.
    batch_size : int
        Patches in a batch.
    n_batches : int
        Where the stream ends.
    seed : int
        Seed; batch ``i`` depends on the seed and on ``i`` alone.
    start : int
        First batch, to resume.
    reuse : int
        How often simulated patches are used, each time turned or mirrored otherwise.
    """

    def __init__(self, simulator, batch_size, n_batches, seed=0, start=0, reuse=1):
        self.simulator = simulator
        self.batch_size = batch_size
        self.n_batches = n_batches
        self.seed = seed
        self.start = start
        self.reuse = reuse
        self._last = None, None

    def __len__(self):
        return self.n_batches - self.start

    @torch.no_grad()
    def __getitem__(self, index):
        """Batch ``start + index``: dict of ``inputs``, ``conditions``, ``targets`` and ``mask``."""
        if not 0 <= index < len(self):
            raise IndexError(f"No batch {index} in a stream of {len(self)}")
        # The number of threads changes the order of sums: one, so that workers do not matter.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            number, use = divmod(self.start + index, self.reuse)
            if self._last[0] != number:
                self._last = number, self._batch(number)
            turns = np.random.default_rng((self.seed, number)).permutation(np.arange(1, 8))
            return _turned(self._last[1], turns[use - 1]) if use else self._last[1]
        finally:
            torch.set_num_threads(threads)

    def _batch(self, number):
        """Simulate a batch."""
        patches = self.simulator.draw(self.batch_size, (self.seed, number))
        field = patches.batch
        shape = (self.simulator.size, self.simulator.size)
        targets = target_maps(
            patches.patch,
            patches.x,
            patches.y,
            field.pixel_size,
            len(field),
            shape,
            bands=patches.bands,
            width=patches.width,
        )
        inputs = network_inputs(field)
        return {
            "inputs": inputs,
            "conditions": field.conditions,
            "targets": targets,
            "mask": field.field_mask,
        }


def _turned(batch, turn):
    """Batch turned by a multiple of 90 deg, and mirrored from the fourth turn on."""

    def turned(images):
        images = torch.rot90(images, int(turn), (-2, -1))
        return images.transpose(-2, -1) if turn > 3 else images

    targets = turned(batch["targets"])
    dx, dy = targets[:, 2], targets[:, 3]
    for _ in range(turn % 4):
        dx, dy = dy, -dx
    dx, dy = (dy, dx) if turn > 3 else (dx, dy)
    targets = torch.cat([targets[:, :2], dx[:, None], dy[:, None], targets[:, 4:]], 1)
    inputs = {level: turned(images) for level, images in batch["inputs"].items()}
    return batch | {"inputs": inputs, "targets": targets, "mask": turned(batch["mask"])}
