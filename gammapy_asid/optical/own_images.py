# Licensed under a 3-clause BSD style license - see LICENSE
"""Examples from a user's own images and lists of their sources, for a training that goes on from a model."""

import dataclasses

import numpy as np
import torch

from ..learning.seeds import VALIDATION
from .bands import OPTICAL_BANDS
from .batch import ImageBatch
from .field import field_parts, placed_sources
from .simulator import OpticalSimulator, SimulatedImages

__all__ = ["ImageSimulator", "ListedImage"]

#: Share of an image, at the upper end of its longer axis, that trains nothing: it calibrates the model.
HELD_OUT = 0.25

#: Widths of the point spread functions of simulated images over that of the own ones, and the limits of what
#: the simulator draws.
AROUND, LIMITS = (0.85, 1.18), (1.1, 6.0)

#: Point spread functions of the simulated images: one camera needs few.
CAMERAS = 64


@dataclasses.dataclass(frozen=True, eq=False)
class ListedImage:
    """A prepared image with the sources that its user knows.

    Parameters
    ----------
    prepared : `~gammapy_asid.optical.images.PreparedImage`
        Image.
    x, y : `~numpy.ndarray`
        Positions in its (binned) pixels, shape ``(k,)``.
    flux, snr : `~numpy.ndarray`
        Fitted light in units of the noise, and what significance it would have alone; shape ``(k,)``.
    share : `~numpy.ndarray`
        Its share in the fitted light of the pixel of its centre, shape ``(k,)``.
    galaxy : `~numpy.ndarray`
        Which are known as galaxies, bool of shape ``(k,)``.
    bits : `~numpy.ndarray`
        Cosmic rays (1) and trails (2) that the model to start from finds where no listed source is, uint8 of
        the shape of `prepared`.
    """

    prepared: object
    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    snr: np.ndarray
    share: np.ndarray
    galaxy: np.ndarray
    bits: np.ndarray

    @classmethod
    def make(cls, prepared, sources, model):
        """Place and fit the sources of a list, and mask what a model says is none.

        Parameters
        ----------
        prepared : `~gammapy_asid.optical.images.PreparedImage`
            Image.
        sources : `~gammapy_asid.OpticalSources`, `~astropy.table.Table`, SkyCoord or Candidates
            All sources that are to be found in it.
        model : `~gammapy_asid.optical.detection.model.OpticalDetectionModel`
            Model that the training starts from.

        Returns
        -------
        listed : `ListedImage`
            Image with those of the sources that lie on its valid pixels.

        Raises
        ------
        ValueError
            If none does.
        """
        placed, measured = placed_sources(prepared, sources)
        if not measured.any():
            raise ValueError(
                f"None of the {len(placed)} listed sources lies on valid pixels of {prepared.image.name}"
            )
        x, y = (np.where(measured, placed.table[name], np.nan) for name in ("xcentroid", "ycentroid"))
        flux, snr, share = np.zeros((3, len(placed)))
        for part in field_parts(prepared, x, y):
            fit = part.fit(iterations=0)
            own = torch.nan_to_num(fit.flux[part.own])
            row, column = (np.round(v[part.own]).astype(int) for v in (part.y, part.x))
            variance = part.batch.variance[0, row, column]
            flux[part.rows] = own
            peak = (own * part.batch.kernels[0].max()).clamp(min=1e-6)
            share[part.rows] = peak / torch.maximum(fit.model[0, row, column], peak)
            snr[part.rows] = own * torch.sqrt((part.batch.kernels[0] ** 2).sum() / variance)
        x, y = (v[measured] for v in prepared.binned(x, y))
        bits = _binned_bits(model.detect(prepared).bits, prepared)
        _clear(bits, x, y, prepared.psf.fwhm / 2)
        galaxy = placed.kinds == "galaxy"
        columns = (v[measured] for v in (flux, snr, share, galaxy))
        return cls(prepared, x, y, *columns, bits)

    def part(self, held_out):
        """Axis along which the image is parted, and the range of its pixels that is used.

        Parameters
        ----------
        held_out : bool
            Whether that which trains nothing is wanted.
        """
        axis = int(np.argmax(self.prepared.shape))
        n = self.prepared.shape[axis]
        border = round(n * (1 - HELD_OUT))
        return axis, (slice(border, n) if held_out else slice(0, border))


