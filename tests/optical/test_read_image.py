# Licensed under a 3-clause BSD style license - see LICENSE
"""Images of all kinds of files and objects have the same pixels, and what their headers tell."""

import bz2
import gzip
import os
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.modeling.models import Gaussian2D, Moffat2D
from astropy.nddata import CCDData, StdDevUncertainty, VarianceUncertainty
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from gammapy_asid.optical.images import prepare_image, read_image
from gammapy_asid.optical.images.mesh import Mesh
from gammapy_asid.optical.images.tiles import tiles_of

WHOLE = slice(0, 40), slice(0, 50)


@pytest.fixture
def wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.cdelt = ("RA---TAN", "DEC--TAN"), (10, 20), (-1e-4, 1e-4)
    return wcs


@pytest.fixture
def pixels():
    return np.random.default_rng(6).normal(100, 5, (40, 50)).astype(np.float32)


def test_files_packed_or_not(tmp_path, pixels, wcs):
    path = tmp_path / "image.fits"
    fits.PrimaryHDU(pixels, wcs.to_header()).writeto(path)
    for suffix, pack in ((".gz", gzip.compress), (".bz2", bz2.compress), ("", bytes)):
        packed = Path(f"{path}{suffix}")
        packed.write_bytes(pack(path.read_bytes()))
        image = read_image(packed)
        assert image.shape == (40, 50) and image.name == packed.name
        assert_array_equal(image.cut(*WHOLE)[0], pixels)
        assert_array_equal(image.cut(slice(3, 9), slice(40, 50))[0], pixels[3:9, 40:])
        assert_allclose(image.wcs.wcs.crval, (10, 20))


def test_scaled_integers_do_not_overflow(tmp_path):
    path = tmp_path / "image.fits"
    raw = np.random.default_rng(7).integers(-32767, 32767, (40, 50)).astype(np.int16)
    raw[3, 4] = -32768
    hdu = fits.PrimaryHDU(raw)
    hdu.writeto(path)
    # As a file has it: Astropy's own writer takes scales out
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header.update({"BSCALE": 3.0, "BZERO": 70000.0, "BLANK": -32768})
    data, mask, _ = read_image(path).cut(*WHOLE)
    expected = raw * 3.0 + 70000
    assert mask.sum() == 1 and mask[3, 4]
    assert_array_equal(data[~mask], expected[~mask])


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.float32, np.float64]
)
def test_every_type_of_pixels(tmp_path, dtype):
    values = np.random.default_rng(8).integers(0, 200, (40, 50)).astype(dtype)
    path = tmp_path / "image.fits"
    fits.PrimaryHDU(values).writeto(path)
    compressed = tmp_path / "compressed.fits"
    fits.CompImageHDU(values, compression_type="GZIP_1", quantize_level=0).writeto(compressed)
    for image in (path, compressed, values, values.astype(np.dtype(dtype).newbyteorder(">"))):
        data = read_image(image).cut(slice(5, 20), slice(0, 50))[0]
        assert data.dtype in (np.float32, np.float64)
        assert_array_equal(data, values[5:20])


def test_compressed_tiles_of_single_precision(tmp_path, pixels):
    pixels[7, 8] = np.nan
    path = tmp_path / "image.fits.fz"
    fits.CompImageHDU(pixels, compression_type="RICE_1", quantize_level=16).writeto(path)
    data, mask, _ = read_image(path).cut(*WHOLE)
    assert mask.sum() == 1 and mask[7, 8]
    assert_allclose(data[~mask], pixels[~mask], atol=0.5)


def test_objects(pixels, wcs):
    mask = pixels > 110
    objects = [
        pixels,
        pixels[None],
        pixels.tolist(),
        u.Quantity(pixels, "electron"),
        np.ma.array(pixels, mask=mask),
        fits.ImageHDU(pixels),
        CCDData(pixels, unit="electron", mask=mask, wcs=wcs, uncertainty=VarianceUncertainty(pixels**2)),
    ]
    images = [read_image(one) for one in objects]
    for image in images:
        assert_allclose(image.cut(*WHOLE)[0], pixels, rtol=1e-6)
    assert [image.unit for image in images] == [None] * 3 + [u.electron, None, None, u.electron]
    assert_array_equal(images[4].cut(*WHOLE)[1], mask)
    assert_allclose(images[6].cut(*WHOLE)[2], pixels, rtol=1e-5)
    assert images[6].wcs is wcs and images[6].gain == 1
    assert read_image(images[0]) is not None and read_image(images[6], gain=3).gain == 3


