# Licensed under a 3-clause BSD style license - see LICENSE
"""Pixels of an image, summed in squares where they are much smaller than the point spread function."""

from dataclasses import dataclass

import numpy as np

__all__ = ["BinnedPixels", "binned_cut"]


@dataclass(frozen=True, eq=False)
class BinnedPixels:
    """Sums over squares of pixels.

    Parameters
    ----------
    data : `~numpy.ndarray`
        Sums in the unit of the image; pixels without data count as the mean of the others of the square.
    valid : `~numpy.ndarray`
        Squares of whose pixels at least half have data, bool.
    saturated : `~numpy.ndarray`
        Squares with a pixel at saturation, bool; they are valid.
    variance : `~numpy.ndarray` or None
        Variances of the sums by the map of errors.
    background : `~numpy.ndarray` or None
        Sums of the light of the sky that was given.
    n_without_error : int
        Pixels of the image whose error is not positive.
    """

    data: np.ndarray
    valid: np.ndarray
    saturated: np.ndarray
    variance: np.ndarray | None
    background: np.ndarray | None
    n_without_error: int = 0


def binned_cut(image, binning, ys, xs):
    """Part of an image in binned pixels.

    Parameters
    ----------
    image : `~gammapy_asid.optical.images.OpticalImage`
        Image.
    binning : int
        Pixels along the side of a square.
    ys, xs : slice
        Rows and columns of binned pixels inside the image.

    Returns
    -------
    pixels : `BinnedPixels`
        Sums.
    """
    ys, xs = (slice(s.start * binning, s.stop * binning) for s in (ys, xs))
    data, mask, error = image.cut(ys, xs)
    background = None if image.background is None else image.background.cut(ys, xs)
    saturated = ~mask & (data >= (np.inf if image.saturation is None else image.saturation))
    if image.full is not None:
        saturated |= ~mask & (image.full.cut(ys, xs) != 0)
    data[mask] = 0
    variance = None if error is None else np.where(mask, 0, error.astype(data.dtype) ** 2)
    without = 0 if error is None else int(np.count_nonzero(error <= 0))
    if binning == 1:
        return BinnedPixels(data, ~mask, saturated, variance, background, without)
    count = _sums(~mask, binning)
    scale = binning**2 / np.maximum(count, 1)
    return BinnedPixels(
        data=_sums(data, binning) * scale.astype(data.dtype),
        valid=2 * count >= binning**2,
        saturated=_sums(saturated, binning) > 0,
        variance=None if variance is None else _sums(variance, binning) * scale**2,
        background=None if background is None else _sums(background, binning),
        n_without_error=without,
    )


def _sums(values, binning):
    ny, nx = (n // binning for n in values.shape)
    return values.reshape(ny, binning, nx, binning).sum((1, 3))
