# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulated pairs of sources on high-latitude emission, seen by ten years of LAT."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
import torch
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap
from gammapy.maps import MapAxis, WcsGeom, WcsNDMap

from gammapy_asid.inputs import LAT_BANDS, Bands
from gammapy_asid.inputs.psf import psf_radius
from gammapy_asid.simulation import ResponseBank, emission_counts, lat_response, render_sources, source_counts
from gammapy_asid.simulation.variations import patch_grid, sample_emission
from gammapy_asid.tasks.detection.simulator import emission_blur

from .response_maps import psf_map, true_energy_axis

__all__ = ["INDEX", "PIXEL_SIZE", "PairSimulator", "Pairs"]

#: Counts of the fainter source in the band that sets the unit of distance.
COUNTS = 30.0
INDEX = 2.2
N_PIX, PIXEL_SIZE = 64, 0.1
#: Places of the pairs in a field, in pixels.
PLACES = np.array([(15.5, 15.5), (47.5, 15.5), (15.5, 47.5), (47.5, 47.5)])
#: Half width in pixels of the rendered sources: the low energies have wide tails.
HALF = 60


@dataclass
class Pairs:
    """Simulated fields with pairs of sources.

    Parameters
    ----------
    counts, background : `~numpy.ndarray`
        On the finest pixels, shape ``(n_fields, n_bands, 64, 64)``.
    x, y : `~numpy.ndarray`
        Positions of the sources in pixels, shape ``(n_fields, 4, 2)``; the brighter one first.
    """

    counts: np.ndarray
    background: np.ndarray
    x: np.ndarray
    y: np.ndarray


