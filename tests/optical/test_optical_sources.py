# Licensed under a 3-clause BSD style license - see LICENSE
"""Tables of sources of an image: positions of lists of any origin, files, regions, candidates, pictures."""

import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table
from astropy.wcs import WCS
from numpy.testing import assert_allclose, assert_array_equal
from regions import PointPixelRegion, Regions

from gammapy_asid.catalog.columns import CandidateFlag
from gammapy_asid.optical.flags import OpticalFlag
from gammapy_asid.optical.images import read_image
from gammapy_asid.optical.pixel_flags import pixel_flags
from gammapy_asid.optical.pixel_masks import PixelMasks
from gammapy_asid.optical.positions import add_sky, duplicates, given_table
from gammapy_asid.optical.sources import OpticalSources

SCALE = 0.4 / 3600


@pytest.fixture
def wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = "RA---TAN", "DEC--TAN"
    wcs.wcs.crval, wcs.wcs.crpix = (150.0, 30.0), (31, 21)
    wcs.wcs.cdelt = -SCALE, SCALE
    return wcs


def some_sources(wcs=None, masks=True):
    table = QTable({"id": [1, 2, 3], "xcentroid": [30.0, 10.5, 50.0], "ycentroid": [20.0, 5.0, 33.25]})
    table["x_err"], table["y_err"] = [0.1, 0.2, 0.3], [0.1, 0.1, 0.3]
    table["score"], table["flags"] = [0.99, 0.8, 0.6], np.array([0, OpticalFlag.SATURATED, 1], "i4")
    table["star_prob"], table["flux"] = [0.9, 0.1, np.nan], [100.0, 20.0, np.nan] * u.adu
    add_sky(table, wcs)
    shown = None
    if masks:
        cosmic, trail = np.zeros((2, 40, 60), bool)
        cosmic[3, 4:9], trail[30] = True, True
        shown = PixelMasks.from_arrays(cosmic_ray=cosmic, trail=trail)
    return OpticalSources(table, shown, wcs, {"image": "a field", "threshold": 0.5})


def test_masks_of_one_byte_keep_both():
    masks = some_sources().masks
    assert masks["cosmic_ray"].sum() == 5 and masks["trail"].sum() == 60
    assert dict(masks)["trail"][30].all()
    assert repr(masks) == "<PixelMasks cosmic_ray: 5 pixels, trail: 60 pixels>"
    with pytest.raises(KeyError, match="there are cosmic_ray, trail"):
        masks["hot"]


@pytest.mark.parametrize(
    ("names", "first"),
    [(("xcentroid", "ycentroid"), 0), (("x_fit", "y_fit"), 0), (("X_IMAGE", "Y_IMAGE"), 1), (("x", "y"), 0)],
)
def test_pixel_positions_of_photutils_sep_and_sextractor(names, first):
    given = Table({names[0]: [3.0, 7.0], names[1]: [4.0, 8.5], "flags": ["a", "b"], "kron": [1, 2]})
    table = given_table(given)
    assert_allclose(table["xcentroid"], np.array([3, 7]) - first)
    assert_allclose(table["ycentroid"], np.array([4, 8.5]) - first)
    # Flags of others have other bits
    assert list(table["flags_given"]) == ["a", "b"] and list(table["flags"]) == [0, 0]
    assert_array_equal(table["id"], [1, 2])
    assert given.colnames == [*names, "flags", "kron"]


def test_sky_positions_need_a_projection(wcs):
    sky = SkyCoord([150.0, 150.0], [30.0, 30.0 + SCALE], unit="deg")
    for sources in (sky, QTable({"RAJ2000": sky.ra, "DEJ2000": sky.dec}), sky.galactic):
        table = given_table(sources, wcs)
        assert_allclose(table["xcentroid"], 30, atol=1e-6)
        assert_allclose(table["ycentroid"], [20, 21], atol=1e-6)
        with pytest.raises(ValueError, match="the image has no WCS"):
            given_table(sources)


