# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulated images of many skies and cameras, with all that is in them."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ..utils.devices import Movable
from .artefacts.cosmic_rays import cosmic_rays
from .artefacts.detector_faults import bleed, detector_faults
from .artefacts.haloes import haloes
from .artefacts.trails import trails
from .bands import OPTICAL_BANDS
from .batch import HALF, OVERSAMPLING, ImageBatch
from .psf_families import WIDE_HALF, draw_psfs, misjudged
from .rendering import MARGIN, fine_kernels, render
from .scenes import draw_scenes, draw_sources

__all__ = ["OpticalSimulator", "SimulatedImages"]

#: Expected trails and haloes in an image.
TRAILS, HALOES = 0.3, 0.2

#: Standard deviation in pixels of what counts as signal where the noise of sources is estimated.
SMOOTH = 1.0


@dataclass(kw_only=True)
class SimulatedImages(Movable):
    """Images with their truth; tensors of shape ``(k,)`` for ``k`` sources.

    Parameters
    ----------
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        Images as networks see them.
    patch : `~torch.Tensor`
        Number of the image of each source.
    x, y : `~torch.Tensor`
        Positions in pixels; some lie outside.
    flux : `~torch.Tensor`
        Light in units of the noise of the sky, as that of the images is told.
    galaxy : `~torch.Tensor`
        Whether a source is one, bool.
    width : `~torch.Tensor`
        Half-light radius in pixels, 0 for stars.
    snr : `~torch.Tensor`
        Significance that it would have alone on the sky.
    share : `~torch.Tensor`
        Its share in the light of all sources in the pixel of its centre; 1 outside of the images.
    cosmic, trail : `~torch.Tensor`
        Pixels of cosmic rays and of trails, bool of shape ``(n, ny, nx)``.
    electrons : `~torch.Tensor`
        Electrons in a unit of the signal, shape ``(n,)``; NaN where the images do not tell it.
    true_psf : `~torch.Tensor`
        Point spread function that made the images; that in `batch` is the one measured.
    """

    batch: ImageBatch
    patch: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    flux: torch.Tensor
    galaxy: torch.Tensor
    width: torch.Tensor
    snr: torch.Tensor
    share: torch.Tensor
    cosmic: torch.Tensor
    trail: torch.Tensor
    electrons: torch.Tensor
    true_psf: torch.Tensor

    def __len__(self):
        return len(self.batch)