class PairSimulator:
    """Simulates pairs of sources seen by ten years of LAT.

    Parameters
    ----------
    bank : `~gammapy_asid.simulation.EmissionBank`
        Emission models, of which ``v07`` is used.
    folder : path
        Data folder.
    """

    def __init__(self, bank, folder):
        # All bands on the finest pixels: the TS map needs one geometry
        bands = Bands(LAT_BANDS.edges, (0,) * len(LAT_BANDS))
        caldb = folder / "lat" / "irfs"
        setup = {"irf": "P8R3_SOURCE_V2", "event_type": "FRONT+BACK", "livetime": 10.0, "caldb": caldb}
        self.fine = lat_response(bands=bands, pixel_size=PIXEL_SIZE, **setup)
        self.response = lat_response(pixel_size=PIXEL_SIZE, **setup)
        self.bank = ResponseBank([self.fine], half=HALF)
        v07 = bank.intensity[bank.names.index("v07")]
        blurred = type(bank)(("v07",), v07[None]).smooth(emission_blur([self.fine], [1.0]))
        self.emission = torch.from_numpy(blurred.intensity)
        self.radius = psf_radius(self.fine)
        self.geom = WcsGeom.create(
            skydir=(0, 0), npix=2 * (N_PIX,), binsz=PIXEL_SIZE, proj="TAN", frame="galactic"
        )
        self.spectrum = {
            "amplitude": 1.0,
            "reference": 1.0,
            "index": INDEX,
            "beta": 0,
            "lambda_": 0,
            "alpha": 1,
        }
        unit = {name: torch.tensor([float(v)]) for name, v in self.spectrum.items()}
        self.unit_counts = source_counts(self.bank, torch.zeros(1, dtype=torch.long), unit)[0]

    def amplitude(self, band):
        """Amplitude at 1 GeV that gives `COUNTS` in a band."""
        return COUNTS / float(self.unit_counts[band].sum())

    def flux(self, band):
        """1-100 GeV flux in cm-2 s-1 of that amplitude."""
        return self.amplitude(band) * (1 - 100 ** (1 - INDEX)) / (INDEX - 1)

    def images(self, field, x, y, amplitude, n_fields):
        """Expected counts of sources, shape ``(n_fields, n_bands, 64, 64)``."""
        field, zero = torch.as_tensor(field), torch.zeros(len(field), dtype=torch.long)
        x, y, amplitude = (torch.as_tensor(v, dtype=torch.float32) for v in (x, y, amplitude))
        counts = amplitude[:, None, None] * self.unit_counts
        return torch.stack(
            render_sources(self.bank, zero, field, x, y, counts, 2 * (N_PIX,), n_fields), 1
        ).numpy()

    def background(self, rng, n):
        """Expected counts of the emission at random places of abs(b) > 20 deg."""
        lat = np.arcsin(rng.uniform(np.sin(np.pi / 9), 1, n)) * rng.choice([-1, 1], n)
        centres = torch.tensor(np.column_stack([rng.uniform(-np.pi, np.pi, n), lat]), dtype=torch.float32)
        vectors = patch_grid(centres, torch.zeros(n), torch.full((n,), N_PIX * PIXEL_SIZE), N_PIX // 2)
        intensity = sample_emission(self.emission, vectors)[:, 0]
        planes = emission_counts(self.bank, torch.zeros(n, dtype=torch.long), intensity, 2 * (N_PIX,))
        return torch.stack(planes, 1).numpy()

    def draw(self, rng, n_fields, band, ratio, distance):
        """Simulate fields.

        Parameters
        ----------
        rng : `~numpy.random.Generator`
            Random numbers.
        n_fields : int
            Number of fields, four pairs in each.
        band : int
            Band of the unit of distance.
        ratio : float
            Flux of the brighter source over that of the fainter.
        distance : float
            Distance in units of the 68 % radius of the band.

        Returns
        -------
        pairs : `Pairs`
            Fields.
        """
        shape = n_fields, len(PLACES)
        centre = PLACES + rng.uniform(-0.5, 0.5, (*shape, 2))
        angle = rng.uniform(0, 2 * np.pi, shape)
        half = distance * self.radius[band] / PIXEL_SIZE / 2
        step = half * np.stack([np.cos(angle), np.sin(angle)], -1)
        x, y = (centre[..., None, i] + step[..., None, i] * np.array([1, -1]) for i in (0, 1))
        amplitude = self.amplitude(band) * np.broadcast_to([ratio, 1.0], x.shape)
        field = np.repeat(np.arange(n_fields), 2 * len(PLACES))
        background = self.background(rng, n_fields)
        expected = background + self.images(field, x.ravel(), y.ravel(), amplitude.ravel(), n_fields)
        return Pairs(rng.poisson(expected).astype(np.float32), background, x, y)

    def dataset(self, pairs, i):
        """Gammapy dataset of a field."""
        axis = MapAxis.from_energy_edges(np.array(LAT_BANDS.edges) * u.GeV)
        axis_true = true_energy_axis(self.fine)
        exposure = WcsNDMap(self.geom.to_cube([axis_true]), unit="cm2 s")
        exposure.data += self.fine.exposure.ravel()[:, None, None]
        return MapDataset(
            counts=WcsNDMap(self.geom.to_cube([axis]), pairs.counts[i]),
            background=WcsNDMap(self.geom.to_cube([axis]), pairs.background[i]),
            exposure=exposure,
            psf=psf_map(self.fine),
            edisp=EDispKernelMap.from_diagonal_response(axis, axis_true),
            name=f"pairs-{i}",
        )

    def two_or_one(self, band, ratio, distance):
        """Expected likelihood ratio of the true pair over the best single source of the same spectrum.

        On the mean emission, the pair in the middle of a field.
        """
        half = distance * self.radius[band] / PIXEL_SIZE / 2
        middle, amplitude = (N_PIX - 1) / 2, self.amplitude(band)
        places = middle + half * np.append([1, -1], np.linspace(-1, 1, 41))
        ones = np.ones(len(places))
        images = self.images(np.arange(len(places)), places, middle * ones, amplitude * ones, len(places))
        background = self.background(np.random.default_rng(0), 16).mean((0, 2, 3))[:, None, None]
        expected = background + ratio * images[0] + images[1]

        def deviance(single, level):
            model = background + level * single
            return 2 * np.sum(expected * np.log(expected / model) - expected + model)

        best = np.inf
        for single in images[2:]:
            level = ratio + 1.0
            for _ in range(20):
                model = background + level * single
                slope = np.sum(single * (expected / model - 1))
                step = slope / np.sum(single**2 * expected / model**2)
                level = max(level + step, level / 2)
            best = min(best, deviance(single, level))
        return best
