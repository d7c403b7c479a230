# Licensed under a 3-clause BSD style license - see LICENSE
"""The point spread function measured on the image's own stars."""

import warnings

import numpy as np

from ..batch import HALF
from .candidates import find_peaks, measure_moments, stamps_at
from .psf import OFFSETS, PSF

__all__ = ["measure_psf"]


def measure_psf(signal, variance=None, valid=None, saturated=None):
    """Measure the point spread function on the image's own stars.

    Parameters
    ----------
    signal : `~numpy.ndarray`
        Light above the background over the noise of the sky, shape ``(ny, nx)``.
    variance : `~numpy.ndarray`, optional
        Variance of `signal`, 1 on the sky.
    valid, saturated : `~numpy.ndarray`, optional
        Pixels with data, and those at saturation.

    Returns
    -------
    psf : `PSF`
        Point spread function, with its number of stars in `PSF.n_stars`.

    Raises
    ------
    ValueError
        Where the image has no source to measure it on.
    """
    valid = np.isfinite(signal) if valid is None else valid & np.isfinite(signal)
    saturated = np.zeros(signal.shape, dtype=bool) if saturated is None else saturated
    signal = np.where(valid, signal, 0).astype(np.float32)
    if min(signal.shape) <= 2 * HALF + 2:
        raise ValueError(f"An image of {signal.shape} pixels is too small to measure its PSF: give one")
    y, x = find_peaks(signal, valid, saturated, 10, HALF + 1)
    y, x = y[:1000], x[:1000]
    moments = measure_moments(stamps_at(signal, y, x, HALF), x, y)
    moments = moments[(moments.snr > 20) & (moments.sigma > 0.55)]
    if not len(moments):
        raise ValueError("The image has no star to measure its PSF on: give one")
    size = np.log(moments.sigma)
    near = np.abs(size[:, None] - size) < 0.05
    stars = near[np.argmax((near * np.exp(-size)).sum(1))]
    if stars.sum() < 3:
        warnings.warn(
            f"The PSF is measured on {stars.sum()} sources only; give one if you know it", stacklevel=2
        )
    fwhm = 2.3548 * np.median(moments.sigma[stars]) * 0.95
    gamma = fwhm / (2 * np.sqrt(2 ** (1 / 3) - 1))
    n = int(stars.sum())
    return PSF(
        terms=(1 + (OFFSETS**2 + OFFSETS[:, None] ** 2) / gamma**2) ** -3.0,
        origin=f"measured on {n} stars",
        n_stars=n,
    )
