# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the measurement of the point spread function on images with known stars."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import erf

from gammapy_asid.optical.psf import measure_psf


def simulate(shape, sigma, n, seed=0, flux=(300, 30000)):
    """Stars with a Gaussian profile, exactly integrated over the pixels, on noise of 1."""
    rng = np.random.default_rng(seed)
    image = rng.normal(size=shape)
    y, x = (rng.uniform(0, size, n) for size in shape)
    flux = np.exp(rng.uniform(*np.log(flux), n))
    for at_x, at_y, total in zip(x, y, flux, strict=True):
        edges = [np.arange(size + 1) - 0.5 - at for size, at in zip(shape, (at_y, at_x), strict=True)]
        rows, columns = (np.diff(erf(edge / sigma / np.sqrt(2)) / 2) for edge in edges)
        image += total * np.outer(rows, columns)
    return image


@pytest.mark.parametrize("sigma", [0.8, 1.5, 2.2])
def test_width(sigma):
    psf = measure_psf(simulate((400, 500), sigma, 40))
    assert_allclose(psf.fwhm, 2.3548 * np.sqrt(sigma**2 + 1 / 12), rtol=0.07)
    assert psf.n_stars >= 15
    assert psf.origin == f"measured on {psf.n_stars} stars"


def test_no_stars():
    with pytest.raises(ValueError, match="no star"):
        measure_psf(np.random.default_rng(0).normal(size=(100, 100)))
    with pytest.raises(ValueError, match="no star"):
        measure_psf(np.zeros((10, 10)))
