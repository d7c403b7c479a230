# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the measurement of the point spread function on images with known stars."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import erf

from gammapy_asid.optical.psf import measure_psf
from gammapy_asid.optical.psf.profile import Moffat, interpolation, sample, splines
from gammapy_asid.optical.psf.psf import OFFSETS, full_width


def gaussians(shape, x, y, flux, sigma):
    """Gaussian profiles, exactly integrated over the pixels; widths along y and x may differ."""
    widths = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    rows, columns = (
        np.diff(erf((np.arange(n + 1) - 0.5 - at[:, None]) / (np.reshape(width, (-1, 1)) * np.sqrt(2))) / 2)
        for n, at, width in zip(shape, (y, x), widths, strict=True)
    )
    return (flux[:, None] * rows).T @ columns


def simulate(shape, sigma, n, seed=0, fluxes=(300, 30000)):
    """Stars on noise of 1."""
    rng = np.random.default_rng(seed)
    y, x = (rng.uniform(0, size, n) for size in shape)
    flux = np.exp(rng.uniform(*np.log(fluxes), n))
    return rng.normal(size=shape) + gaussians(shape, x, y, flux, sigma)


def truth(sigma):
    edges = [erf((OFFSETS + side) / (sigma * np.sqrt(2))) / 2 for side in (-0.5, 0.5)]
    return np.outer(edges[1] - edges[0], edges[1] - edges[0])


def flux_error(psf, true):
    """Error of the flux of a fit to a bright star at the centre of a pixel."""
    found, true = psf[::4, ::4], true[::4, ::4]
    return (found * true).sum() / (found**2).sum() - 1


@pytest.mark.parametrize("sigma", [0.7, 1.4, 2.4])
def test_width_and_flux(sigma):
    psf = measure_psf(simulate((250, 260), sigma, 25))
    assert_allclose(psf.fwhm, full_width(truth(sigma)), rtol=0.015)
    assert abs(flux_error(psf.at(125, 125), truth(sigma))) < 0.02
    assert psf.n_stars >= 12
    assert psf.origin == f"measured on {psf.n_stars} stars"
    assert 0 < psf.fwhm_err < 0.02 * psf.fwhm


def test_equal_images_give_equal_psfs():
    image = simulate((150, 150), 1.5, 10)
    assert_allclose(measure_psf(image).terms, measure_psf(image.copy()).terms, rtol=0)


def test_three_stars_give_no_noise():
    psf = measure_psf(simulate((120, 130), 1.4, 3, seed=5, fluxes=(1500, 2500)))
    assert psf.n_stars == 3
    true = truth(1.4)
    # One stamp alone has noise of a 30th of the maximum
    assert np.abs(psf.at(0, 0) - true).max() < 0.02 * true.max()


def test_many_galaxies_of_one_size_are_no_stars():
    rng = np.random.default_rng(2)
    shape, n = (300, 300), 70
    image = simulate(shape, 1.4, 12, seed=3, fluxes=(1000, 20000))
    x, y = rng.uniform(0, 300, (2, n))
    image += gaussians(shape, x, y, np.exp(rng.uniform(7, 10, n)), rng.uniform(1.75, 2.6, n))
    psf = measure_psf(image)
    assert_allclose(psf.fwhm, full_width(truth(1.4)), rtol=0.03)
    assert psf.n_stars <= 13


def test_crowd():
    image = simulate((200, 200), 1.3, 350, seed=4, fluxes=(100, 20000))
    psf = measure_psf(image - np.median(image))
    assert_allclose(psf.fwhm, full_width(truth(1.3)), rtol=0.03)
    assert abs(flux_error(psf.at(100, 100), truth(1.3))) < 0.06


def test_change_over_the_field():
    rng = np.random.default_rng(6)
    x, y = rng.uniform(5, 395, (2, 40))
    image = rng.normal(size=(400, 400))
    image += gaussians(image.shape, x, y, np.exp(rng.uniform(7, 10, 40)), 1.4 * (1 + 0.1 * (x / 200 - 1)))
    psf = measure_psf(image)
    assert psf.degree == 1
    widths = [full_width(psf.at(at, 200)) for at in (20, 200, 380)]
    assert_allclose(
        widths, [full_width(truth(1.4 * (1 + 0.1 * (at / 200 - 1)))) for at in (20, 200, 380)], rtol=0.035
    )


def test_what_is_not_valid_or_saturated_is_left_out():
    image = simulate((250, 260), 1.4, 25)
    saturated = image > 1500
    clipped = np.minimum(image, 1500)
    clipped[100:104] = np.nan
    psf = measure_psf(clipped, saturated=saturated)
    assert_allclose(psf.fwhm, full_width(truth(1.4)), rtol=0.03)


