# Licensed under a 3-clause BSD style license - see LICENSE
"""What is no image gets one clear error; what is unusual about an image is masked or said."""

import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.modeling.models import Moffat2D
from astropy.nddata import CCDData
from numpy.testing import assert_allclose

from gammapy_asid.optical.images import prepare_image, read_image

#: Full width at half maximum of 3 pixels.
PSF = Moffat2D(gamma=2.94, alpha=3)


@pytest.fixture
def sky():
    return np.random.default_rng(3).normal(100, 5, (128, 160)).astype(np.float32)


def written(path, *hdus):
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    return path


@pytest.mark.parametrize(
    "image, message",
    [
        (np.zeros((3, 20, 30)), "cube of 3 x 20 x 30"),
        (np.zeros(30), "one axis"),
        (np.zeros((0, 30)), "empty"),
        (np.float32(3), "empty"),
        (np.zeros((5, 200)), "5 x 200 pixels: too few"),
        (np.zeros((20, 30), complex), "complex128: real numbers"),
        (np.zeros((20, 30), bool), "bool: real numbers"),
        (np.full((20, 30), "a"), "real numbers"),
        (fits.BinTableHDU.from_columns([]), "no image"),
        (fits.HDUList(), "no image"),
        (CCDData(np.zeros((2, 20, 30)), unit="adu"), "cube"),
    ],
)
def test_no_image(image, message):
    with pytest.raises((TypeError, ValueError), match=message):
        read_image(image)


def test_files_without_the_image(tmp_path, sky):
    with pytest.raises(FileNotFoundError, match="No such file"):
        read_image(tmp_path / "missing.fits")
    (tmp_path / "text.fits").write_text("no FITS file")
    with pytest.raises(ValueError, match="is no FITS file, it begins with 'no FITS file'"):
        read_image(tmp_path / "text.fits")
    table = written(tmp_path / "table.fits", fits.BinTableHDU.from_columns([], name="EVENTS"))
    with pytest.raises(ValueError, match="no image, only"):
        read_image(table)
    with pytest.raises(ValueError, match="without an image"):
        read_image(table, hdu="EVENTS")
    with pytest.raises(ValueError, match="no extension 'SCI'"):
        read_image(table, hdu="SCI")
    cube = written(tmp_path / "cube.fits", fits.ImageHDU(np.zeros((2, 20, 30))))
    with pytest.raises(ValueError, match="cube of 2 x 20 x 30"):
        read_image(cube)
    with pytest.raises(ValueError, match="is for files"):
        read_image(sky, hdu=1)


def test_truncated_file(tmp_path, sky):
    path = written(tmp_path / "cut.fits", fits.ImageHDU(sky))
    path.write_bytes(path.read_bytes()[:-20000])
    with pytest.raises(ValueError, match="ends before"):
        read_image(path)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"gain": 0}, "gain = 0"),
        ({"gain": -2.0}, "gain = -2"),
        ({"gain": np.nan}, "gain = nan"),
        ({"saturation": np.inf}, "saturation = inf"),
        ({"zero_point": np.nan}, "zero_point"),
        ({"mask": np.zeros((128, 161))}, "mask has 128 x 161 pixels"),
        ({"error": np.ones((2, 2))}, "error has 2 x 2 pixels"),
        ({"error": -1.0}, "error = -1"),
        ({"background": np.ones(5)}, "background has 5 pixels"),
    ],
)
def test_what_does_not_fit(sky, given, message):
    with pytest.raises(ValueError, match=message):
        read_image(sky, **given)


@pytest.mark.parametrize(
    "image, message",
    [
        (np.full((50, 60), np.nan), "no pixels that can be used"),
        (np.full((50, 60), 7), "no noise"),
        (np.full((50, 60), 7.5), "no noise"),
        (np.ma.masked_all((50, 60)), "no pixels that can be used"),
    ],
)
def test_nothing_to_be_measured(image, message):
    with pytest.raises(ValueError, match=message):
        prepare_image(read_image(image), PSF)


def test_errors_that_are_none_are_masked(caplog, sky):
    error = np.full(sky.shape, 5.0)
    error[3, 4], error[5, 6], error[7, 8] = -5, 0, np.nan
    cut = prepare_image(read_image(sky, error=error), PSF).cut(slice(0, 128), slice(0, 160))
    assert np.argwhere(~cut.valid).tolist() == [[3, 4], [5, 6], [7, 8]]
    assert "error map of image is not positive: they are masked" in caplog.text
    with pytest.raises(ValueError, match="no pixels that can be used"):
        prepare_image(read_image(sky, error=-error.clip(1)), PSF)


