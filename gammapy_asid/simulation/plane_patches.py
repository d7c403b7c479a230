# Licensed under a 3-clause BSD style license - see LICENSE
"""Training patches of the Galactic plane seen by imaging telescopes."""

import numpy as np
import torch
import torch.nn.functional as F

from ..stats.known_sky import MIN_BACKGROUND
from .extended import ExtendedSources
from .patch_simulator import SimulatedPatches, Simulator
from .plane import FLUX_RANGE, draw_plane
from .sky import SPECTRAL_PARAMETERS, source_counts
from .variations import random_field

__all__ = ["PlaneSimulator", "image_significance"]

# Range of the number of sources over that of the population, and of the longitudes of patches in deg.
DENSITY, LONGITUDE = (0.5, 3.0), 70.0

# Sources within this many finest pixels of a patch, and their own width times REACH, shine into it.
MARGIN, REACH = 10, 2.0

# Sources narrower than this many finest pixels are drawn as points.
NARROW = 0.35

# Sources that would have less than this expected significance as points are drawn as points.
FAINT = 2.0

# Largest axis ratio of Gaussians.
ELONGATION = 2.0

# Logarithms of the photon fluxes above 1 TeV above which a user may have modelled all sources.
MODELLED = (-13.3, -11.5)

# Interstellar emission at 1 TeV on the plane in 1 / (cm2 s sr TeV): median and spread of the logarithm (the
# H.E.S.S. survey finds 1-5e-9, 2014PhRvD..90l2007A), photon index, and layers of (weight, scale in deg).
EMISSION, EMISSION_INDEX = (1.5e-9, 0.8), (2.7, 0.1)

LAYERS = ((0.6, (0.2, 0.6)), (0.4, (1.0, 3.0)))

# Share of the predictions that hold the interstellar emission.
EMISSION_KNOWN = 0.5

# Spread of the instrument's background from patch to patch, of that which its prediction misses, and of that
# on small scales.
BACKGROUND_SPREAD, BACKGROUND_ERROR, BACKGROUND_RIPPLE = 0.2, 0.04, 0.02


