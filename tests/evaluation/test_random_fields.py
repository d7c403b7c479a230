# Licensed under a 3-clause BSD style license - see LICENSE
import numpy as np
import pytest
from numpy.testing import assert_allclose

from gammapy_asid.evaluation.random_fields import (
    SCALES,
    minkowski_functionals,
    power_spectrum,
    spectrum_ratio,
)


@pytest.mark.parametrize("wavelength, scale", [(0.6, 0), (1.3, 2), (4.0, 5)])
def test_wave_has_power_at_its_scale(wavelength, scale):
    x = 0.25 * np.arange(64)
    wave = np.sin(2 * np.pi * x / wavelength) + np.zeros((1, 64, 1))
    for image in (wave, wave.transpose(0, 2, 1)):
        power = power_spectrum(image, 0.25)[0]
        assert power.shape == (len(SCALES) - 1,)
        assert power.argmax() == scale


def test_white_noise_has_equal_power():
    noise = np.random.default_rng(0).normal(size=(200, 48, 48))
    # The power of a wave is the variance times the number of pixels
    assert_allclose(power_spectrum(noise, 0.25).mean(0), 48**2, rtol=0.1)


def test_ratio_is_that_of_the_variances():
    noise = np.random.default_rng(0).normal(size=(20, 48, 48))
    assert_allclose(spectrum_ratio(3 * noise + 5, noise, 0.25), 9)


def test_minkowski_functionals_of_discs():
    y, x = np.mgrid[:100, :100] - 49.5
    radius = np.hypot(x, y)
    # At the first threshold a ring with a hole, at the second nothing
    area, boundary, euler = minkowski_functionals(-np.abs(radius - 30), [-5, 1])
    assert_allclose(area, [np.pi * (35**2 - 25**2) / 1e4, 0], rtol=0.01)
    assert_allclose(boundary, [2 * np.pi * (35 + 25) / 1e4, 0], rtol=0.03)
    assert_allclose(euler, 0)
    assert_allclose(minkowski_functionals(-radius, [-20])[2], 1e-4)
