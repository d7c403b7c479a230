# Licensed under a 3-clause BSD style license - see LICENSE
"""Endless simulated stamps of sources of all sizes."""

import numpy as np
import torch
import torch.nn.functional as F

from ..inputs.stamps import Stamps
from ..stats.image_bounds import asimov_terms
from ..utils.devices import Movable, on_own_device
from .scenes import SimulatedStamps
from .shapes import SHAPES
from .stamp_bank import StampBank
from .variations import generators, random_structure

__all__ = ["StampSimulator"]

# Distance in pixels from which another source is a neighbour and not a part of the same one.
NEAREST = 12.0
# Share of the stamps whose neighbours are known, all or none, and spread of the logarithm of the known
# fluxes.
KNOWN_SHARE, KNOWN_ERROR = 0.5, 0.1

# Range of photon indices: beyond it no power law is measured.
INDICES = (1.2, 5.0)

# Interstellar emission is a ridge with clouds: spread of its distance from the stamp's centre and range of
# its scale height in deg, and strength of the clouds.
RIDGE_DISTANCE, RIDGE_HEIGHT, CLOUDS = 0.7, (0.2, 3.0), 0.3
# Range of the logarithm of its intensity at 1 TeV in cm-2 s-1 TeV-1 sr-1, up to that of the Galactic plane
# (2014PhRvD..90l2007A), of its photon indices, and spread of the errors of its prediction.
INTENSITY, EMISSION_INDEX, EMISSION_ERROR = (-10.3, -8.6), (2.4, 2.8), 0.15

# Range of the logarithm of background errors over the largest.
ERROR_RANGE = (-2, 0)

# Edges of a field lie along the axes within this angle in rad, at least so many pixels from the centre: the
# candidate itself is inside.
EDGE_ANGLE, EDGE_DISTANCE = 0.05, 2

# Share of the stamps with missing bands which lack the lowest: thresholds rise more often than the end of the
# range falls.
LOWEST_SHARE = 0.7