def test_a_list_of_another_image_is_placed_by_its_sky_positions(wcs, caplog):
    other = wcs.deepcopy()
    other.wcs.crpix = other.wcs.crpix + 100
    table = QTable({"id": [1], "xcentroid": [130.0], "ycentroid": [120.0], "flags": [0]})
    add_sky(table, other)
    with caplog.at_level(logging.WARNING):
        placed = given_table(table, wcs)
    assert_allclose([placed["xcentroid"][0], placed["ycentroid"][0]], [30, 20], atol=1e-6)
    assert "another image" in caplog.text


def test_what_is_no_list_of_positions_is_refused():
    with pytest.raises(ValueError, match="name columns xcentroid and ycentroid"):
        given_table(Table({"a": [1.0]}))
    with pytest.raises(TypeError, match="got list"):
        given_table([(1, 2)])


def test_positions_far_beyond_any_image(recwarn):
    far = np.array([1e300, -1e300, np.inf, -np.inf, np.nan, 3.0, 3.2])
    assert duplicates(far, far).tolist() == [0] * 5 + [OpticalFlag.DUPLICATE] * 2
    image = read_image(np.random.default_rng(0).normal(0, 1, (20, 30)))
    for x, y in ((far, np.full(7, 5.0)), (np.full(7, 5.0), far)):
        outside = (pixel_flags(image, x, y, 3.0) & OpticalFlag.OUTSIDE) > 0
        assert outside.tolist() == [True] * 5 + [False] * 2
    assert not recwarn.list


def test_duplicates_are_flagged_and_missing_positions_are_not():
    x, y = np.array([1, 1.3, 5, np.nan, np.nan]), np.array([1, 1.3, 5, np.nan, np.nan])
    assert_array_equal(duplicates(x, y), np.array([1, 1, 0, 0, 0]) * OpticalFlag.DUPLICATE)


def test_says_in_one_line_what_it_is():
    sources = some_sources()
    assert repr(sources) == "<OpticalSources: 3 sources of a field, 1 star, 1 galaxy, fluxes in adu>"
    assert list(sources.kinds) == ["star", "galaxy", "unknown"]
    plain = OpticalSources(sources.table["id", "xcentroid", "ycentroid", "flags"])
    assert repr(plain) == "<OpticalSources: 3 sources of an image>"
    few = sources.select(sources.table["score"] > 0.7)
    assert len(few) == 2 and few.masks is sources.masks and len(sources) == 3


@pytest.mark.parametrize("suffix", ["fits", "fits.gz", "ecsv", "csv"])
@pytest.mark.parametrize("with_wcs", [True, False])
def test_files_hold_what_was_written(tmp_path, wcs, suffix, with_wcs):
    sources = some_sources(wcs if with_wcs else None)
    path = tmp_path / f"sources.{suffix}"
    sources.write(path)
    read = OpticalSources.read(path)
    assert read.table.colnames == sources.table.colnames
    for name in sources.table.colnames:
        ours, theirs = (np.asarray(getattr(t[name], "value", t[name])) for t in (sources.table, read.table))
        assert_allclose(theirs, ours, err_msg=name)
    if suffix != "csv":
        assert read.table["flux"].unit == u.adu
        assert read.meta == sources.meta
    if suffix.startswith("fits"):
        assert_array_equal(read.masks.bits, sources.masks.bits)
        assert (read.wcs is not None) == with_wcs
    with pytest.raises(FileExistsError):
        sources.write(path)
    sources.write(path, overwrite=True)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_projection_is_kept_without_masks(tmp_path, wcs):
    sources = some_sources(wcs, masks=False)
    sources.write(tmp_path / "sources.fits")
    read = OpticalSources.read(tmp_path / "sources.fits")
    assert read.masks is None
    assert_allclose(read.wcs.wcs.crval, wcs.wcs.crval)


