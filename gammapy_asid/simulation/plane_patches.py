# Licensed under a 3-clause BSD style license - see LICENSE
"""Training patches of the Galactic plane seen by imaging telescopes."""

import numpy as np
import torch
import torch.nn.functional as F

from .field_patches import FieldSimulator, image_significance
from .patch_images import (
    cut_patches,
    resized,
    sum_on_level,
    turned_patches,
    turned_places,
    valid_corners,
    values_at,
)
from .patches import PatchSources
from .plane import FLUX_RANGE, draw_plane
from .sky import SPECTRAL_PARAMETERS, source_counts
from .variations import random_structure

__all__ = ["PlaneSimulator"]

# Range of the number of sources over that of the population, which near the Galactic centre is exceeded, and
# of the longitudes of patches in deg, where nearly all of the plane's sources are.
DENSITY, LONGITUDE = (0.5, 3.0), 70.0

# Sources within this many finest pixels of a patch, several widths of the point spread function, and REACH
# times their own width shine into it.
MARGIN, REACH = 10, 2.0

# Sources narrower than this many finest pixels are drawn as points: no data tell.
NARROW = 0.35

# Sources that would have less than this expected significance as points are drawn as points.
FAINT = 2.0

# Logarithms of the photon fluxes above 1 TeV above which a user may have modelled all sources.
MODELLED = (-13.3, -11.5)

# Interstellar emission at 1 TeV on the plane in 1 / (cm2 s sr TeV): median and spread of the logarithm (the
# H.E.S.S. survey finds 1-5e-9, 2014PhRvD..90l2007A), photon index, and layers of (weight, scale in deg).
EMISSION, EMISSION_INDEX = (1.5e-9, 0.8), (2.7, 0.1)
LAYERS = ((0.6, (0.2, 0.6)), (0.4, (1.0, 3.0)))

# Share of the predictions that hold the interstellar emission, and spread of its logarithm there:
# no model of it is agreed on at these energies.
EMISSION_KNOWN, EMISSION_ERROR = 0.5, 0.3

# Largest logarithmic contrast of clouds at one standard deviation: that of gas within a patch; a prediction
# that holds the emission misses this part of it.
CLOUDS, CLOUDS_MISSED = 0.4, 0.7

# Spread of the instrument's background from patch to patch, of that which its prediction misses, and of that
# on small scales, which is smooth: its power falls with this exponent.
BACKGROUND_SPREAD, BACKGROUND_ERROR, BACKGROUND_RIPPLE, RIPPLE_SLOPE = 0.2, 0.04, 0.02, 4.0