class OpticalSimulator:
    """Draws images of many cameras: stars, galaxies, artefacts, noise.

    Parameters
    ----------
    size : int
        Side of the images in pixels.
    fwhm : tuple of float
        Interval of the width of the point spread function in pixels.
    cameras : int
        Number of point spread functions that there are; each comes in eight orientations.
    psf_error : tuple of float
        Interval of the standard deviation of the measured width, relative, and of the ellipticity.
    kinds : tuple of float, optional
        Shares of usual, deep and crowded fields.
    artefacts : bool
        Whether there are cosmic rays, trails and faults of the detector.
    wrong_sky : bool
        Whether level and noise of the sky are wrong as measured ones are; else they are the true ones.
    seed : int
        Seed of the cameras.
    """

    bands = OPTICAL_BANDS

    def __init__(
        self,
        size=128,
        fwhm=(1.1, 6.0),
        cameras=384,
        psf_error=(0.002, 0.03),
        kinds=None,
        artefacts=True,
        wrong_sky=True,
        seed=0,
    ):
        self.size, self.fwhm, self.cameras, self.psf_error = size, fwhm, cameras, psf_error
        self.kinds, self.artefacts, self.wrong_sky, self.seed = kinds, artefacts, wrong_sky, seed
        rng = np.random.default_rng((seed, 0))
        widths = np.exp(rng.uniform(*np.log(fwhm), cameras))
        chunks = np.array_split(widths, max(1, cameras // 16))
        psf = torch.cat([draw_psfs(chunk, (seed, i + 1)) for i, chunk in enumerate(chunks)])
        self._wide = fine_kernels(psf).clone()
        cut = (WIDE_HALF - HALF) * OVERSAMPLING
        self._psf = psf[:, cut:-cut, cut:-cut].clone()

    def digested(self):
        """Name and entries by which folders of work know the simulator."""
        names = ("size", "fwhm", "cameras", "psf_error", "kinds", "artefacts", "wrong_sky", "seed")
        return f"{__name__}.OpticalSimulator", {name: getattr(self, name) for name in names}

    def draw(self, n, seed):
        """Draw images.

        Parameters
        ----------
        n : int
            Number of images.
        seed : int or tuple of int
            Seed; equal seeds give equal images.

        Returns
        -------
        simulated : `SimulatedImages`
            Images and truth.
        """
        rng = np.random.default_rng((self.seed, *np.atleast_1d(seed).tolist()))
        camera = torch.from_numpy(rng.integers(0, self.cameras, n))
        turns = rng.integers(0, 8, n)
        wide, psf = (_oriented(v[camera], turns) for v in (self._wide, self._psf))
        low, high = self.psf_error
        error = np.exp(rng.uniform(np.log(low), np.log(high), n))
        told = misjudged(psf, error, 0.7 * error, rng.integers(2**31))
        scenes = draw_scenes(n, rng, self.kinds)
        measured = ImageBatch(signal=None, variance=None, valid=None, saturated=None, psf=psf)
        area = (1 / (measured.kernels**2).sum((1, 2))).numpy()
        fwhm = measured.fwhm.numpy()
        sources = draw_sources(scenes, area, fwhm, self.size, MARGIN, rng)
        light = render(*sources.points, wide, self.size)
        share = _share(sources, light, psf)
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        shape, trail = light.shape[1:], torch.zeros(light.shape, dtype=torch.bool)
        if self.artefacts:
            streaks, trail = trails(n, shape, generator, psf, rate=TRAILS)
            light = light + streaks + haloes(n, shape, generator, rate=HALOES)
        signal = _exposed(light, scenes, generator, rng)
        cosmic, valid = torch.zeros_like(trail), torch.ones_like(trail)
        if self.artefacts:
            noise = torch.sqrt(1 + light / _tensor(scenes.electrons)[:, None, None])
            # Resampling widens tracks too, but never to the width of a star
            widest = (0.25 * measured.fwhm).clamp(0.3, 0.8)
            charge, cosmic = cosmic_rays(n, shape, generator, noise=noise, widest=widest)
            faults = detector_faults(n, shape, generator)
            signal = faults.light + faults.response * (signal + charge)
            valid = ~faults.masked & _covered(n, self.size, rng)
        signal, saturated = _saturated(signal, scenes, rng)
        scale = torch.ones(n)
        if self.wrong_sky:
            signal, scale = _as_measured(signal, light, rng)
        electrons = _tensor(np.where(rng.random(n) < 0.6, scenes.electrons, np.nan)) * scale
        batch = ImageBatch(
            signal=torch.where(valid, signal, 0.0),
            variance=_known_variance(signal, electrons),
            valid=valid,
            saturated=saturated & valid,
            psf=told,
        )
        return SimulatedImages(
            batch=batch,
            patch=sources.patch,
            x=sources.x,
            y=sources.y,
            flux=sources.flux / scale[sources.patch],
            galaxy=sources.galaxy,
            width=sources.width,
            snr=sources.snr,
            share=share,
            cosmic=cosmic,
            trail=trail,
            electrons=electrons,
            true_psf=psf,
        )


def _tensor(values):
    return torch.from_numpy(np.asarray(values)).float()


def _share(sources, light, psf):
    """Share of each source in the light of the pixel of its centre."""
    side = light.shape[-1]
    column, row = torch.round(sources.x).long(), torch.round(sources.y).long()
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    middle = HALF * OVERSAMPLING
    dx, dy = (
        (middle + (place - position) * OVERSAMPLING).round().long()
        for place, position in ((column, sources.x), (row, sources.y))
    )
    own = sources.flux * sources.compact * psf[sources.patch, dy, dx]
    total = light[sources.patch, row.clamp(0, side - 1), column.clamp(0, side - 1)]
    return torch.where(inside, own / torch.maximum(total, own), 1.0)


def _oriented(images, turns):
    """Images turned by multiples of 90 deg, mirrored from the fourth on."""
    parts = []
    for image, turn in zip(images, turns, strict=True):
        image = torch.rot90(image, int(turn) % 4)
        parts.append(image.flip(0) if turn > 3 else image)
    return torch.stack(parts)


def _exposed(light, scenes, generator, rng):
    """Signal of an exposure: photons of sky and sources, read-out, sometimes correlated by resampling."""
    n = len(light)
    electrons, read = (_tensor(v)[:, None, None] for v in (scenes.electrons, scenes.read_share))
    sky = (1 - read) * electrons**2
    counts = torch.poisson(light * electrons + sky, generator=generator)
    noise = torch.randn(light.shape, generator=generator) * torch.sqrt(read)
    noise = noise + (counts - sky) / electrons - light
    # Resampled images share the noise of a pixel with its neighbours
    shared = torch.from_numpy(rng.random(n) < 0.25)[:, None, None]
    reach = _tensor(rng.uniform(0.35, 0.7, n))[:, None]
    axis = torch.exp(-0.5 * (torch.arange(-2.0, 3.0) / reach) ** 2)
    kernel = axis[:, :, None] * axis[:, None, :]
    kernel = kernel / torch.sqrt((kernel**2).sum((1, 2), keepdim=True))
    smooth = F.conv2d(noise[None], kernel[:, None], padding=2, groups=n)[0]
    return light + torch.where(shared, smooth, noise)


def _covered(n, size, rng):
    """Pixels inside the detector: a tenth of the images have an edge, where no data are."""
    valid = np.ones((n, size, size), bool)
    for i in np.flatnonzero(rng.random(n) < 0.1):
        valid[i, : rng.integers(1, size // 3)] = False
        valid[i] = np.rot90(valid[i], rng.integers(4))
    return torch.from_numpy(valid)


def _saturated(signal, scenes, rng):
    """Signal with nothing above saturation, and where it is; charge spills in half of the cameras."""
    level = _tensor(scenes.saturation)[:, None, None]
    flow = _tensor(np.where(rng.random(len(signal)) < 0.5, rng.uniform(0.3, 1, len(signal)), 0.0))
    clipped, saturated = bleed(signal, level, flow[:, None, None])
    # Not every header tells the level
    told = torch.from_numpy(rng.random(len(signal)) < 0.8)[:, None, None]
    return clipped, saturated & told


def _as_measured(signal, light, rng):
    """Signal above a measured background over a measured noise, both wrong where sources are everywhere.

    Returns
    -------
    signal, scale : `~torch.Tensor`
        Signal, and the measured over the true noise, shape ``(n,)``.
    """
    n, side = len(signal), signal.shape[-1]
    flat = signal.flatten(1)
    middle = light.flatten(1).median(1).values
    spread = 1.4826 * (flat - flat.median(1, keepdim=True).values).abs().median(1).values
    # Half of the time the noise is known, as from the gain; else sources add to what is measured
    trust = _tensor(np.where(rng.random(n) < 0.5, 0.0, rng.uniform(0, 0.9, n)))
    scale = (1 + trust * (spread.clamp(1, 20) - 1)) * _tensor(np.exp(rng.normal(0, 0.05, n)))
    slope_x, slope_y, level = _tensor(rng.normal(0, 0.12, (3, n)))
    axis = torch.linspace(-1, 1, side)
    plane = slope_x[:, None, None] * axis + slope_y[:, None, None] * axis[:, None] + level[:, None, None]
    share = _tensor(np.where(rng.random(n) < 0.3, 0.0, rng.uniform(0, 1.1, n)))
    background = (share * middle)[:, None, None] + plane * scale[:, None, None]
    return (signal - background) / scale[:, None, None], scale


def _known_variance(signal, electrons):
    """Variance of the signal as it is told: with the photons of sources where the gain is known."""
    axis = torch.exp(-0.5 * (torch.arange(-2.0, 3.0) / SMOOTH) ** 2)
    kernel = axis[:, None] * axis
    smooth = F.conv2d(signal[:, None], (kernel / kernel.sum())[None, None], padding=2)[:, 0]
    return 1 + torch.nan_to_num(smooth.clamp(min=0) / electrons[:, None, None])