class PlaneSimulator(Simulator):
    """Draws patches of crowded fields with extended sources and interstellar emission.

    A patch is a random part of a field in one of its eight orientations, at a random longitude: exposure,
    point spread function and background are those of the place, the network is told those of the field.

    Parameters
    ----------
    fields : list of `~gammapy_asid.simulation.plane_fields.PlaneField`
        Fields.
    size : int
        Patch size in finest pixels.
    background_share : float
        Share of the patches that come with a predicted background.
    classes : sequence of `~gammapy_asid.simulation.plane.PlaneClass`, optional
        Source classes.
    """

    def __init__(self, fields, size=64, background_share=0.9, classes=None):
        responses = [response for field in fields for response in (field.response, *field.places)]
        self.stride = len(responses) // len(fields)
        # The network is told the response of the field, never that of a place.
        weights = np.arange(len(responses)) % self.stride == 0
        super().__init__(responses, size, background_share, weights)
        self.fields, self.classes = fields, classes
        self.shapes = ExtendedSources(self.bank, size)
        self.corners = []
        for field in fields:
            fine = torch.stack(
                [
                    F.interpolate(mask[None, None], size=self._shape(field), mode="nearest")[0, 0]
                    for mask in field.mask
                ]
            ).amax(0)
            share = F.avg_pool2d(fine[None, None], size, stride=self.block)[0, 0]
            self.corners.append((torch.nonzero(share >= 0.5 * share.max()) * self.block).numpy())

    @property
    def block(self):
        """Finest pixels along a side of the coarsest one."""
        return self.bands.block

    def _shape(self, field):
        level = self.bands.levels[0]
        return [n << level for n in field.mask[0].shape]

    @torch.no_grad()
    def draw(self, n, seed, instrument=None):
        """Simulate ``n`` patches.

        Parameters
        ----------
        n : int
            Number of patches.
        seed : int or sequence of int
            Equal seeds give equal patches.
        instrument : int, optional
            Index of the field's response for all patches; by default each has a field of its own.

        Returns
        -------
        patches : `~gammapy_asid.simulation.patch_simulator.SimulatedPatches`
            Patches and truth; fluxes are those above 1 TeV.
        """
        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        chosen = rng.integers(len(self.fields), size=n)
        if instrument is not None:
            chosen[:] = instrument // self.stride
        corners = np.array([self.corners[f][rng.integers(len(self.corners[f]))] for f in chosen])
        told = torch.from_numpy(chosen * self.stride)
        seen = told + 1 + self._nearest_places(chosen, corners)
        has_background = torch.from_numpy(rng.random(n) < self.background_share)
        background, exposure, mask = (
            self._cut(name, chosen, corners) for name in ("background", "exposure", "mask")
        )
        reach = [e * m for e, m in zip(exposure, mask, strict=True)]
        latitude = np.array([self.fields[f].latitude[y] for f, (y, _) in zip(chosen, corners, strict=True)])
        truth, prediction = self._background(rng, background, generator)
        emission, known_emission = self._emission(rng, told, latitude, generator)
        truth = [t + r * e for t, r, e in zip(truth, reach, emission, strict=True)]
        prediction = [p + r * e for p, r, e in zip(prediction, reach, known_emission, strict=True)]

        sources, patch, x, y = self._sources(rng, told, latitude)
        catalog = sources.catalog
        spectra = {k: torch.tensor(getattr(catalog, k), dtype=torch.float32) for k in SPECTRAL_PARAMETERS}
        flux = torch.tensor(catalog.flux(*FLUX_RANGE), dtype=torch.float32)
        width = torch.tensor(sources.width, dtype=torch.float32)
        counts = source_counts(self.bank, seen[patch], spectra)
        place = patch, x, y
        at_source = counts * self._exposure_at(exposure, *place)[..., None]
        significance = self.significance(told, *place, at_source, truth, mask)
        # Nobody tells the shape of sources too faint to be seen, were they points.
        wide = (width / self.bank.pixel_size[told].float()[patch] > NARROW) & (significance > FAINT)
        point, wide = ~wide, torch.nonzero(wide)[:, 0]
        extended = self._extended(rng, seen, *(v[wide] for v in (*place, width, counts)), sources.shape[wide])
        significance[wide] = image_significance(extended, patch[wide], reach, truth)
        images = self.images(seen, *(v[point] for v in (*place, counts)))
        images = [i.index_add(0, patch[wide], e) for i, e in zip(images, extended, strict=True)]
        expected = [t + r * i for t, r, i in zip(truth, reach, images, strict=True)]

        known = self.known_sources(rng, patch, flux, MODELLED, has_background)
        if known.any():
            modelled = self.modelled(seen, *(v[known & point] for v in (*place, counts)), generator)
            factor = 1 + 0.1 * torch.randn(len(wide), generator=generator)
            factor = (factor * known[wide])[:, None, None]
            modelled = [
                m.index_add(0, patch[wide], factor * e) for m, e in zip(modelled, extended, strict=True)
            ]
            prediction = [p + r * m for p, r, m in zip(prediction, reach, modelled, strict=True)]

        turns = rng.integers(8, size=n)
        expected, prediction, mask, exposure = (
            _turned(images, turns) for images in (expected, prediction, mask, exposure)
        )
        x, y = _turned_places(x, y, torch.from_numpy(turns)[patch], self.size)
        batch = self.observe(told, expected, prediction, mask, exposure, has_background, generator)
        return SimulatedPatches(
            self.bands,
            batch,
            *(v[~known] for v in (patch, x, y, flux, significance)),
            {name: value[~known] for name, value in spectra.items()},
            at_source[~known].sum(-1),
            torch.tensor(catalog.lat, dtype=torch.float32)[~known],
            told,
            expected,
            width[~known],
        )

    def _cut(self, name, chosen, corners):
        """Patches of images per band."""
        result = []
        for band, level in enumerate(self.bands.levels):
            size, patches = self.size >> level, []
            for field, (y, x) in zip(chosen, corners >> level, strict=True):
                patches.append(getattr(self.fields[field], name)[band][y : y + size, x : x + size])
            result.append(torch.stack(patches))
        return result

    def _nearest_places(self, chosen, corners):
        """Index of the place of each patch's field that is nearest to its centre."""
        nearest = []
        for f, (y, x) in zip(chosen, corners + self.size / 2, strict=True):
            field = self.fields[f]
            nearest.append(np.argmin(np.hypot(field.place_x - x, field.place_y - y)))
        return torch.tensor(nearest)

    def _background(self, rng, background, generator):
        """Instrument's background, and its prediction."""
        n, n_bands = len(background[0]), len(background)
        level = rng.lognormal(0, BACKGROUND_SPREAD, (n, 1))
        share = rng.random((n, 1))
        error = np.exp(share * BACKGROUND_ERROR * rng.standard_normal((n, n_bands)))
        ripple = random_field(n, self.size // 2, generator, slope=4.0)
        ripple = torch.exp(torch.tensor(BACKGROUND_RIPPLE * share[..., None], dtype=torch.float32) * ripple)
        level, error = (torch.tensor(v, dtype=torch.float32) for v in (level, error))
        truth = [b * level[:, :, None] for b in background]
        return truth, [
            t * error[:, band, None, None] * _resized(ripple, t.shape[-2:]) for band, t in enumerate(truth)
        ]

    def _emission(self, rng, instrument, latitude, generator):
        """Counts of the interstellar emission for the mean exposure, and their prediction."""
        n, size = len(latitude), self.size
        pixel_size = self.bank.pixel_size[instrument].numpy()
        rows = np.abs(latitude[:, None] + np.arange(size) * pixel_size[:, None])
        profile = 0
        for weight, scale in LAYERS:
            profile = profile + weight * np.exp(-rows / np.exp(rng.uniform(*np.log(scale), (n, 1))))
        norm = EMISSION[0] * rng.lognormal(0, EMISSION[1], n)
        index = torch.tensor(rng.normal(*EMISSION_INDEX, n), dtype=torch.float32)
        spectra = {name: torch.zeros(n) for name in SPECTRAL_PARAMETERS}
        spectra |= {"index": index, "reference": torch.full((n,), 1e3), "alpha": torch.ones(n)}
        spectra["amplitude"] = torch.tensor(norm * 1e-3 * np.radians(pixel_size) ** 2, dtype=torch.float32)
        counts = source_counts(self.bank, instrument, spectra).sum(-1)
        clumps = random_field(2 * n, size // 2, generator).view(2, n, size // 2, size // 2)
        strength = torch.tensor(rng.uniform(0, 0.4, (n, 1, 1)), dtype=torch.float32)
        profile = torch.tensor(profile, dtype=torch.float32)[:, :, None]
        truth = profile * _resized(torch.exp(strength * clumps[0]), (size, size))
        known = torch.tensor((rng.random(n) < EMISSION_KNOWN) * rng.lognormal(0, 0.3, n), dtype=torch.float32)
        wrong = _resized(torch.exp(0.7 * strength * clumps[1]), (size, size)) * known[:, None, None]
        return self._per_band(truth, counts), self._per_band(truth * wrong, counts)

    def _per_band(self, image, counts):
        """Images on the finest pixels times counts of each band, on the bands' pixels."""
        return [
            F.avg_pool2d(image[:, None], 2**level)[:, 0] * 4**level * counts[:, band, None, None]
            for band, level in enumerate(self.bands.levels)
        ]

    def _sources(self, rng, instrument, latitude):
        """Sources in and near the patches: the sources, their patch and their position."""
        sources = draw_plane(rng, self.classes, scale=np.exp(rng.uniform(*np.log(DENSITY))))
        pixel_size = self.bank.pixel_size[instrument].numpy()[:, None]
        longitude = rng.uniform(-LONGITUDE, LONGITUDE, (len(latitude), 1))
        lon = (sources.catalog.lon - longitude + 180) % 360 - 180
        x = lon * np.cos(np.radians(sources.catalog.lat)) / pixel_size + (self.size - 1) / 2
        y = (sources.catalog.lat - latitude[:, None]) / pixel_size
        margin = MARGIN + REACH * sources.width / pixel_size
        near = (np.abs(x - (self.size - 1) / 2) < self.size / 2 + margin) & (
            np.abs(y - (self.size - 1) / 2) < self.size / 2 + margin
        )
        patch, index = np.nonzero(near)
        place = (torch.tensor(v[patch, index], dtype=torch.float32) for v in (x, y))
        return sources.select(index), torch.from_numpy(patch), *place

    def _extended(self, rng, seen, patch, x, y, width, counts, shape):
        """Images of extended sources."""
        n = len(patch)
        elongation = torch.tensor(np.exp(rng.uniform(0, np.log(ELONGATION), n)), dtype=torch.float32)
        angle = torch.tensor(rng.uniform(0, np.pi, n), dtype=torch.float32)
        width = width / self.bank.pixel_size[seen[patch]].float()
        kind, counts = torch.from_numpy(shape), counts.sum(-1)
        return self.shapes.images(seen[patch], kind, x, y, width, elongation, angle, counts)

    def _exposure_at(self, exposure, patch, x, y):
        """Exposure of each band over its mean at the sources, shape ``(n_sources, n_bands)``."""
        columns = []
        for image, level in zip(exposure, self.bands.levels, strict=True):
            row, column = (
                torch.round((v + 0.5) / 2**level - 0.5).long().clamp(0, image.shape[1] - 1) for v in (y, x)
            )
            columns.append(image[patch, row, column])
        return torch.stack(columns, 1)


def image_significance(images, patch, reach, truth):
    """Expected significance of sources of known shape, each alone on the emission.

    Parameters
    ----------
    images : list of `~torch.Tensor`
        Expected counts of the sources per band, shape ``(n_sources, ny, nx)``.
    patch : `~torch.Tensor`
        Patch of each, shape ``(n_sources,)``.
    reach, truth : list of `~torch.Tensor`
        Relative exposure and expected counts of the emission, shape ``(n_patches, ny, nx)``.
    """
    squared = torch.zeros(len(patch))
    for image, r, t in zip(images, reach, truth, strict=True):
        squared += ((r[patch] * image) ** 2 / t[patch].clamp(min=MIN_BACKGROUND)).sum((1, 2))
    return torch.sqrt(squared)


def _resized(images, shape):
    """Smooth images on other pixels."""
    return F.interpolate(images[:, None], size=tuple(shape), mode="bilinear", antialias=True)[:, 0]


def _turned(images, turns):
    """Patches turned by multiples of 90 deg, and mirrored from the fourth on."""
    result = []
    for image in images:
        parts = [torch.rot90(patch, int(turn)) for patch, turn in zip(image, turns, strict=True)]
        parts = [part.T if turn > 3 else part for part, turn in zip(parts, turns, strict=True)]
        result.append(torch.stack(parts))
    return result


def _turned_places(x, y, turn, size):
    """Positions in pixels of turned patches, see `_turned`."""
    for k in range(1, 4):
        again = turn % 4 >= k
        x, y = torch.where(again, y, x), torch.where(again, size - 1 - x, y)
    return torch.where(turn > 3, y, x), torch.where(turn > 3, x, y)