class PlaneSimulator(FieldSimulator):
    """Draws patches of crowded fields with extended sources and interstellar emission.

    A patch is a random part of a field in one of its eight orientations, at a random longitude: exposure,
    point spread function and background are those of the place, the network is told those of the field.
    Fluxes are those above 1 TeV. An instrument is the index of a field's response.

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
        self.corners = [valid_corners(self._valid(field), size, self.bands.block) for field in fields]

    def _valid(self, field):
        """1 on the finest pixels that are valid in any band."""
        level = self.bands.levels[0]
        shape = [n << level for n in field.mask[0].shape]
        masks = [F.interpolate(mask[None, None], size=shape, mode="nearest")[0, 0] for mask in field.mask]
        return torch.stack(masks).amax(0)

    def _draw(self, n, rng, generator, instrument):
        chosen = rng.integers(len(self.fields), size=n)
        if instrument is not None:
            chosen[:] = instrument // self.stride
        corners = np.array([self.corners[f][rng.integers(len(self.corners[f]))] for f in chosen])
        # The network knows the response of the field, photons arrive by that of the nearest place.
        nominal = torch.tensor(chosen * self.stride)
        local = nominal + 1 + self._nearest_places(chosen, corners)
        has_background = torch.tensor(rng.random(n) < self.background_share)
        background, exposure, mask = (
            self._cut(name, chosen, corners) for name in ("background", "exposure", "mask")
        )
        reach = [e * m for e, m in zip(exposure, mask, strict=True)]
        latitude = np.array([self.fields[f].latitude[y] for f, (y, _) in zip(chosen, corners, strict=True)])
        emission, prediction = self._sky(rng, generator, nominal, latitude, background, reach)

        sources = self._sources(rng, nominal, local, latitude, exposure)
        sources.significance = self.significance(nominal, sources, emission, mask)
        # Nobody tells the shape of sources too faint to be seen, were they points.
        wide = (sources.pixel_width > NARROW) & (sources.significance > FAINT)
        extended = self._extended_images(rng, local, sources.select(wide))
        sources.significance[wide] = image_significance(extended, sources.patch[wide], reach, emission)
        expected = self._add_sources(local, sources, wide, extended, emission, reach)
        known = self.known_sources(rng, sources.patch, sources.flux, MODELLED, has_background)
        prediction = self._add_modelled(local, sources, known, wide, extended, prediction, reach, generator)

        turns = rng.integers(8, size=n)
        expected, prediction, mask, exposure = (
            turned_patches(images, turns) for images in (expected, prediction, mask, exposure)
        )
        turn = torch.tensor(turns)[sources.patch]
        sources.x, sources.y = turned_places(sources.x, sources.y, turn, self.size)
        batch = self.observe(nominal, expected, prediction, mask, exposure, has_background, generator)
        return self._with_truth(batch, sources.select(~known), nominal, expected)

    def _cut(self, name, chosen, corners):
        """Patches of images per band."""
        fields = [getattr(field, name) for field in self.fields]
        return cut_patches(fields, chosen, corners, self.bands.levels, self.size)

    def _nearest_places(self, chosen, corners):
        """Index of the place of each patch's field that is nearest to its centre."""
        nearest = []
        for f, (y, x) in zip(chosen, corners + self.size / 2, strict=True):
            field = self.fields[f]
            nearest.append(np.argmin(np.hypot(field.place_x - x, field.place_y - y)))
        return torch.tensor(nearest)

    def _sky(self, rng, generator, nominal, latitude, background, reach):
        """Expected counts without sources, and their prediction."""
        truth, prediction = self._background(rng, generator, background)
        emission, known_emission = self._emission(rng, generator, nominal, latitude)
        return [
            [s + r * e for s, r, e in zip(sky, reach, added, strict=True)]
            for sky, added in ((truth, emission), (prediction, known_emission))
        ]

    def _background(self, rng, generator, background):
        """Instrument's background, and its prediction."""
        n, n_bands = len(background[0]), len(background)
        level = rng.lognormal(0, BACKGROUND_SPREAD, (n, 1))
        share = rng.random((n, 1))
        error = np.exp(share * BACKGROUND_ERROR * rng.standard_normal((n, n_bands)))
        ripple = random_structure(n, self.size // 2, generator, slope=RIPPLE_SLOPE)
        ripple = torch.exp(torch.tensor(BACKGROUND_RIPPLE * share[..., None], dtype=torch.float32) * ripple)
        level, error = (torch.tensor(v, dtype=torch.float32) for v in (level, error))
        truth = [b * level[:, :, None] for b in background]
        return truth, [
            t * error[:, band, None, None] * resized(ripple, t.shape[-2:]) for band, t in enumerate(truth)
        ]

    def _emission(self, rng, generator, instrument, latitude):
        """Counts of the interstellar emission for the mean exposure, and their prediction."""
        n, size = len(latitude), self.size
        pixel_size = self.bank.pixel_size[instrument].cpu().numpy()
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
        clumps = random_structure(2 * n, size // 2, generator).view(2, n, size // 2, size // 2)
        strength = torch.tensor(rng.uniform(0, CLOUDS, (n, 1, 1)), dtype=torch.float32)
        profile = torch.tensor(profile, dtype=torch.float32)[:, :, None]
        truth = profile * resized(torch.exp(strength * clumps[0]), (size, size))
        known = (rng.random(n) < EMISSION_KNOWN) * rng.lognormal(0, EMISSION_ERROR, n)
        known = torch.tensor(known, dtype=torch.float32)[:, None, None]
        wrong = resized(torch.exp(CLOUDS_MISSED * strength * clumps[1]), (size, size)) * known
        return self._per_band(truth, counts), self._per_band(truth * wrong, counts)

    def _per_band(self, image, counts):
        """Images on the finest pixels times counts of each band, on the bands' pixels."""
        return [
            sum_on_level(image, level) * counts[:, band, None, None]
            for band, level in enumerate(self.bands.levels)
        ]

    def _sources(self, rng, nominal, local, latitude, exposure):
        """Sources of one random plane in and near the patches."""
        plane, patch, x, y = self._project(rng, nominal, latitude)
        catalog = plane.catalog
        spectra = {k: torch.tensor(getattr(catalog, k), dtype=torch.float32) for k in SPECTRAL_PARAMETERS}
        width = torch.tensor(plane.width, dtype=torch.float32)
        relative = [values_at(e, patch, x, y, k) for e, k in zip(exposure, self.bands.levels, strict=True)]
        return PatchSources(
            patch=patch,
            x=x,
            y=y,
            flux=torch.tensor(catalog.flux(*FLUX_RANGE), dtype=torch.float32),
            spectra=spectra,
            counts=source_counts(self.bank, local[patch], spectra),
            latitude=torch.tensor(catalog.lat, dtype=torch.float32),
            exposure=torch.stack(relative, 1),
            width=width,
            pixel_width=width / self.bank.pixel_size[nominal].float()[patch],
            kind=torch.tensor(plane.shape),
        )

    def _project(self, rng, instrument, latitude):
        """Sources of a random plane in and near the patches, their patch and their position."""
        sources = draw_plane(rng, self.classes, scale=np.exp(rng.uniform(*np.log(DENSITY))))
        pixel_size = self.bank.pixel_size[instrument].cpu().numpy()[:, None]
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
        return sources.select(index), torch.tensor(patch), *place
