# Licensed under a 3-clause BSD style license - see LICENSE
"""The peer of generated emission: log-normal fields of equal power spectrum."""

import numpy as np

from gammapy_asid.evaluation.random_fields import power_spectrum

__all__ = ["gaussian_images"]

#: Bins of frequency: narrower than the power changes, and filled on patches of 48 pixels.
BINS = 32


def gaussian_images(images, n, rng):
    """Gaussian images with the power spectrum of others; as logarithms they make log-normal fields.

    Parameters
    ----------
    images : `~numpy.ndarray`
        Square images, shape ``(n, size, size)``.
    n : int
        Number of images to draw.
    rng : `~numpy.random.Generator`
        Source of randomness.

    Returns
    -------
    drawn : `~numpy.ndarray`
        Shape ``(n, size, size)``.
    """
    size = images.shape[-1]
    # In waves a pixel, from half a wave a side to the corner of the plane of frequencies
    edges = np.linspace(0.5 / size, np.sqrt(0.5), BINS + 1)
    power = power_spectrum(images, 1.0, 1 / edges[::-1]).mean(0)[::-1] / size**2
    centres = (edges[:-1] + edges[1:]) / 2
    # Fields are periodic: a quarter of one is not
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(2 * size), np.fft.fftfreq(2 * size)))
    amplitude = np.exp(np.interp(frequency, centres, np.log(power)) / 2)
    amplitude[0, 0] = 0
    white = np.fft.fft2(rng.normal(size=(n, 2 * size, 2 * size)))
    return np.fft.ifft2(white * amplitude).real[:, :size, :size]
