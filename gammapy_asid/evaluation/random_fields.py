# Licensed under a 3-clause BSD style license - see LICENSE
"""Statistics of random images: what generated structure must share with real one."""

import numpy as np
from skimage.measure import euler_number, perimeter_crofton

__all__ = ["SCALES", "minkowski_functionals", "power_spectrum", "spectrum_ratio"]

#: Edges of the bins of scale in deg; the shortest wave on pixels of 0.25 deg has 0.5 deg.
SCALES = tuple(np.geomspace(0.5, 5.0, 7))


def power_spectrum(images, pixel_size, scales=SCALES):
    """Mean power of images in bins of scale.

    Parameters
    ----------
    images : `~numpy.ndarray`
        Square images, shape ``(n, size, size)``.
    pixel_size : float
        In deg.
    scales : sequence of float
        Rising edges of the bins in deg: wavelengths.

    Returns
    -------
    power : `~numpy.ndarray`
        Of each image, shape ``(n, n_scales)``.
    """
    size = images.shape[-1]
    # Without a window the edges of an image would add power to all small scales
    window = np.outer(np.hanning(size), np.hanning(size))
    window = window / np.sqrt((window**2).mean())
    centred = images - images.mean((1, 2), keepdims=True)
    power = np.abs(np.fft.fft2(centred * window)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size, pixel_size), np.fft.fftfreq(size, pixel_size)))
    edges = 1 / np.asarray(scales)[::-1]
    bins = np.digitize(frequency.ravel(), edges) - 1
    flat = power.reshape(len(images), -1)
    means = [flat[:, bins == index].mean(1) for index in range(len(edges) - 1)]
    return np.stack(means[::-1], 1)


def spectrum_ratio(images, others, pixel_size, scales=SCALES):
    """Power of images over that of others.

    Parameters
    ----------
    images, others : `~numpy.ndarray`
        Images, shape ``(n, size, size)``.
    pixel_size, scales
        See `power_spectrum`.

    Returns
    -------
    ratio : `~numpy.ndarray`
        In each bin of scale, shape ``(n_scales,)``.
    """
    mine, theirs = (power_spectrum(v, pixel_size, scales).mean(0) for v in (images, others))
    return mine / theirs


def minkowski_functionals(image, thresholds):
    """Area, boundary and Euler number of where an image lies above thresholds.

    Parameters
    ----------
    image : `~numpy.ndarray`
        Image, shape ``(ny, nx)``.
    thresholds : sequence of float
        Thresholds.

    Returns
    -------
    functionals : `~numpy.ndarray`
        Share of the pixels, and length of the boundary and Euler number a pixel, shape
        ``(3, n_thresholds)``.
    """
    above = [image > threshold for threshold in thresholds]
    functionals = [
        [region.mean() for region in above],
        [perimeter_crofton(region) / image.size for region in above],
        [euler_number(region) / image.size for region in above],
    ]
    return np.array(functionals)
