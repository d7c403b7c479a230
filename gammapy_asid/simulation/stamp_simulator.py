# Licensed under a 3-clause BSD style license - see LICENSE
"""Endless simulated stamps of sources of all sizes."""

import numpy as np
import torch
import torch.nn.functional as F

from ..inputs.psf import psf_kernels, psf_radius
from ..inputs.stamps import Stamps, psf_description
from ..stats.image_bounds import asimov_terms
from ..stats.significance import fast_length
from ..utils.devices import Movable, on_own_device
from .scenes import SimulatedStamps
from .shapes import SHAPES, shape_images
from .variations import generators, random_structure

__all__ = ["StampSimulator"]

#: Indices of the two spectra whose point spread functions are mixed for any other.
HARD, SOFT = 1.5, 3.2

#: Distance in pixels from which another source is a neighbour and not a part of the same one.
NEAREST = 12.0

#: Share of the photons in the widest band that the margin around a stamp must keep.
CONTAINMENT = 0.99


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
        first = places[0].response
        self.bands, self.pixel_size = first.bands, first.pixel_size
        self.size = places[0].exposure.shape[-1]
        radius = max(np.nanmax(psf_radius(p.response, CONTAINMENT)) for p in places)
        self.margin = min(int(np.ceil(radius / self.pixel_size)), self.size // 2)
        self.grid = fast_length(self.size + 2 * self.margin)
        self.margin = (self.grid - self.size) // 2
        self.sub_exposure = torch.tensor(np.stack([p.response.exposure for p in places]), dtype=torch.float64)
        edges = np.nan_to_num(np.stack([p.response.sub_edges for p in places]), nan=1.0) / 1e3
        self.sub_edges = torch.tensor(edges)
        self.exposure = torch.tensor(np.stack([p.exposure for p in places]), dtype=torch.float32)
        self.background = torch.tensor(np.stack([p.background for p in places]), dtype=torch.float32)
        self.psf = torch.tensor(np.stack([psf_description(p.response) for p in places]))
        self.kernels = torch.stack([self._transforms(p.response) for p in places])
        ends = torch.tensor([HARD, SOFT], dtype=torch.float64)
        place = torch.arange(len(places)).repeat_interleave(2)
        _, ends = self._counts(place, torch.ones(len(place)), ends.repeat(len(places)))
        self.mean_energy = ends.view(len(places), 2, -1)

    def _transforms(self, response):
        """Fourier transforms of the point spread functions of a hard and of a soft spectrum."""
        kernels = psf_kernels(response, half=min(self.margin, (self.grid - 1) // 2), phases=1)[:, :, 0, 0]
        energy = np.sqrt(response.sub_edges[:, 1:] * response.sub_edges[:, :-1])
        width = np.diff(response.sub_edges)
        mixed = []
        for index in (HARD, SOFT):
            photons = np.nan_to_num((energy / 1e3) ** -index * width * response.exposure)
            share = photons / np.maximum(photons.sum(1, keepdims=True), 1e-300)
            mixed.append(torch.einsum("bs,bsyx->byx", torch.tensor(share, dtype=torch.float32), kernels))
        kernels = torch.stack(mixed, 1)
        half = kernels.shape[-1] // 2
        padded = F.pad(kernels, (0, self.grid - kernels.shape[-1], 0, self.grid - kernels.shape[-1]))
        # Symmetric around the first pixel: the transform is real.
        return torch.fft.rfft2(padded.roll((-half, -half), (-2, -1))).real.clone()

    def _counts(self, place, amplitude, index):
        """Expected counts of power laws per band, and their mean logarithm of the energy."""
        edges, index = self.sub_edges[place], index.double()[:, None, None]
        power = 1 - index
        integral = (edges[..., 1:] ** power - edges[..., :-1] ** power) / power
        counts = amplitude.double()[:, None, None] * integral * self.sub_exposure[place]
        total = counts.sum(-1)
        energy = (edges[..., 1:] * edges[..., :-1]).log() / 2
        mean = (counts * energy).sum(-1) / total.clamp(min=1e-300)
        return total.float(), mean

    @property
    def device(self):
        """Where stamps are simulated: by default on the processor, see `to`."""
        return self.psf.device

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
        own = self.of_kind[scene.other]
        place = torch.tensor(own[rng.integers(len(own), size=n)])
        hours = torch.tensor(np.exp(rng.uniform(*np.log(scene.hours), n)), dtype=torch.float32)
        source = self._draw_sources(n, scene, rng)
        if scene.reference is not None:
            source["amplitude"] = source["amplitude"] * (scene.reference / hours).sqrt()
        size = source["size"].cpu().numpy()
        distance = rng.normal(size=(2, n)) * (scene.offset[0] + scene.offset[1] * size)
        x, y = (
            torch.tensor(
                d / self.pixel_size + rng.uniform(-0.5, 0.5, n) + self.size // 2, dtype=torch.float32
            )
            for d in distance
        )
        exposure = hours[:, None, None, None] * self.exposure[place]
        own = self.source_images(place, torch.arange(n), x, y, source) * exposure
        # The instrument's background; what is known of it is off by a factor and a slope.
        background = hours[:, None, None, None] * self.background[place]
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
        seen = valid[:, None] * present[:, :, None, None]
        psf = self.psf[place]
        if scene.psf_error:
            psf[..., 0] += torch.tensor(rng.normal(0, scene.psf_error, (n, 1)), dtype=torch.float32)
        psf = torch.where(present[..., None] > 0, psf, torch.nan)
        stamps = Stamps(counts * seen, known.clamp(min=0) * seen, valid, psf)
        return SimulatedStamps(
            stamps,
            source["size"],
            source["kind"],
            source["amplitude"],
            source["index"],
            asimov_terms(own * seen, (background + extra) * seen).sum((1, 2, 3)),
            x,
            y,
            place,
            hours,
            own * seen if keep_source else None,
        )

    def _draw_sources(self, n, scene, rng):
        """Kind, size in deg, elongation, angle, amplitude and index of sources."""
        shapes = np.array(scene.shapes) / np.sum(scene.shapes)
        kind = 1 + rng.choice(len(SHAPES) - 1, n, p=shapes)
        kind[rng.random(n) < scene.points] = 0
        size = np.where(kind == 0, 0, np.exp(rng.uniform(*np.log(scene.size), n)))
        values = {
            "size": size,
            "elongation": np.exp(
                rng.uniform(0, np.log(scene.elongation), n) if scene.elongation > 1 else np.zeros(n)
            ),
            "angle": rng.uniform(0, np.pi, n),
            "amplitude": 10 ** rng.normal(*scene.log_flux, n),
            "index": rng.normal(*scene.index, n).clip(1.2, 5),
        }
        return {name: torch.tensor(v, dtype=torch.float32) for name, v in values.items()} | {
            "kind": torch.tensor(kind)
        }

    def source_images(self, place, stamp, x, y, source):
        """Expected counts of sources at the exposure of their place, seen through the PSF, added per stamp.

        Parameters
        ----------
        place : `~torch.Tensor`
            Index of the response of each stamp, shape ``(n,)``.
        stamp, x, y : `~torch.Tensor`
            Stamp and position in pixels of each source, shape ``(n_sources,)``.
        source : dict of `~torch.Tensor`
            ``kind``, ``size`` in deg, ``elongation``, ``angle``, ``amplitude`` at 1 TeV in cm-2 s-1 TeV-1
            and ``index`` of each source.

        Returns
        -------
        images : `~torch.Tensor`
            Shape ``(n, n_bands, size, size)``.
        """
        shape = shape_images(
            source["kind"],
            x + self.margin,
            y + self.margin,
            source["size"] / self.pixel_size,
            self.grid,
            source["elongation"],
            source["angle"],
        )
        of_source, n = place[stamp], len(place)
        counts, energy = self._counts(of_source, source["amplitude"], source["index"])
        hard, soft = self.mean_energy[of_source].unbind(1)
        weight = ((energy - soft) / (hard - soft).clamp(min=1e-6)).clamp(0, 1).float()
        mixed = torch.stack([counts * weight, counts * (1 - weight)], -1)
        transform = torch.fft.rfft2(shape)
        cut = slice(self.margin, self.margin + self.size)
        images = torch.empty(n, len(self.bands), self.size, self.size, device=x.device)
        for band in range(len(self.bands)):
            hard, soft = self.kernels[of_source, band].unbind(1)
            a, b = mixed[:, band, :, None, None].unbind(1)
            product = transform.new_zeros(n, *transform.shape[1:])
            product.index_add_(0, stamp, transform * (hard * a + soft * b))
            images[:, band] = torch.fft.irfft2(product, s=(self.grid, self.grid))[:, cut, cut]
        return images.clamp(min=0)

    def _error(self, n, scene, rng):
        """Factor of the known background on the true one."""
        if not scene.background_error:
            return 1.0
        scale = scene.background_error * 10 ** rng.uniform(-2, 0, (n, 1, 1))
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
                rng.normal(0, 0.7, n),
                np.exp(rng.uniform(np.log(0.2), np.log(3), n)),
            )
        )
        across = step * torch.cos(angle) + step[:, None] * torch.sin(angle) - centre
        clouds, wrong = self._clouds(2 * n, generator).view(2, n, self.size, self.size)
        ridge = torch.exp(-across.abs() / height + 0.3 * clouds)
        # Intensity at 1 TeV in cm-2 s-1 TeV-1 sr-1.
        intensity = 10 ** rng.uniform(-10.3, -8.6, n) * (rng.random(n) < scene.emission)
        pixel = np.radians(self.pixel_size) ** 2
        index = torch.tensor(rng.uniform(2.4, 2.8, n))
        counts, _ = self._counts(place, torch.tensor(intensity * pixel), index)
        truth = counts[:, :, None, None] * ridge[:, None] * exposure
        error = torch.tensor(np.abs(rng.normal(0, 0.15, (n, 1, 1))), dtype=torch.float32)
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
        # All of a stamp are known, or none.
        factor = torch.tensor((rng.random(n) < 0.5) * np.exp(rng.normal(0, 0.1, n)), dtype=torch.float32)
        number, some = number[number > 0], torch.tensor(np.flatnonzero(number))
        truth = torch.zeros(n, len(self.bands), self.size, self.size)
        if len(some):
            stamp = torch.tensor(np.repeat(np.arange(len(some)), number))
            k = len(stamp)
            source = self._draw_sources(k, scene, rng)
            if scene.reference is not None:
                source["amplitude"] = source["amplitude"] * (scene.reference / hours[some][stamp]).sqrt()
            radius = np.sqrt(rng.uniform(NEAREST**2, (self.grid / 2) ** 2, k))
            angle = rng.uniform(0, 2 * np.pi, k)
            x, y = (
                torch.tensor(radius * f(angle) + self.size / 2, dtype=torch.float32) for f in (np.cos, np.sin)
            )
            truth[some] = self.source_images(place[some], stamp, x, y, source)
        return truth, truth * factor[:, None, None, None]

    def _valid(self, n, scene, rng):
        """1 inside the field: some stamps reach over a straight edge."""
        valid = torch.ones(n, self.size, self.size)
        cut = rng.random(n) < scene.edges
        if cut.any():
            step = torch.arange(self.size) - self.size / 2
            angle = torch.tensor(rng.integers(4, size=n) * np.pi / 2 + rng.normal(0, 0.05, n))[:, None, None]
            at = torch.tensor(rng.uniform(2, self.size / 2, n))[:, None, None]
            inside = step * torch.cos(angle) + step[:, None] * torch.sin(angle) < at
            valid = torch.where(torch.tensor(cut)[:, None, None], inside.float(), valid)
        return valid

    def _present(self, n, scene, place, rng):
        """1 for the bands of each stamp."""
        present = torch.isfinite(self.psf[place][..., 0]).float()
        missing = rng.random(n) < scene.missing_bands
        if len(self.bands) > 1 and missing.any():
            n_bands, band = len(self.bands), np.arange(len(self.bands))
            # Thresholds rise more often than the end of the range falls.
            first = rng.integers(1, max(2, n_bands - 1), (n, 1))
            kept = np.where(rng.random((n, 1)) < 0.7, band >= first, band < n_bands - 1)
            present = present * torch.tensor(kept | ~missing[:, None], dtype=torch.float32)
        return present
