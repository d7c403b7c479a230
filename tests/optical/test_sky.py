# Licensed under a 3-clause BSD style license - see LICENSE
"""Level and noise of the sky, with and without sources."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from gammapy_asid.optical.images import read_image
from gammapy_asid.optical.images.sky import measure_sky


def crowd(density, seed=0, side=384, fwhm=3.0):
    """Stars of a power law of -2.2 above three standard errors, in units of the noise of the sky."""
    random = np.random.default_rng(seed)
    n = random.poisson(density * side**2)
    flux = 3 * np.sqrt(4 * np.pi) * fwhm / 2.3548 * (1 - random.random(n)) ** (-1 / 1.2)
    image = np.zeros((side, side))
    np.add.at(image, tuple(random.integers(0, side, (2, n))), np.minimum(flux, 1e5))
    offsets = np.arange(-25, 26) ** 2
    psf = (1 + (offsets + offsets[:, None]) / 2.94**2) ** -3.0
    return fftconvolve(image, psf / psf.sum(), mode="same"), random.normal(size=image.shape)


@pytest.mark.parametrize("gradient", [0, 3])
def test_empty_sky(gradient):
    slope = gradient / 64 * np.arange(384)
    sky = measure_sky(read_image(crowd(0)[1] + slope))
    everywhere = (slice(0, 384),) * 2
    assert_allclose(sky.level.cut(*everywhere) - slope, 0, atol=0.25)
    assert_allclose(sky.noise.cut(*everywhere), 1, atol=0.1)


# Medians of sep at these densities: level 0.2, 0.7, 2.7, noise 1.1, 1.4, 2.5
@pytest.mark.parametrize("density, level, noise", [(0.01, 0.2, 1.05), (0.03, 0.4, 1.1), (0.1, 1.7, 1.2)])
def test_stars_hardly_change_the_sky(density, level, noise):
    light, random = crowd(density)
    sky = measure_sky(read_image(light + random))
    assert -0.1 < np.median(sky.level.values) < level
    assert 0.95 < np.median(sky.noise.values) < noise


@pytest.mark.parametrize("width", [0.5, 0.8])
def test_noise_of_resampled_images(width):
    light, random = crowd(0.003)
    noise = gaussian_filter(random, width)
    sky = measure_sky(read_image(light + noise / noise.std()))
    assert_allclose(np.median(sky.noise.values), 1, atol=0.1)
    assert_allclose(np.median(sky.level.values), 0, atol=0.2)


def test_integers_of_a_coarse_camera():
    # Steps of 0.7 standard deviations: quantiles are not the values themselves
    noise = np.random.default_rng(2).normal(1000, 1.5, (256, 256)).round().astype(np.int16)
    sky = measure_sky(read_image(noise))
    assert_allclose(np.median(sky.noise.values), np.hypot(1.5, np.sqrt(1 / 12)), rtol=0.1)
    assert_allclose(np.median(sky.level.values), 1000, atol=0.5)