def test_units_that_fits_does_not_know_are_kept(tmp_path):
    sources = some_sources()
    sources.table["flux"] = sources.table["flux"].value * u.Unit("nmgy")
    for suffix in ("fits", "ecsv"):
        sources.write(tmp_path / f"sources.{suffix}")
        assert OpticalSources.read(tmp_path / f"sources.{suffix}").table["flux"].unit == u.Unit("nmgy")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must end in .fits"):
        some_sources().write(tmp_path / "sources.txt")
    Table({"a": [1]}).write(tmp_path / "other.fits")
    with pytest.raises(ValueError, match="holds no sources of an image"):
        OpticalSources.read(tmp_path / "other.fits")
    Table({"a": [1]}).write(tmp_path / "other.csv")
    with pytest.raises(ValueError, match="no column id, xcentroid"):
        OpticalSources.read(tmp_path / "other.csv")
    assert not (tmp_path / "sources.txt").exists()


def test_regions_lie_on_the_sources(tmp_path, wcs):
    sources = some_sources(wcs)
    sources.write(tmp_path / "sources.reg")
    for regions in (sources.to_regions(), Regions.read(tmp_path / "sources.reg", format="ds9")):
        x, y = wcs.world_to_pixel(SkyCoord([region.center for region in regions]))
        assert_allclose(x, sources.table["xcentroid"], atol=1e-3)
        assert_allclose(y, sources.table["ycentroid"], atol=1e-3)
    plain = some_sources().to_regions()
    assert all(isinstance(region, PointPixelRegion) for region in plain)
    assert [region.meta["text"] for region in plain] == ["1", "2", "3"]
    assert plain[1].center.x == 10.5


def test_candidates_have_the_errors_of_the_sky(wcs):
    candidates = some_sources(wcs).to_candidates()
    assert_allclose(candidates.table["score"], [0.99, 0.8, 0.6])
    # A circle of 0.1 pixels holds 68 % within 1.51 standard deviations; the second is twice as long in x,
    # which is east to west
    axes = [candidates.table[f"semi_{which}_68"][:2].to_value("deg") / SCALE for which in ("major", "minor")]
    assert_allclose(axes, [[0.151, 0.302], [0.151, 0.151]], rtol=2e-3)
    assert_allclose(candidates.table["pos_angle"][1].value, 90, atol=0.1)
    # Saturation is nothing that candidates know
    assert list(candidates.table["flags"]) == [0, 0, CandidateFlag.NEAR_EDGE]
    assert np.isnan(candidates.table["flux"]).all()
    with pytest.raises(ValueError, match="no WCS"):
        some_sources().to_candidates()


@pytest.mark.parametrize("with_wcs", [True, False])
def test_picture_shows_classes_and_masks(wcs, with_wcs):
    rng = np.random.default_rng(0)
    sources = some_sources(wcs if with_wcs else None)
    with pytest.raises(ValueError, match="give their image"):
        sources.plot()
    ax = sources.plot(rng.normal(10, 1, (40, 60)))
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["cosmic rays", "trails", "1 star", "1 galaxy", "1 without a class"]
    assert ax.get_title() == sources.summary
    assert ax.figure.axes[1].get_ylabel() == "Pixel values"
    assert ax.get_xlim() == (-0.5, 59.5)
    with pytest.raises(ValueError, match="an image of"):
        sources.plot(rng.normal(10, 1, (40, 61)))


def test_pictures_of_large_images_are_averaged():
    table = QTable({"id": [1], "xcentroid": [4100.0], "ycentroid": [10.0], "flags": [0]})
    data = np.ones((31, 4101))
    data[:, 4095:] = np.nan
    ax = OpticalSources(table).plot(data)
    shown = ax.images[0]
    assert shown.get_array().shape == (11, 1367)
    assert_allclose(shown.get_extent(), (-0.5, 4100.5, -0.5, 32.5))