def test_errors_in_another_unit_and_numbers_that_are_many(sky):
    image = CCDData(sky, unit="electron")
    found = read_image(image, error=np.full(sky.shape, 0.005) * u.Unit("1000 electron"))
    assert_allclose(found.cut(slice(0, 2), slice(0, 2))[2], 5)
    with pytest.raises(ValueError, match="gain has 2 values"):
        read_image(sky, gain=[1, 2])
    with pytest.raises(TypeError, match="mask has values of type"):
        read_image(sky, mask=np.full(sky.shape, "bad"))


def test_wrong_keywords_are_not_used(caplog, sky):
    hdu = fits.ImageHDU(sky)
    hdu.header.update({"GAIN": -1.0, "SATURATE": "none", "CTYPE1": "RA---TAN", "CTYPE2": "GLAT-TAN"})
    with caplog.at_level(logging.WARNING):
        image = read_image(hdu)
    assert image.gain is image.saturation is image.wcs is None
    assert len(caplog.records) == 3
    assert "GAIN = -1.0" in caplog.text and "positions are in pixels only" in caplog.text


def test_a_gain_that_does_not_fit(caplog, sky):
    # Five of noise on a sky of 100 is a gain of 4 electrons a unit at least
    for gain, said in ((4, False), (1, True)):
        caplog.clear()
        prepare_image(read_image(sky, gain=gain), PSF)
        assert ("is the gain right" in caplog.text) is said


def test_errors_that_do_not_fit(caplog, sky):
    for error, said in ((5, False), (25, True)):
        caplog.clear()
        prepared = prepare_image(read_image(sky, error=error), PSF)
        assert ("error map" in caplog.text) is said
        assert_allclose(prepared.sky.noise.values, error)


def test_pixels_without_data_are_masked(sky):
    sky[5, 6], sky[7, 8], sky[20:40, 20:40] = np.nan, np.inf, -np.inf
    cut = prepare_image(read_image(sky), PSF).cut(slice(0, 128), slice(0, 160))
    assert (~cut.valid).sum() == 402
    assert np.isfinite(cut.signal).all() and not cut.signal[~cut.valid].any()
    assert_allclose(cut.signal[cut.valid].std(), 1, atol=0.05)


def test_zeros_in_place_of_data(caplog, sky):
    sky[:, :40] = 0
    cut = prepare_image(read_image(sky), PSF).cut(slice(0, 128), slice(0, 160))
    assert "exactly zero" in caplog.text
    assert not cut.valid[:, :40].any() and cut.valid[:, 40:].all()
    assert_allclose(cut.background, 100, atol=1)


def test_zeros_of_a_photon_counter_are_data(caplog):
    counts = np.random.default_rng(4).poisson(2, (128, 128))
    cut = prepare_image(read_image(counts), PSF).cut(slice(0, 128), slice(0, 128))
    assert not caplog.text and cut.valid.all()


@pytest.mark.parametrize("side", [8, 10, 20])
def test_few_pixels(sky, side):
    cut = prepare_image(read_image(sky[:side, :side]), PSF).cut(slice(-20, 30), slice(0, 50))
    assert cut.valid.sum() == side**2
    assert 0.5 < cut.signal[cut.valid].std() < 2


def test_few_pixels_without_a_psf(sky):
    with pytest.raises(ValueError, match="PSF"):
        prepare_image(read_image(sky[:10, :10]))


def test_a_psf_wider_than_the_stamp(sky):
    with pytest.raises(ValueError, match="wider"):
        prepare_image(read_image(sky), Moffat2D(gamma=300, alpha=3))


def stars(level):
    """Two hundred stars of a power law, and a level at which pixels are full."""
    random = np.random.default_rng(5)
    x, y = random.uniform(0, 300, (2, 200, 1, 1))
    flux = (500 / random.random(200))[:, None, None]
    rows, columns = np.mgrid[:300, :300]
    light = (flux * (1 + ((columns - x) ** 2 + (rows - y) ** 2) / 8.6) ** -3.0).sum(0)
    flat = random.normal(1, 0.01, light.shape)
    return np.minimum(light + random.normal(100, 5, light.shape), level) * flat


@pytest.mark.parametrize("level, is_full", [(2000, True), (8000, True), (1e9, False)])
def test_saturation_that_no_keyword_tells(level, is_full):
    image = stars(level)
    saturation = prepare_image(read_image(image), PSF).image.saturation
    if is_full:
        assert 0.9 * level < saturation < 0.99 * level
    else:
        assert saturation is None