def test_hot_pixels_are_no_stars():
    image = simulate((250, 260), 1.4, 15, seed=8)
    rng = np.random.default_rng(1)
    image[rng.integers(0, 250, 100), rng.integers(0, 260, 100)] += 500
    assert_allclose(measure_psf(image).fwhm, full_width(truth(1.4)), rtol=0.02)


def test_no_stars():
    with pytest.raises(ValueError, match="no star"):
        measure_psf(np.random.default_rng(0).normal(size=(100, 100)))
    with pytest.raises(ValueError, match="no star"):
        measure_psf(np.zeros((10, 10)))
    with pytest.raises(ValueError, match="two dimensions"):
        measure_psf(np.zeros((3, 10, 10)))


def test_one_star_is_warned_about():
    image = np.random.default_rng(0).normal(size=(60, 60))
    image += gaussians(image.shape, np.array([30.2]), np.array([28.7]), np.array([3000.0]), 1.4)
    with pytest.warns(UserWarning, match="measured on 1 source"):
        psf = measure_psf(image)
    assert_allclose(psf.fwhm, full_width(truth(1.4)), rtol=0.05)


def test_moffat_is_the_profile_integrated_over_pixels():
    table = Moffat.table(np.array([np.log(2.0), np.log(3.0), 0, 0, 0]))
    gamma = 1 / np.sqrt(2 ** (1 / 3) - 1)
    fine = (np.arange(-500, 500) + 0.5) / 1000
    x, y = fine + OFFSETS[50], fine[:, None] + OFFSETS[44]
    expected = ((1 + (x**2 + y**2) / gamma**2) ** -3.0).mean() * 2 / (np.pi * gamma**2)
    # The stamp holds all but (1 + 12^2 / gamma^2)^-2 of the light
    assert_allclose(table[44, 50], expected, rtol=5e-4)


def test_samples_between_those_of_the_table():
    coefficients = splines(truth(1.2))[0]
    shift = np.array([0.3, -0.47, 5.2])
    (rows, row_slopes), (columns, _) = interpolation(shift), interpolation(-shift)
    at = np.arange(-12, 13)
    edges = [[erf((at - s + e) / (1.2 * np.sqrt(2))) / 2 for e in (-0.5, 0.5)] for s in (0.3, -0.3)]
    expected = np.outer(*(edge[1] - edge[0] for edge in edges))
    assert_allclose(sample(coefficients, rows, columns)[0], expected, atol=2e-5)
    moved = [sample(coefficients, interpolation(shift + d)[0], columns) for d in (-0.01, 0.01)]
    assert_allclose(sample(coefficients, row_slopes, columns), (moved[1] - moved[0]) / 0.02, atol=2e-4)


def narrow(shape, n, galaxies, seed):
    """Stars of a width below two pixels among galaxies that are a little larger."""
    rng = np.random.default_rng(seed)
    image = simulate(shape, 0.75, n, seed=seed + 20, fluxes=(1000, 20000))
    x, y = rng.uniform(0, shape[0], (2, galaxies))
    flux = 150 * rng.uniform(0.01, 1, galaxies) ** -1.3
    width = 0.75 * np.sqrt(1 + np.exp(rng.uniform(-1, 3, galaxies)))
    stretch = np.exp(rng.normal(0, 0.25, galaxies))
    return image + gaussians(shape, x, y, flux, (width * stretch, width / stretch))


def test_few_stars_among_many_small_galaxies_are_found_and_said_to_be_few():
    with pytest.warns(UserWarning, match="too few for one so narrow"):
        psf = measure_psf(narrow((300, 300), 7, 150, 1))
    assert psf.origin.startswith("uncertain") and psf.fwhm_err is None
    assert_allclose(psf.fwhm, full_width(truth(0.75)), rtol=0.1)


def test_galaxies_alone_are_not_taken_for_stars():
    with pytest.warns(UserWarning, match="uncertain.*give one if you know it"):
        psf = measure_psf(narrow((300, 300), 0, 200, 2))
    assert psf.origin.startswith("uncertain") and psf.fwhm_err is None


def test_cosmic_rays_that_outnumber_stars():
    rng = np.random.default_rng(5)
    image = simulate((300, 300), 1.7, 12, seed=6, fluxes=(1000, 20000))
    for _ in range(80):
        x, y, angle = rng.uniform(20, 280), rng.uniform(20, 280), rng.uniform(0, np.pi)
        steps = np.arange(0, rng.exponential(4) + 0.1, 0.1)
        rows, columns = (y + steps * np.sin(angle)).astype(int), (x + steps * np.cos(angle)).astype(int)
        np.add.at(image, (rows, columns), np.exp(rng.normal(3, 1)))
    psf = measure_psf(image)
    assert_allclose(psf.fwhm, full_width(truth(1.7)), rtol=0.01)