def test_extensions_beside_the_image(tmp_path, pixels, wcs):
    bits = np.zeros(pixels.shape, np.int16)
    bits[0, :4] = 1, 2, 4, 8192
    for telescope, bad, full in (("JWST", 1, 1), ("HST", 3, 0), ("other", 0, 0)):
        path = tmp_path / f"{telescope}.fits"
        primary = fits.PrimaryHDU(header=fits.Header({"TELESCOP": telescope, "EXPTIME": 20.0}))
        science = fits.ImageHDU(pixels, wcs.to_header(), name="SCI")
        science.header["BUNIT"] = "ELECTRONS/S"
        errors = fits.ImageHDU(pixels / 20, name="ERR")
        fits.HDUList([primary, science, errors, fits.ImageHDU(bits, name="DQ")]).writeto(path)
        image = read_image(path)
        assert image.gain == 20 and image.origin["gain"] == "EXPTIME"
        _, mask, error = image.cut(*WHOLE)
        assert mask.sum() == bad
        assert_array_equal(error, pixels / 20)
        assert (image.full is not None and image.full.cut(*WHOLE).sum()) == full
        assert read_image(path, hdu="ERR").error is None


def test_planes_of_a_mask(tmp_path, pixels, wcs):
    planes = np.zeros(pixels.shape, np.int32)
    planes[0, :3], planes[1, :2], planes[2] = 1 << 0, 1 << 1, 1 << 5
    mask = fits.ImageHDU(planes, name="MASK")
    mask.header.update({"MP_BAD": 0, "MP_SAT": 1, "MP_DETEC": 5})
    image = fits.ImageHDU(pixels, wcs.to_header(), name="IMAGE")
    path = tmp_path / "lsst.fits"
    variance = fits.ImageHDU(np.full(pixels.shape, 25.0), name="VARIANCE")
    fits.HDUList([fits.PrimaryHDU(), image, mask, variance]).writeto(path)
    prepared = prepare_image(read_image(path), Moffat2D(gamma=2.94, alpha=3))
    cut = prepared.cut(*WHOLE)
    assert (~cut.valid).sum() == 3 and cut.saturated.sum() == 2
    assert_allclose(cut.sky_noise, 5)


def test_what_ccddata_writes(tmp_path, pixels, wcs):
    path = tmp_path / "ccd.fits"
    data = CCDData(pixels, unit="adu", wcs=wcs, mask=pixels > 110, uncertainty=StdDevUncertainty(pixels / 20))
    data.write(path)
    _, mask, error = read_image(path).cut(*WHOLE)
    assert_array_equal(mask, pixels > 110)
    assert_allclose(error, pixels / 20)


@pytest.mark.parametrize(
    "keywords, gain, zero_point",
    [
        ({"GAIN": 2.5, "MAGZPT": 25.5}, 2.5, 25.5),
        ({"EGAIN": 1.5, "BUNIT": "DN"}, 1.5, None),
        ({"GAIN": 2.5, "EXPTIME": 10.0, "BUNIT": "counts/s"}, 25, None),
        ({"GAIN": 2.5, "BUNIT": "nanomaggy"}, None, 22.5),
        ({"GAIN": 2.5, "BUNIT": "uJy"}, None, 23.9),
        ({"BUNIT": "MJy/sr", "PIXAR_SR": 1e-13}, None, -2.5 * np.log10(1e-7 / 3631)),
        ({"BUNIT": "e-", "GAIN": 7.0}, 1, None),
        # ACS/WFC F606W: 26.49 (AB) for electrons a second
        ({"BUNIT": "ELECTRONS/S", "EXPTIME": 9.0, "PHOTFLAM": 7.79e-20, "PHOTPLAM": 5922.0}, 9, 26.5),
    ],
)
def test_gain_and_zero_point(pixels, keywords, gain, zero_point):
    image = read_image(fits.PrimaryHDU(pixels, fits.Header(keywords)))
    assert image.gain == gain
    assert image.zero_point == (zero_point if zero_point is None else pytest.approx(zero_point, abs=0.02))


def test_maps_that_are_given(tmp_path, pixels):
    mask, path = np.zeros(pixels.shape, int), tmp_path / "mask.fits"
    mask[2:5, 3] = 4
    fits.PrimaryHDU(mask).writeto(path)
    background = np.linspace(0, 1000, 50) + np.zeros((40, 1))
    image = read_image(pixels + background, mask=path, background=background, error=u.Quantity(5, "adu"))
    cut = prepare_image(image, Moffat2D(gamma=2.94, alpha=3)).cut(*WHOLE)
    assert (~cut.valid).sum() == 3
    assert_allclose(cut.background, background + 100, atol=1)
    assert_allclose(cut.sky_noise, 5)