class ImageSimulator:
    """Draws patches of own images, their listed sources as truth, among simulated ones.

    What the list of an image lacks is learned as no source: lists should go as deep as the sources that are
    to be found. Simulated images of like cameras keep what the list does not tell.

    Parameters
    ----------
    images : list of `ListedImage`
        Images.
    size : int
        Side of the patches in pixels.
    share : float
        Share of own patches; the others are simulated.
    seed : int
        Seed of the simulated cameras.
    """

    bands = OPTICAL_BANDS

    def __init__(self, images, size=128, share=0.5, seed=0):
        self.images, self.size, self.share, self.seed = images, size, share, seed
        widths = [image.prepared.psf.fwhm for image in images]
        low, high = min(widths) * AROUND[0], max(widths) * AROUND[1]
        #: Range of the width of the point spread function in pixels.
        self.fwhm = tuple(np.clip((low, high), *LIMITS).tolist())
        if not self.fwhm[0] < self.fwhm[1]:
            raise ValueError(
                f"The point spread function is {widths[0]:.2f} pixels wide: a training needs {LIMITS[0]} to "
                f"{LIMITS[1]}"
            )
        self.simulated = OpticalSimulator(size, self.fwhm, CAMERAS, seed=seed)

    def digested(self):
        """Name and entries by which folders of work know the simulator."""
        images = [
            {
                "name": image.prepared.image.name,
                "sky": image.prepared.sky.level.values,
                "psf": image.prepared.psf.terms,
                "sources": np.stack([image.x, image.y, image.flux]),
                "bits": image.bits,
            }
            for image in self.images
        ]
        held = {name: getattr(self, name) for name in ("size", "share", "seed", "simulated")}
        return f"{__name__}.ImageSimulator", held | {"images": images}

    def draw(self, n, seed):
        """Draw patches.

        Parameters
        ----------
        n : int
            Number of patches.
        seed : int or tuple of int
            Seed; equal seeds give equal patches. Those of trainings never show the part of the images that
            others show.

        Returns
        -------
        patches : `~gammapy_asid.optical.simulator.SimulatedImages`
            Own patches, then simulated ones.
        """
        seed = np.atleast_1d(seed).tolist()
        rng = np.random.default_rng((*seed, self.seed, 1))
        n_own = rng.binomial(n, self.share) if 0 < self.share < 1 else round(n * self.share)
        # Large images count more
        weights = np.array([np.prod(image.prepared.shape) for image in self.images], float)
        chosen = rng.choice(len(self.images), n_own, p=weights / weights.sum())
        parts = [self._patch(self.images[i], seed[0] >= VALIDATION, rng) for i in chosen]
        if n_own < n:
            parts.append(self.simulated.draw(n - n_own, tuple(seed)))
        return _joined(parts)

    def _patch(self, listed, held_out, rng):
        """One patch of an image, which has no valid pixels outside the part that may be shown."""
        axis, part = listed.part(held_out)
        ranges = [(0, n) for n in listed.prepared.shape]
        ranges[axis] = (part.start, part.stop)
        starts = [_start(low, high, self.size, rng) for low, high in ranges]
        ys, xs = (slice(start, start + self.size) for start in starts)
        batch = listed.prepared.batch(ys, xs)
        place = torch.arange(self.size) + starts[axis]
        shown = (place >= part.start) & (place < part.stop)
        valid = batch.valid & (shown[:, None] if axis == 0 else shown)
        batch = dataclasses.replace(
            batch,
            valid=valid,
            signal=torch.where(valid, batch.signal, 0.0),
            variance=torch.where(valid, batch.variance, 1.0),
            saturated=batch.saturated & valid,
        )
        rows = (np.abs(listed.x - xs.start - self.size / 2) < self.size) & (
            np.abs(listed.y - ys.start - self.size / 2) < self.size
        )
        bits = torch.from_numpy(_cut(listed.bits, ys, xs))[None]
        k = int(rows.sum())
        columns = (listed.x - xs.start, listed.y - ys.start, listed.flux, listed.snr, listed.share)
        x, y, flux, snr, share = (torch.from_numpy(v[rows]).float() for v in columns)
        return SimulatedImages(
            batch=batch,
            patch=torch.zeros(k, dtype=torch.long),
            x=x,
            y=y,
            flux=flux,
            galaxy=torch.from_numpy(listed.galaxy[rows]),
            width=torch.zeros(k),
            snr=snr,
            share=share,
            cosmic=(bits & 1) > 0,
            trail=(bits & 2) > 0,
            electrons=torch.full((1,), torch.nan),
            true_psf=batch.psf,
        )


def _start(low, high, size, rng):
    """First pixel of a patch in a range, which it may exceed where it is longer."""
    spare = high - low - size
    return int(low + rng.integers(0, spare + 1)) if spare > 0 else low + spare // 2


def _cut(bits, ys, xs):
    """Part of an array, 0 beyond its edges."""
    cut = np.zeros((ys.stop - ys.start, xs.stop - xs.start), bits.dtype)
    inside = [
        slice(max(s.start, 0), max(min(s.stop, n), 0)) for s, n in zip((ys, xs), bits.shape, strict=True)
    ]
    place = tuple(slice(i.start - s.start, i.stop - s.start) for i, s in zip(inside, (ys, xs), strict=True))
    cut[place] = bits[tuple(inside)]
    return cut


def _binned_bits(bits, prepared):
    """Bits of binned pixels, those of the pixel in their middle."""
    b = prepared.binning
    return bits[b // 2 :: b, b // 2 :: b][: prepared.shape[0], : prepared.shape[1]].copy()


def _clear(bits, x, y, radius):
    """Take away the bits around positions, in place."""
    reach = int(np.ceil(radius))
    column, row = np.round(x).astype(int), np.round(y).astype(int)
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if np.hypot(dx, dy) <= radius:
                rows, columns = (
                    (row + dy).clip(0, bits.shape[0] - 1),
                    (column + dx).clip(0, bits.shape[1] - 1),
                )
                bits[rows, columns] = 0


def _joined(parts):
    """Patches one after the other."""
    first, columns = np.cumsum([0, *(len(part.batch) for part in parts)]), {}
    for field in dataclasses.fields(SimulatedImages):
        values = [getattr(part, field.name) for part in parts]
        if field.name == "batch":
            names = [f.name for f in dataclasses.fields(ImageBatch)]
            columns["batch"] = ImageBatch(**{k: torch.cat([getattr(v, k) for v in values]) for k in names})
        elif field.name == "patch":
            columns["patch"] = torch.cat([v + start for v, start in zip(values, first, strict=False)])
        else:
            columns[field.name] = torch.cat(values)
    return SimulatedImages(**columns)