class StampSimulator(Movable):
    """Simulate stamps of any of several places.

    Parameters
    ----------
    places : list of `StampResponse`
        Instrument around places, all with the same bands and size.
    scenes : list of `Scene`
        What is simulated.
    shares : list of float
        Share of each scene in a batch; by default equal.
    """

    def __init__(self, places, scenes, shares=None):
        self.places, self.scenes = places, scenes
        self.of_kind = {kind: np.flatnonzero([p.other == kind for p in places]) for kind in (False, True)}
        self.shares = np.full(len(scenes), 1 / len(scenes)) if shares is None else np.array(shares)
        self.bank = StampBank(places)
        self.bands, self.size, self.pixel_size = self.bank.bands, self.bank.size, self.bank.pixel_size

    @property
    def device(self):
        """Where stamps are simulated: by default on the CPU, see ``to``."""
        return self.bank.psf.device

    @on_own_device
    def draw(self, n, seed, scene=None, keep_source=False):
        """Simulate stamps.

        Parameters
        ----------
        n : int
            Number of stamps.
        seed : int or sequence of int
            Equal seeds give equal stamps.
        scene : `Scene`, optional
            The one scene of all; by default a mixture.
        keep_source : bool
            Keep the expected counts of the source.

        Returns
        -------
        simulated : `SimulatedStamps`
            Stamps and truth.
        """
        rng, generator = generators(seed, self.device)
        if scene is not None:
            return self._scene(n, scene, rng, generator, keep_source)
        numbers = np.bincount(rng.choice(len(self.scenes), n, p=self.shares), minlength=len(self.scenes))
        parts = [
            self._scene(int(k), s, rng, generator, keep_source)
            for k, s in zip(numbers, self.scenes, strict=True)
            if k
        ]
        return SimulatedStamps.cat(parts)

    def _scene(self, n, scene, rng, generator, keep_source):
        places = self.of_kind[scene.other]
        place = torch.tensor(places[rng.integers(len(places), size=n)])
        hours = torch.tensor(np.exp(rng.uniform(*np.log(scene.hours), n)), dtype=torch.float32)
        source = self._draw_sources(n, scene, hours, rng)
        x, y = self._positions(n, scene, source["size"].cpu().numpy(), rng)
        exposure = hours[:, None, None, None] * self.bank.exposure[place]
        own = self.bank.images(place, torch.arange(n), x, y, source) * exposure
        # The instrument's background; what is known of it is off by a factor and a slope.
        background = hours[:, None, None, None] * self.bank.background[place]
        known = background * self._error(n, scene, rng)
        extra = torch.zeros_like(own)
        if scene.emission:
            truth, prediction = self._emission(n, scene, place, exposure, rng, generator)
            extra, known = extra + truth, known + prediction
        if scene.neighbours:
            truth, prediction = self._neighbours(n, scene, place, hours, rng)
            extra, known = extra + truth * exposure, known + prediction * exposure
        counts = torch.poisson((own + background + extra).clamp(min=0), generator=generator)
        valid = self._valid(n, scene, rng)
        present = self._present(n, scene, place, rng)
        inside = valid[:, None] * present[:, :, None, None]
        psf = self.bank.psf[place]
        if scene.psf_error:
            psf[..., 0] += torch.tensor(rng.normal(0, scene.psf_error, (n, 1)), dtype=torch.float32)
        psf = torch.where(present[..., None] > 0, psf, torch.nan)
        stamps = Stamps(counts * inside, known.clamp(min=0) * inside, valid, psf)
        return SimulatedStamps(
            stamps=stamps,
            ts=asimov_terms(own * inside, (background + extra) * inside).sum((1, 2, 3)),
            x=x,
            y=y,
            place=place,
            hours=hours,
            source=own * inside if keep_source else None,
            **{name: source[name] for name in ("size", "kind", "amplitude", "index")},
        )

    def _positions(self, n, scene, size, rng):
        """Places of the sources in pixels, near the middle pixel."""
        distance = rng.normal(size=(2, n)) * (scene.offset[0] + scene.offset[1] * size)
        return [
            torch.tensor(
                d / self.pixel_size + rng.uniform(-0.5, 0.5, n) + self.size // 2, dtype=torch.float32
            )
            for d in distance
        ]

    def _draw_sources(self, n, scene, hours, rng):
        """Kind, size in deg, elongation, angle, amplitude and index of sources."""
        shapes = np.array(scene.shapes) / np.sum(scene.shapes)
        kind = 1 + rng.choice(len(SHAPES) - 1, n, p=shapes)
        kind[rng.random(n) < scene.points] = 0
        size = np.where(kind == 0, 0, np.exp(rng.uniform(*np.log(scene.size), n)))
        elongated = scene.elongation > 1
        values = {
            "size": size,
            "elongation": np.exp(rng.uniform(0, np.log(scene.elongation), n) if elongated else np.zeros(n)),
            "angle": rng.uniform(0, np.pi, n),
            "amplitude": 10 ** rng.normal(*scene.log_flux, n),
            "index": rng.normal(*scene.index, n).clip(*INDICES),
        }
        source = {name: torch.tensor(v, dtype=torch.float32) for name, v in values.items()}
        if scene.reference is not None:
            source["amplitude"] = source["amplitude"] * (scene.reference / hours).sqrt()
        return source | {"kind": torch.tensor(kind)}

    def _error(self, n, scene, rng):
        """Factor of the known background on the true one."""
        if not scene.background_error:
            return 1.0
        scale = scene.background_error * 10 ** rng.uniform(*ERROR_RANGE, (n, 1, 1))
        scale = torch.tensor(scale * (rng.random((n, 1, 1)) > scene.exact), dtype=torch.float32)
        norm, sx, sy = torch.tensor(rng.normal(size=(3, n, len(self.bands), 1, 1)), dtype=torch.float32)
        step = torch.linspace(-1, 1, self.size)
        return torch.exp(scale[..., None] * (norm + sx * step + sy * step[:, None]))

    def _emission(self, n, scene, place, exposure, rng, generator):
        """Interstellar emission and its prediction: a ridge of random direction with clouds."""
        step = (torch.arange(self.size) - self.size / 2) * self.pixel_size
        angle, centre, height = (
            torch.tensor(v, dtype=torch.float32)[:, None, None]
            for v in (
                rng.uniform(0, 2 * np.pi, n),
                rng.normal(0, RIDGE_DISTANCE, n),
                np.exp(rng.uniform(*np.log(RIDGE_HEIGHT), n)),
            )
        )
        across = step * torch.cos(angle) + step[:, None] * torch.sin(angle) - centre
        clouds, wrong = self._clouds(2 * n, generator).view(2, n, self.size, self.size)
        ridge = torch.exp(-across.abs() / height + CLOUDS * clouds)
        intensity = 10 ** rng.uniform(*INTENSITY, n) * (rng.random(n) < scene.emission)
        pixel = np.radians(self.pixel_size) ** 2
        index = torch.tensor(rng.uniform(*EMISSION_INDEX, n))
        counts, _ = self.bank.counts(place, torch.tensor(intensity * pixel), index)
        truth = counts[:, :, None, None] * ridge[:, None] * exposure
        error = torch.tensor(np.abs(rng.normal(0, EMISSION_ERROR, (n, 1, 1))), dtype=torch.float32)
        norm = torch.tensor(rng.normal(size=(n, 1, 1)), dtype=torch.float32)
        factor = torch.exp(error * (norm + wrong)) * torch.tensor(
            rng.random((n, 1, 1)) >= scene.unknown_emission
        )
        return truth, truth * factor[:, None]

    def _clouds(self, n, generator):
        """Random fields of unit variance without the smallest scales, which nobody sees."""
        fields = random_structure(n, self.size // 2, generator)[:, None]
        return F.interpolate(fields, scale_factor=2, mode="bilinear")[:, 0]

    def _neighbours(self, n, scene, place, hours, rng):
        """Other sources of each stamp and what is known of them, at the exposure of the place."""
        number = rng.poisson(scene.neighbours, n)
        factor = (rng.random(n) < KNOWN_SHARE) * np.exp(rng.normal(0, KNOWN_ERROR, n))
        factor = torch.tensor(factor, dtype=torch.float32)
        number, some = number[number > 0], torch.tensor(np.flatnonzero(number))
        truth = torch.zeros(n, len(self.bands), self.size, self.size)
        if len(some):
            stamp = torch.tensor(np.repeat(np.arange(len(some)), number))
            k = len(stamp)
            source = self._draw_sources(k, scene, hours[some][stamp], rng)
            radius = np.sqrt(rng.uniform(NEAREST**2, (self.bank.grid / 2) ** 2, k))
            angle = rng.uniform(0, 2 * np.pi, k)
            x, y = (
                torch.tensor(radius * f(angle) + self.size / 2, dtype=torch.float32) for f in (np.cos, np.sin)
            )
            truth[some] = self.bank.images(place[some], stamp, x, y, source)
        return truth, truth * factor[:, None, None, None]

    def _valid(self, n, scene, rng):
        """1 inside the field: some stamps reach over a straight edge."""
        valid = torch.ones(n, self.size, self.size)
        cut = rng.random(n) < scene.edges
        if cut.any():
            step = torch.arange(self.size) - self.size / 2
            angle = rng.integers(4, size=n) * np.pi / 2 + rng.normal(0, EDGE_ANGLE, n)
            angle = torch.tensor(angle)[:, None, None]
            at = torch.tensor(rng.uniform(EDGE_DISTANCE, self.size / 2, n))[:, None, None]
            inside = step * torch.cos(angle) + step[:, None] * torch.sin(angle) < at
            valid = torch.where(torch.tensor(cut)[:, None, None], inside.float(), valid)
        return valid

    def _present(self, n, scene, place, rng):
        """1 for the bands of each stamp."""
        present = torch.isfinite(self.bank.psf[place][..., 0]).float()
        missing = rng.random(n) < scene.missing_bands
        if len(self.bands) > 1 and missing.any():
            n_bands, band = len(self.bands), np.arange(len(self.bands))
            first = rng.integers(1, max(2, n_bands - 1), (n, 1))
            kept = np.where(rng.random((n, 1)) < LOWEST_SHARE, band >= first, band < n_bands - 1)
            present = present * torch.tensor(kept | ~missing[:, None], dtype=torch.float32)
        return present