def test_wide_stars_are_summed():
    random = np.random.default_rng(9)
    data = random.normal(0, 1, (300, 301))
    data[100, 100] = np.nan
    image = read_image(data, gain=2.0, saturation=1e6)
    prepared = prepare_image(image, Gaussian2D(x_stddev=6.8, y_stddev=6.8))
    # 16 pixels in sums of three
    assert prepared.binning == 3 and prepared.shape == (100, 100)
    assert_allclose(prepared.psf.fwhm, 16 / 3, atol=0.1)
    cut = prepared.cut(slice(0, 100), slice(0, 100))
    assert cut.valid.all()
    assert_allclose(cut.signal.std(), 1, atol=0.03)
    assert_allclose(prepared.original(0, 1), (1, 4))
    assert_allclose(prepared.binned(*prepared.original(12.3, 4.5)), (12.3, 4.5))


def test_variance_by_gain():
    data = np.random.default_rng(10).normal(0, 10, (200, 200))
    data[90:110, 90:110] += 1000
    cut = prepare_image(read_image(data, gain=2.0), Moffat2D(gamma=2.94, alpha=3)).cut(*[slice(95, 105)] * 2)
    # 1000 units are 2000 electrons with a variance of 500 units squared, five times that of the sky
    assert_allclose(np.median(cut.variance), 6, rtol=0.05)


@settings(max_examples=30, deadline=None)
@given(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), st.integers(8, 600), st.integers(0, 50))
def test_tiles_partition_the_image(shape, size, overlap):
    if size <= 2 * overlap:
        with pytest.raises(ValueError, match="no inner part"):
            tiles_of(shape, size, overlap)
        return
    tiles = tiles_of(shape, size, overlap)
    area = 0
    for tile in tiles:
        sides = zip((tile.ys, tile.xs), (tile.inner_ys, tile.inner_xs), shape, strict=True)
        for outer, inner, n in sides:
            assert 0 <= outer.start < outer.stop <= min(n, outer.start + size)
            assert inner.start - outer.start >= (overlap if outer.start else 0)
            assert outer.stop - inner.stop >= (overlap if outer.stop < n else 0)
        area += (tile.inner_ys.stop - tile.inner_ys.start) * (tile.inner_xs.stop - tile.inner_xs.start)
    assert area == shape[0] * shape[1]


@settings(max_examples=30, deadline=None)
@given(arrays(float, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.floats(1, 2)))
def test_meshes_are_the_same_in_every_cut(values):
    mesh = Mesh(values, (300, 200), is_straight=False)
    whole = mesh.cut(slice(0, 300), slice(0, 200))
    assert values.min() - 1e-6 <= whole.min() and whole.max() <= values.max() + 1e-6
    assert_allclose(mesh.cut(slice(17, 99), slice(150, 200)), whole[17:99, 150:], rtol=1e-6)


@pytest.mark.skipif("GAMMAPY_ASID_DATA" not in os.environ, reason="needs the data")
def test_real_images():
    folder = Path(os.environ["GAMMAPY_ASID_DATA"]) / "optical"
    image = read_image(folder / "sdss/frame-r-000094-1-0012.fits.bz2")
    assert image.shape == (1489, 2048) and image.unit == u.Unit("nmgy") and image.zero_point == 22.5
    sky = image.wcs.pixel_to_world(0, 0)
    assert 0 < sky.ra.deg < 360
    prepared = prepare_image(image, Moffat2D(gamma=3.5, alpha=3))
    cut = prepared.cut(slice(0, 1489), slice(0, 1024))
    dark = cut.signal[cut.signal < 0]
    # The dark side of the sky of an ordinary field is normal noise
    assert_allclose(np.sqrt(np.mean(dark**2)), 1, atol=0.05)


def test_wide_stars_are_measured():
    random = np.random.default_rng(11)
    data = random.normal(0, 1, (400, 400))
    x, y = random.uniform(20, 380, (2, 30))
    rows, columns = np.mgrid[:400, :400]
    for at in zip(x, y, 10 / random.random(30), strict=True):
        data += at[2] * (1 + ((columns - at[0]) ** 2 + (rows - at[1]) ** 2) / 14.7**2) ** -3.0
    prepared = prepare_image(read_image(data))
    assert prepared.binning in (3, 4)
    assert_allclose(prepared.psf.fwhm * prepared.binning, 15, rtol=0.05)
