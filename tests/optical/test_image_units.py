# Licensed under a 3-clause BSD style license - see LICENSE
"""Units, masks and meta data that come with an image in any form are those of its numbers."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, NDData, StdDevUncertainty, VarianceUncertainty
from astropy.utils.masked import Masked
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal

from gammapy_asid.optical.images import read_image

SHAPE = 20, 30
ONES = np.ones(SHAPE)
WHOLE = tuple(slice(0, n) for n in SHAPE)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).normal(100, 5, SHAPE)


@pytest.mark.parametrize("error", [2 * u.mJy, 2 * ONES * u.mJy])
def test_errors_are_in_the_unit_of_the_image(pixels, error):
    image = read_image(pixels * u.Jy, error=error, background=5 * u.mJy, saturation=7 * u.mJy)
    assert_allclose(image.cut(*WHOLE)[2], 0.002, rtol=1e-6)
    assert_allclose(image.background.cut(*WHOLE), 0.005, rtol=1e-6)
    assert image.saturation == pytest.approx(0.007)


@pytest.mark.parametrize(
    "uncertainty",
    [
        StdDevUncertainty(2 * ONES, unit="mJy"),
        VarianceUncertainty(4 * ONES, unit=u.mJy**2),
        InverseVariance(0.25 * ONES, unit=u.mJy**-2),
        StdDevUncertainty(0.002 * ONES),
    ],
)
def test_uncertainties_have_units_too(pixels, uncertainty):
    image = read_image(CCDData(pixels, unit="Jy", uncertainty=uncertainty))
    assert_allclose(image.cut(*WHOLE)[2], 0.002, rtol=1e-6)


@pytest.mark.parametrize(
    "uncertainty",
    [StdDevUncertainty(2 * ONES), VarianceUncertainty(4 * ONES), InverseVariance(0.25 * ONES)],
)
def test_uncertainties_of_files(tmp_path, pixels, uncertainty):
    uncertainty.array[3, 4] = 0
    CCDData(pixels, unit="adu", uncertainty=uncertainty).write(tmp_path / "image.fits")
    _, mask, error = read_image(tmp_path / "image.fits").cut(*WHOLE)
    assert np.argwhere(mask).tolist() == [[3, 4]]
    assert_allclose(error[~mask], 2)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"error": 1 * u.s}, "The error is in s, but Jy is needed"),
        ({"error": ONES * u.s}, "The error is in s, but Jy is needed"),
        ({"background": 1 * u.adu}, "The background is in adu, but Jy"),
        ({"saturation": 1 * u.mag}, "The saturation is in mag, but Jy"),
        ({"gain": 2 * u.adu / u.electron}, "The gain is in adu / electron, but electron / Jy"),
        ({"zero_point": 25 * u.Jy}, "The zero_point is in Jy: give it in mag"),
    ],
)
def test_other_kinds_of_units(pixels, given, message):
    with pytest.raises(ValueError, match=message):
        read_image(pixels * u.Jy, **given)


def test_gain_and_zero_point_with_units(pixels):
    for unit in (u.adu, u.ct, u.DN):
        gain = 3000 * u.electron / u.Unit("1000 adu")
        image = read_image(pixels * unit, gain=gain, zero_point=25 * u.ABmag, saturation=9 * u.adu)
        assert (image.gain, image.zero_point, image.saturation, image.unit) == (3, 25, 9, unit)


def test_a_quantity_tells_as_much_as_a_header(pixels):
    assert read_image(pixels * u.electron).gain == 1
    # 0 mag is 3631 Jy
    assert read_image(pixels * u.Jy).zero_point == pytest.approx(2.5 * np.log10(3631), abs=1e-3)


def test_an_uncertainty_of_no_kind(pixels):
    with pytest.raises(TypeError, match="UnknownUncertainty: make it a StdDevUncertainty"):
        read_image(NDData(pixels, uncertainty=ONES))


@pytest.mark.parametrize(
    "more", [{"AIRMASS": np.nan}, {"OBJECT": "Cassiopée"}, {"HISTORY": "one\ntwo"}, {1: 2}, {"x": None}]
)
@pytest.mark.parametrize("gain", [2, 2.0, np.float32(2), np.int64(2), 2 * u.electron / u.adu])
def test_meta_data_of_any_kind(pixels, more, gain):
    assert read_image(NDData(pixels, unit="adu", meta={"gain": gain} | more)).gain == 2


def test_masks_of_numpy_and_astropy(pixels):
    mask = pixels > 105
    for image in (np.ma.array(pixels, mask=mask), Masked(pixels, mask), Masked(pixels * u.adu, mask)):
        assert_array_equal(read_image(image).cut(*WHOLE)[1], mask)
    for error in (np.ma.array(5 * ONES, mask=mask), Masked(5 * ONES, mask)):
        assert_array_equal(read_image(pixels, error=error).cut(*WHOLE)[1], mask)
    image = read_image(NDData(pixels[None], mask=mask[None], uncertainty=StdDevUncertainty(5 * ONES[None])))
    assert_array_equal(image.cut(*WHOLE)[1], mask)


def test_coordinates_that_are_not_those_of_the_sky(pixels):
    assert read_image(NDData(pixels, wcs=WCS(naxis=2))).wcs is None


@pytest.mark.parametrize(
    "written, unit",
    [
        ("ADU", u.adu),
        ("counts", u.adu),
        ("DN/sec", u.adu / u.s),
        ("counts s-1", u.adu / u.s),
        ("count / second", u.adu / u.s),
        ("electrons s**-1", u.electron / u.s),
        ("e-/sec", u.electron / u.s),
        ("E-", u.electron),
        ("erg/s/cm**2/Hz", u.Unit("erg s-1 cm-2 Hz-1")),
    ],
)
def test_units_as_they_are_written(pixels, written, unit):
    header = fits.Header({"BUNIT": written, "GAIN": 2.0, "EXPTIME": 10.0})
    image = read_image(fits.PrimaryHDU(pixels, header))
    assert image.unit == unit
    gains = {u.adu: 2, u.adu / u.s: 20, u.electron: 1, u.electron / u.s: 10}
    assert image.gain == gains.get(unit)


def test_a_unit_that_nobody_knows_is_said(pixels, caplog):
    image = read_image(fits.PrimaryHDU(pixels, fits.Header({"BUNIT": "flux", "GAIN": 2.0})))
    assert image.unit is None and image.gain == 2
    assert "unit 'flux' is not known" in caplog.text
