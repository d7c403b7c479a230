# Licensed under a 3-clause BSD style license - see LICENSE
"""An image in units of the noise of its sky, cut into what networks and fits see."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.ndimage import uniform_filter

from ..batch import HALF, ImageBatch
from ..psf import PSF, as_psf, measure_psf
from .binning import binned_cut
from .extremes import with_extremes
from .image import OpticalImage
from .sky import Sky, measure_sky
from .tiles import tiles_of

__all__ = ["Cut", "PreparedImage", "prepare_image"]

#: Full width at half maximum in pixels from which on pixels are summed: in the least sum that is narrower it
#: is 3 pixels or more, as the networks learn it.
WIDEST = 6.0
#: Most pixels along the side of a sum.
LARGEST = 16
#: Side of the part of a large image on which the point spread function is measured, in pixels: it has stars
#: enough, and 16 million pixels need little memory.
PART = 4096
#: Least variance of a pixel in units of that of the sky.
FLOOR = 0.25


@dataclass(frozen=True, eq=False)
class Cut:
    """Part of a prepared image; pixels beyond the image are not valid.

    Parameters
    ----------
    signal : `~numpy.ndarray`
        Light above the background over the noise of the sky, float32; 0 where not valid.
    variance : `~numpy.ndarray`
        Variance of `signal`, float32, 1 on the sky.
    valid : `~numpy.ndarray`
        Pixels with data, bool.
    saturated : `~numpy.ndarray`
        Valid pixels at saturation, bool.
    sky_noise, background : `~numpy.ndarray`
        Standard deviation of a pixel of sky, and its light, in the unit of the image, float32.
    """

    signal: np.ndarray
    variance: np.ndarray
    valid: np.ndarray
    saturated: np.ndarray
    sky_noise: np.ndarray
    background: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedImage:
    """Image with its sky, noise and point spread function; see `prepare_image`, which makes it.

    Parameters
    ----------
    image : `OpticalImage`
        Image.
    sky : `Sky`
        Level and noise of the sky of the binned pixels.
    binning : int
        Pixels of the image along the side of a binned pixel.
    psf : `~gammapy_asid.optical.psf.PSF`
        Point spread function of the binned pixels.
    """

    image: OpticalImage
    sky: Sky
    binning: int = 1
    psf: PSF | None = None

    @property
    def shape(self):
        """``(ny, nx)`` of the binned pixels; a rest of the image at its upper edges is left out."""
        return tuple(n // self.binning for n in self.image.shape)

    @property
    def wcs(self):
        """World coordinates of the pixels of the image, not of the binned ones."""
        return self.image.wcs

    def original(self, x, y):
        """Positions in pixels of the image.

        Parameters
        ----------
        x, y : float or array-like
            Positions in binned pixels, 0 at the centre of the first.

        Returns
        -------
        x, y : float or `~numpy.ndarray`
            Positions in pixels of the image, likewise.
        """
        return tuple((np.asarray(v) + 0.5) * self.binning - 0.5 for v in (x, y))

    def binned(self, x, y):
        """Positions in binned pixels.

        Parameters
        ----------
        x, y : float or array-like
            Positions in pixels of the image, 0 at the centre of the first.

        Returns
        -------
        x, y : float or `~numpy.ndarray`
            Positions in binned pixels, likewise.
        """
        return tuple((np.asarray(v) + 0.5) / self.binning - 0.5 for v in (x, y))

    def cut(self, ys, xs):
        """Part of the image.

        Parameters
        ----------
        ys, xs : slice
            Rows and columns of binned pixels; they may lie beyond the image.

        Returns
        -------
        cut : `Cut`
            Its pixels.
        """
        inside = [slice(*np.clip((s.start, s.stop), 0, n)) for s, n in zip((ys, xs), self.shape, strict=True)]
        around = [(i.start - s.start, s.stop - i.stop) for i, s in zip(inside, (ys, xs), strict=True)]
        pixels = binned_cut(self.image, self.binning, *inside)
        level, noise = self.sky.level.cut(*inside), self.sky.noise.cut(*inside)
        if pixels.background is not None:
            level = level + pixels.background
        signal = np.where(pixels.valid, (pixels.data - level) / noise, 0).astype(np.float32)
        variance = self._variance(signal, noise, pixels).astype(np.float32)
        return Cut(
            signal=np.pad(signal, around),
            variance=np.pad(variance, around, constant_values=1),
            valid=np.pad(pixels.valid, around),
            saturated=np.pad(pixels.saturated & pixels.valid, around),
            sky_noise=np.pad(noise, around, mode="edge"),
            background=np.pad(level.astype(np.float32), around, mode="edge"),
        )

    def _variance(self, signal, noise, pixels):
        """Variance in units of that of the sky, by the map of errors or the number of electrons."""
        if pixels.variance is not None:
            variance = np.where(pixels.valid, pixels.variance / noise**2, 1)
        elif self.image.gain is not None:
            # Of nine pixels together: the noise of a pixel must not make its own variance
            variance = 1 + np.maximum(uniform_filter(signal, 3), 0) / (self.image.gain * noise)
        else:
            variance = np.ones_like(signal)
        return np.maximum(variance, FLOOR)

    def batch(self, ys, xs):
        """Part of the image for the networks, with the point spread function at its middle.

        Parameters
        ----------
        ys, xs : slice
            Rows and columns of binned pixels; they may lie beyond the image.

        Returns
        -------
        batch : `~gammapy_asid.optical.batch.ImageBatch`
            One image.
        """
        cut = self.cut(ys, xs)
        middle = [(s.start + s.stop - 1) / 2 for s in (xs, ys)]
        parts = (cut.signal, cut.variance, cut.valid, cut.saturated)
        psf = np.asarray(self.psf.at(*middle), dtype=np.float32)
        tensors = [torch.from_numpy(np.ascontiguousarray(part))[None] for part in (*parts, psf)]
        return ImageBatch(
            **dict(zip(("signal", "variance", "valid", "saturated", "psf"), tensors, strict=True))
        )

    def tiles(self, size=512, overlap=48):
        """Tiles that cover the image.

        Parameters
        ----------
        size : int
            Largest side of the tiles, in binned pixels.
        overlap : int
            Least distance of the inner part from sides of the tile that lie in the image.

        Returns
        -------
        tiles : list of `~gammapy_asid.optical.images.Tile`
            Rows of tiles follow each other.
        """
        return tiles_of(self.shape, size, overlap)


def prepare_image(image, psf=None):
    """Measure the sky, its noise and the point spread function of an image.

    Parameters
    ----------
    image : `OpticalImage`
        Image.
    psf : `~gammapy_asid.optical.psf.PSF`, optional
        Point spread function of the pixels of the image; by default that of the image, or else measured.

    Returns
    -------
    prepared : `PreparedImage`
        Image in units of the noise of its sky.

    Raises
    ------
    ValueError
        If there are no pixels that can be used, or no noise.
    """
    image = with_extremes(image)
    psf = image.psf if psf is None else psf
    if psf is not None:
        psf, binning = _given_psf(psf)
        return PreparedImage(image=image, sky=measure_sky(image, binning), binning=binning, psf=psf)
    binning = 1
    while True:
        prepared = PreparedImage(image=image, sky=measure_sky(image, binning), binning=binning)
        try:
            psf = _measured_psf(prepared)
        except ValueError:
            # Stars wider than the stamps are not seen as such before pixels are summed
            if 2 * binning > LARGEST or min(image.shape) < 4 * binning * HALF:
                raise
            binning *= 2
            continue
        if psf.fwhm < WIDEST or binning >= LARGEST:
            return replace(prepared, psf=psf)
        binning = min(max(int(binning * psf.fwhm / WIDEST) + 1, binning + 1), LARGEST)


def _given_psf(psf):
    """Point spread function that was given in the least binning in which it is narrow enough, and that."""
    problem = None
    for binning in range(1, LARGEST + 1):
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                found = as_psf(psf, binning=binning)
        except ValueError as error:
            problem = problem or error
            continue
        if found.fwhm < WIDEST:
            for warning in said:
                warnings.warn(warning.message, stacklevel=3)
            return found, binning
    raise problem or ValueError(f"The PSF is wider than {WIDEST * LARGEST:.0f} pixels: sum the pixels first.")


def _measured_psf(prepared):
    """Point spread function measured on the image; on the middle of a large one."""
    ys, xs = (slice(max(0, (n - PART) // 2), min(n, (n + PART) // 2)) for n in prepared.shape)
    cut = prepared.cut(ys, xs)
    # A fit to stars wider than the stamps may end in numbers that are not finite, which no PSF takes
    with np.errstate(invalid="ignore", divide="ignore"):
        psf = measure_psf(cut.signal, cut.variance, cut.valid, cut.saturated)
    return psf.moved(-xs.start, -ys.start)
