# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of point spread functions that are given."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.modeling.models import Gaussian2D, Moffat2D
from numpy.testing import assert_allclose
from photutils.psf import CircularGaussianPRF, ImagePSF

from gammapy_asid.optical.batch import HALF, OVERSAMPLING
from gammapy_asid.optical.psf import PSF, as_psf, psf_from_image
from gammapy_asid.optical.psf.psf import OFFSETS, SIDE


def gaussian(sigma, side, step=1.0, x=0.0, y=0.0):
    at = (np.arange(side) - (side - 1) / 2) * step
    return np.exp(-((at - x) ** 2 + (at[:, None] - y) ** 2) / (2 * sigma**2))


def truth(sigma):
    image = gaussian(sigma, SIDE, 1 / OVERSAMPLING)
    return image * OVERSAMPLING**2 / image.sum()


def test_model():
    psf = as_psf(Gaussian2D(amplitude=7, x_mean=50, y_mean=-3, x_stddev=1.5, y_stddev=1.5))
    assert_allclose(psf.at(5, 6), truth(1.5), atol=1e-6)
    assert_allclose(psf.fwhm, 2.3548 * 1.5, rtol=0.01)
    assert_allclose(psf.kernel(0, 0).sum(), 1, rtol=1e-4)
    assert psf.cut < 1e-6 and psf.degree == 0 and psf.origin == "given"


def test_models_of_photutils():
    psf = as_psf(CircularGaussianPRF(flux=3, x_0=1, y_0=2, fwhm=3))
    assert_allclose(psf.kernel(0, 0).sum(), 1, rtol=1e-5)
    image = CircularGaussianPRF(flux=16, x_0=24, y_0=24, fwhm=12)(*np.meshgrid(range(49), range(49)))
    model = ImagePSF(image, oversampling=4)
    # At the same offsets the same share of the light
    x, y = np.meshgrid(np.arange(-3, 4) + 0.25, np.arange(-3, 4) - 0.5)
    share = as_psf(model).at(0, 0)[HALF * 4 - 14 : HALF * 4 + 12 : 4, HALF * 4 - 11 : HALF * 4 + 15 : 4]
    assert_allclose(share, model(x, y) / image.sum() * 16, atol=1e-4)


@pytest.mark.parametrize("oversampling", [1, 3, 4, 5.5])
def test_image_of_any_sampling_is_centred(oversampling):
    image = 40 * gaussian(1.6 * oversampling, int(26 * oversampling), x=1.3, y=-2.2)
    psf = as_psf(image, oversampling=oversampling)
    assert_allclose(psf.at(0, 0), truth(1.6), atol=2e-3 * truth(1.6).max())


def test_pixel_is_added_to_the_optics():
    optics = gaussian(1.2 * 8, 8 * 25)
    psf = psf_from_image(optics, 8, pixel_included=False)
    # A pixel adds a twelfth to the variance
    width = (psf.terms[0] * OFFSETS**2).sum() / psf.terms[0].sum()
    assert_allclose(width, 1.2**2 + 1 / 12, rtol=1e-3)


def test_binning():
    psf = as_psf(Gaussian2D(x_stddev=4.0, y_stddev=4.0), binning=2)
    # Two pixels are summed: a quarter of the difference in variance of the two boxes is added
    width = (psf.terms[0] * OFFSETS**2).sum() / psf.terms[0].sum()
    assert_allclose(width, (4.0**2 + (2**2 - 1) / 12) / 4, rtol=1e-3)
    same = as_psf(as_psf(Gaussian2D(x_stddev=2.0, y_stddev=2.0)), binning=2)
    assert_allclose(same.fwhm, 2.3548 * np.sqrt(2**2 + 0.25) / 2, rtol=0.01)


def psfex_file(path, sigmas=(1.5, 0.2)):
    """A file as PSFEx writes it: the width grows with x."""
    step, side = 0.8, 45
    terms = np.stack([gaussian(sigma, side, step) for sigma in (sigmas[0], sigmas[0] + sigmas[1])])
    terms /= terms.sum((1, 2), keepdims=True)
    masks = np.stack([terms[0], terms[1] - terms[0], np.zeros((side, side))])
    column = fits.Column("PSF_MASK", f"{masks.size}E", dim=f"({side},{side},3)", array=masks[None])
    hdu = fits.BinTableHDU.from_columns([column], name="PSF_DATA")
    cards = {
        "ACCEPTED": 31, "POLNAXIS": 2, "POLNGRP": 1, "POLDEG1": 1, "PSF_SAMP": step,
        "POLZERO1": 501.0, "POLSCAL1": 1000.0, "POLZERO2": 501.0, "POLSCAL2": 800.0,
    }  # fmt: skip
    hdu.header.update(cards)
    hdu.writeto(path)
    return path


def test_file_of_psfex(tmp_path):
    psf = as_psf(psfex_file(tmp_path / "image.psf"))
    assert (psf.n_stars, psf.degree) == (31, 1)
    assert_allclose(psf.at(500, 0), truth(1.5), atol=2e-3 * truth(1.5).max())
    # At the right edge half of the term is added, and no more beyond it
    edge = (truth(1.5) + truth(1.7)) / 2
    assert_allclose(psf.at(1000, 3), edge, atol=2e-3 * edge.max())
    assert_allclose(psf.at(3000, 3), psf.at(1000, 3))
    assert_allclose(psf.moved(100, 0).at(900, 3), psf.at(1000, 3))


def test_file_of_an_image(tmp_path):
    hdu = fits.PrimaryHDU(gaussian(6.0, 101))
    hdu.header["OVERSAMP"] = 4
    hdu.writeto(tmp_path / "psf.fits")
    assert_allclose(as_psf(tmp_path / "psf.fits").fwhm, 2.3548 * 1.5, rtol=0.01)


def test_wide_wings_are_cut_and_said():
    with pytest.warns(UserWarning, match="falls outside of the stamp"):
        psf = as_psf(Moffat2D(gamma=3, alpha=1.8))
    # Light of a Moffat profile outside of a circle of the stamp's area is (1 + r^2 / gamma^2)^(1 - alpha)
    assert_allclose(psf.cut, (1 + 25**2 / np.pi / 9) ** -0.8, atol=0.03)


@pytest.mark.parametrize("wrong, error", [
    (gaussian(15, 201), "wider than the stamp"),
    (np.full((51, 51), np.nan), "finite"),
    (np.zeros((51, 51)), "finite and has a positive sum"),
    (np.ones((3, 5, 5)), "two dimensions"),
])  # fmt: skip
def test_what_is_no_psf_is_refused(wrong, error):
    with pytest.raises(ValueError, match=error):
        as_psf(wrong)


def test_wrong_kinds():
    with pytest.raises(TypeError, match="A PSF is an image"):
        as_psf(3)
    with pytest.raises(ValueError, match="no full polynomial"):
        PSF(terms=np.ones((2, SIDE, SIDE)))
    with pytest.raises(ValueError, match="shape"):
        PSF(terms=np.ones((9, 9)))


def test_undersampled_image_is_warned_about():
    with pytest.warns(UserWarning, match="one sample a pixel"):
        as_psf(gaussian(0.55, 25))
