# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the selection of events that headers state, and of what is read with it."""

import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable
from gammapy.maps import Map, MapAxis, WcsGeom

from gammapy_asid.inputs.read_maps import dataset_from_files
from gammapy_asid.inputs.selection import read_selection
from gammapy_asid.survey import SkyTiles, TileCutter

TRUE = MapAxis.from_energy_bounds("5 GeV", "2000 GeV", nbin=8, name="energy_true")
CENTRE = SkyCoord(83, 22, unit="deg")


def header(*cuts):
    keys = {}
    for i, (kind, unit, value) in enumerate(cuts, start=1):
        keys |= {f"DSTYP{i}": kind, f"DSUNI{i}": unit, f"DSVAL{i}": value}
    return keys


def selection(*cuts):
    return read_selection(fits.HDUList([fits.PrimaryHDU(header=fits.Header(header(*cuts)))]), "some.fits")


CLASS = ("BIT_MASK(EVENT_CLASS,128,P8R2)", "DIMENSIONLESS", "1:1")
TIME = ("TIME", "s", "TABLE")
ENERGY = ("ENERGY", "MeV", "10000:300000")
CIRCLE = ("POS(RA,DEC)", "deg", "CIRCLE(83.0,22.0,8.0)")


@pytest.mark.parametrize(
    "cut",
    [
        CIRCLE,
        ("pos(ra,dec)     ", "deg", " circle( 83.0, 22.0, 8 )"),
        ("POS(RA,DEC)", "", "CIRCLE(83,22,8)"),
        ("POS(RA,DEC)", "rad", f"CIRCLE({np.radians(83)},{np.radians(22)},{np.radians(8)})"),
        ("POS(RA,DEC)", "deg", "ANNULUS(83,22,0,8)"),
        ("POS(GLON,GLAT)", "deg", f"CIRCLE({CENTRE.galactic.l.deg},{CENTRE.galactic.b.deg},8)"),
    ],
)
def test_circles(cut):
    found = selection(CLASS, cut, TIME, ENERGY)
    centre, radius = found.circle()
    assert centre.separation(CENTRE).deg < 1e-6
    assert radius == pytest.approx(8)
    assert (found.e_min, found.e_max) == (10, 300)
    geom = WcsGeom.create(skydir=CENTRE, width=20, binsz=0.5)
    distance = geom.separation(CENTRE).deg
    inside = found.contains(geom)
    assert inside[(distance < 7.6) & (distance > 0.4)].all()
    assert not inside[distance > 8 - 0.25].any()


def test_several_cuts():
    """Their intersection; the smallest circle holds it."""
    found = selection(CIRCLE, ("POS(RA,DEC)", "deg", "CIRCLE(86,22,6)"))
    assert found.circle()[1] == 6
    geom = WcsGeom.create(skydir=CENTRE, width=30, binsz=0.5)
    inside = found.contains(geom)
    assert inside.any()
    assert not inside[geom.separation(CENTRE).deg > 8].any()
    assert not inside[geom.separation(SkyCoord(86, 22, unit="deg")).deg > 6].any()


def test_boxes():
    found = selection(("POS(RA,DEC)", "deg", "BOX(83,22,10,4)"))
    geom = WcsGeom.create(skydir=CENTRE, width=16, binsz=0.1, proj="TAN")
    sky = geom.get_coord().skycoord
    x, y = (offset.deg for offset in CENTRE.spherical_offsets_to(sky))
    inside = found.contains(geom)
    assert inside[(np.abs(x) < 4.8) & (np.abs(y) < 1.8)].all()
    assert not inside[(np.abs(x) > 5.1) | (np.abs(y) > 2.1)].any()
    assert found.circle()[1] == pytest.approx(np.hypot(5, 2))
    turned = selection(("POS(RA,DEC)", "deg", "BOX(83,22,10,4,90)")).contains(geom)
    assert turned[(np.abs(y) < 4.8) & (np.abs(x) < 1.8)].all()


@pytest.mark.parametrize(
    "cut", [("POS(RA,DEC)", "deg", "CIRCLE(0,0,180)"), CLASS, TIME, ("ZENITH_ANGLE", "deg", "0:105")]
)
def test_the_whole_sky(cut):
    found = selection(cut)
    assert found.circle() is None
    assert found.contains(WcsGeom.create(binsz=10)).all()


@pytest.mark.parametrize(
    "cut",
    [
        ("POS(RA,DEC)", "deg", "POLYGON(1,2,3,4,5,6)"),
        ("POS(RA,DEC)", "deg", "CIRCLE(83,22)"),
        ("POS(RA,DEC)", "deg", "-CIRCLE(83,22,2)"),
        ("POS(RA,DEC)", "deg", "region.reg"),
        ("POS(X,Y)", "deg", "CIRCLE(1,2,3)"),
        ("RA", "deg", "10:20"),
        ("ENERGY", "MeV", "all"),
    ],
)
def test_what_is_not_understood(cut):
    with pytest.raises(ValueError, match="some.fits states a selection that is not understood, DSTYP1"):
        selection(cut)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Exposure of the whole sky with and without a unit, and a PSF."""
    path = tmp_path_factory.mktemp("lat")
    geom = WcsGeom.create(binsz=4, proj="CAR", frame="galactic", axes=[TRUE])
    for name, unit in (("exposure", "cm2 s"), ("unitless", "")):
        Map.from_geom(geom, data=np.full(geom.data_shape, 3e11), unit=unit).write(path / f"{name}.fits")
    theta = np.linspace(0, 4, 100)
    values = np.exp(-0.5 * (theta / 0.1) ** 2) * np.ones((8, 1))
    table = QTable({"Energy": TRUE.center.to("MeV"), "Exposure": np.ones(8) * u.Unit("cm2 s"), "Psf": values})
    hdus = [
        fits.BinTableHDU(table, name="PSF"),
        fits.BinTableHDU(QTable({"Theta": theta * u.deg}), name="THETA"),
    ]
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path / "psf.fits")
    return path


def write_events(path, cuts, radius=8.0, n=6000):
    rng = np.random.default_rng(0)
    offset = np.degrees(np.arccos(1 - rng.random(n) * (1 - np.cos(np.radians(radius)))))
    sky = CENTRE.directional_offset_by(rng.uniform(0, 360, n) * u.deg, offset * u.deg)
    energy = 1e4 * (1 - rng.random(n)) ** -0.8
    table = QTable(
        {
            "ENERGY": energy.astype("f4") * u.MeV,
            "RA": sky.ra,
            "DEC": sky.dec,
            "TIME": np.arange(n) * u.s,
        }
    )
    hdu = fits.BinTableHDU(table, name="EVENTS")
    hdu.header.update({"MJDREFI": 51910, "MJDREFF": 7.4e-4, "TIMESYS": "TT", "TIMEUNIT": "s"} | header(*cuts))
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return sky, energy / 1e3


def test_events_of_a_circle(folder, tmp_path):
    """Only the circle is made, and only it is observed."""
    sky, energy = write_events(tmp_path / "events.fits", [CLASS, CIRCLE, TIME])
    files = [tmp_path / "events.fits", folder / "exposure.fits", folder / "psf.fits"]
    dataset = dataset_from_files(*files, energy_range=[10, 100] * u.GeV, pixel_size=0.2)
    image = dataset.counts.geom.to_image()
    assert image.data_shape == (80, 80)
    assert image.center_skydir.separation(CENTRE).deg < 0.15
    assert dataset.counts.data.sum() == (energy < 100).sum()
    away = image.separation(CENTRE).deg
    valid = dataset.mask_safe.data.all(axis=0)
    assert valid[away < 7.8].all()
    assert not valid[away > 8].any()
    tiles = SkyTiles()
    assert len(TileCutter(dataset).tiles_with_data(tiles)) <= 4


def test_events_without_a_stated_region(folder, tmp_path, caplog):
    """The empty sky around them is recognised."""
    write_events(tmp_path / "events.fits", [])
    files = [tmp_path / "events.fits", folder / "exposure.fits", folder / "psf.fits"]
    dataset = dataset_from_files(*files, energy_range=[10, 100] * u.GeV, pixel_size=0.5)
    assert dataset.counts.geom.is_allsky
    with caplog.at_level(logging.WARNING):
        assert len(TileCutter(dataset).tiles_with_data(SkyTiles())) <= 8
    assert "lie in empty parts" in caplog.text


def test_energies_of_a_selection(folder, tmp_path, caplog):
    write_events(tmp_path / "events.fits", [CIRCLE, ("ENERGY", "MeV", "10000:50000")])
    files = [tmp_path / "events.fits", folder / "exposure.fits", folder / "psf.fits"]
    edges = dataset_from_files(*files).counts.geom.axes["energy"].edges.to_value("GeV")
    np.testing.assert_allclose(edges[[0, -1]], [10, 50])
    with caplog.at_level(logging.WARNING):
        edges = dataset_from_files(*files, energy_range=[1, 100] * u.GeV).counts.geom.axes["energy"].edges
    np.testing.assert_allclose(edges[[0, -1]].to_value("GeV"), [10, 50])
    assert "holds events of 10-50 GeV only" in caplog.text
    with pytest.raises(ValueError, match="holds events of 10-50 GeV, none in the range of 100-1000 GeV"):
        dataset_from_files(*files, energy_range=[100, 1000] * u.GeV)


@pytest.mark.parametrize("place", [0, 1])
def test_counts_cubes(folder, tmp_path, place, caplog):
    """The selection counts for maps as well, wherever the header states it."""
    axis = MapAxis.from_energy_bounds("10 GeV", "1000 GeV", nbin=4)
    geom = WcsGeom.create(skydir=CENTRE, width=20, binsz=0.5, proj="TAN", axes=[axis])
    m = Map.from_geom(geom, data=np.ones(geom.data_shape))
    m.write(tmp_path / "counts.fits")
    cuts = [CIRCLE, ("ENERGY", "GeV", "10:320")]
    with fits.open(tmp_path / "counts.fits", mode="update") as hdulist:
        hdulist[place].header.update(header(*cuts))
    with caplog.at_level(logging.WARNING):
        dataset = dataset_from_files(tmp_path / "counts.fits", folder / "exposure.fits", folder / "psf.fits")
    assert "1 of 4 energy bins are left out" in caplog.text
    away = geom.to_image().separation(CENTRE).deg
    assert dataset.mask_safe.data[:3, away < 7.6].all()
    assert not dataset.mask_safe.data[:, away > 8].any()
    assert not dataset.mask_safe.data[3].any()


def test_exposure_without_a_unit(folder, tmp_path, caplog):
    write_events(tmp_path / "events.fits", [CIRCLE])
    with caplog.at_level(logging.WARNING):
        dataset = dataset_from_files(
            tmp_path / "events.fits",
            folder / "unitless.fits",
            folder / "psf.fits",
            energy_range=[10, 100] * u.GeV,
        )
    assert dataset.exposure.unit == "cm2 s"
    assert dataset.exposure.data.max() == pytest.approx(3e11)
    (message,) = caplog.messages
    assert "states no unit: it is taken to be in cm2 s" in message
