# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of lists of sources of others as candidates, and of names of every kind."""

import os
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import MaskedColumn, QTable, Table
from gammapy.catalog import CATALOG_REGISTRY
from gammapy.maps import Map
from numpy.testing import assert_allclose
from regions import EllipseSkyRegion, PointSkyRegion

from gammapy_asid import Candidates, DLSourceDetector
from gammapy_asid.catalog.catalog_table import write_catalog
from gammapy_asid.catalog.columns import COLUMNS
from gammapy_asid.catalog.names import iau_names
from gammapy_asid.catalog.source_catalog import SourceCatalogASID
from gammapy_asid.utils.sky_geometry import RADIUS_68, RADIUS_95
from gammapy_asid.utils.table_columns import plain_unit

CRAB = SkyCoord(83.6331, 22.0145, unit="deg")


def full_candidates():
    """Two candidates with fluxes and ellipses."""
    positions = SkyCoord([83.6331, 266.4], [22.0145, -29.0], unit="deg")
    candidates = Candidates.from_positions(
        positions,
        [0.9, 0.6],
        [[0.03, 0.02], [0.05, 0.01]] * u.deg,
        [[0.05, 0.03], [0.08, 0.02]] * u.deg,
        [20, 130] * u.deg,
        flags=[1, 2],
    )
    flux = {
        name: [1e-9, 2e-9] * u.Unit("cm-2 s-1") for name in ("flux", "flux_err", "flux_errn", "flux_errp")
    }
    flux |= {
        "flux_ul": [3e-9, 4e-9] * u.Unit("cm-2 s-1"),
        "e_min": [1, 1] * u.GeV,
        "e_max": [100, 100] * u.GeV,
    }
    return candidates.with_columns(QTable(flux))


def assert_same(first, second, names=None):
    for name in names or first.table.colnames:
        one, two = first.table[name], second.table[name]
        if one.dtype.kind == "U":
            assert list(one) == list(two)
        else:
            np.testing.assert_allclose(getattr(one, "value", one), getattr(two, "value", two), err_msg=name)


@pytest.mark.parametrize(
    ("unit", "plain"),
    [
        ("ph cm-2 s-1", "cm-2 s-1"),
        ("photon / (cm2 s)", "cm-2 s-1"),
        ("ph/cm2/s", "cm-2 s-1"),
        ("photon/cm**2/s", "cm-2 s-1"),
        ("1/cm**2/s", "cm-2 s-1"),
        ("photons cm-2 s-1", "cm-2 s-1"),
        ("ph m-2 s-1", "m-2 s-1"),
        ("deg", "deg"),
    ],
)
def test_photons_are_no_unit(unit, plain):
    try:
        unit = u.Unit(unit)
    except ValueError:
        unit = u.UnrecognizedUnit(unit)
    assert plain_unit(unit) == u.Unit(plain)


def test_flux_in_photons():
    table = full_candidates().table
    table["flux"] = table["flux"].value * u.Unit("ph cm-2 s-1")
    assert_same(Candidates(table), full_candidates())
    table["flux"] = table["flux"].value * u.Unit("erg cm-2 s-1")
    with pytest.raises(ValueError, match="'flux' must be in cm-2 s-1, got erg"):
        Candidates(table)


@pytest.mark.parametrize("name", ["list.fits", "list.ecsv", "list.csv", "list.vot"])
@pytest.mark.filterwarnings("ignore:.*Attribute.*:UserWarning")
def test_own_table_comes_back_from_every_format(name, tmp_path):
    candidates = full_candidates()
    table = candidates.table.copy()
    for column in table.colnames:
        table[column].info.description = None
    # Astropy's writer of the other form of VOTables damages the memory of the process
    settings = {"format": "votable", "tabledata_format": "binary2"} if name.endswith("vot") else {}
    Table(table).write(tmp_path / name, **settings)
    assert_same(Candidates.read(tmp_path / name), candidates)


def test_catalogue_comes_back(tmp_path):
    candidates = full_candidates()
    write_catalog(candidates, tmp_path / "catalog.fits")
    own = [name for name in candidates.table.colnames if name != "flags"]
    assert_same(Candidates.read(tmp_path / "catalog.fits"), candidates, own)


@pytest.mark.parametrize(
    ("columns", "units"),
    [
        ({"RAJ2000": CRAB.ra.deg, "DEJ2000": CRAB.dec.deg}, {}),
        ({"Ra_Deg": CRAB.ra.deg, "dec_deg": CRAB.dec.deg}, {}),
        ({"ra": CRAB.ra.hourangle, "dec": CRAB.dec.deg}, {"ra": "hourangle"}),
        ({"ra": CRAB.ra.hourangle, "dec": CRAB.dec.deg}, {"ra": "h"}),
        ({"ra": CRAB.ra.rad, "dec": CRAB.dec.arcmin}, {"ra": "rad", "dec": "arcmin"}),
        ({"ra": "05 34 31.944", "dec": "+22 00 52.2"}, {}),
        ({"ra": "05:34:31.944", "dec": "22:00:52.2"}, {}),
        ({"ra": "5h34m31.944s", "dec": "22d00m52.2s"}, {}),
        ({"GLON": CRAB.galactic.l.deg, "GLAT": CRAB.galactic.b.deg}, {}),
        ({"l": CRAB.galactic.l.deg, "b": CRAB.galactic.b.deg}, {}),
        ({"where": CRAB}, {}),
    ],
)
def test_positions_in_columns_of_others(columns, units):
    table = QTable(
        {
            name: np.atleast_1d(value) if isinstance(value, str | float) else value.reshape(1)
            for name, value in columns.items()
        }
    )
    for name, unit in units.items():
        table[name].unit = unit
    candidates = Candidates.from_table(table)
    assert candidates.positions.separation(CRAB).arcsec.max() < 0.1
    assert list(candidates.table["name"]) == ["ASID J0534.5+2200"]
    assert np.isnan(candidates.table["score"]).all()
    assert np.isnan(candidates.table["pos_err_95"]).all()


def test_columns_that_are_told():
    table = Table({"lon": [83.6331], "lat": [22.0145], "my_err": [1.2], "ra": [0.0], "S": [2.0], "name": [7]})
    table["my_err"].unit, table["S"].unit = "arcmin", "1e-9 ph cm-2 s-1"
    columns = {"RA": "LON"}
    with pytest.raises(ValueError, match="no column RA"):
        Candidates.from_table(table, columns)
    columns = {"ra": "LON", "dec": "lat", "pos_err_68": "my_err", "flux": "S", "name": None}
    candidates = Candidates.from_table(table, columns, energy_range=[0.01, 1] * u.TeV)
    row = candidates.table[0]
    assert candidates.positions.separation(CRAB).arcsec.max() < 0.1
    assert row["pos_err_68"].to_value("arcmin") == pytest.approx(1.2)
    assert row["pos_err_95"].to_value("arcmin") == pytest.approx(1.2 * RADIUS_95 / RADIUS_68)
    assert row["flux"].value == pytest.approx(2e-9)
    assert (row["e_min"].value, row["e_max"].value) == (10, 1000)
    assert row["name"] == "ASID J0534.5+2200"
    assert table.colnames == ["lon", "lat", "my_err", "ra", "S", "name"]
    with pytest.raises(ValueError, match="no column 'nowhere' for ra: it has lon, lat"):
        Candidates.from_table(table, {"ra": "nowhere"})


def test_a_flux_without_a_range_is_left_out_and_said(caplog):
    table = Table({"ra": [1.0, 2.0], "dec": [1.0, 2.0], "flux": [1e-9, np.nan]})
    assert np.isnan(Candidates.from_table(table).table["flux"]).all()
    assert "Fluxes without a range of energies are left out (1 of 2)" in caplog.text


def test_4fgl_flux_has_the_range_of_its_name():
    table = Table(
        {"RAJ2000": [1.0], "DEJ2000": [2.0], "Flux1000": [1e-9], "Unc_Flux1000": [1e-10], "Flags": [4]}
    )
    row = Candidates.from_table(table).table[0]
    assert (row["e_min"].value, row["e_max"].value, row["flux_errp"].value) == (1, 100, 1e-10)
    # Bits of others mean other things
    assert row["flags"] == 0


def test_missing_values_are_masked():
    table = Table({"ra": [1.0, 2.0], "dec": [1.0, 2.0], "name": MaskedColumn(["a", "b"], mask=[True, False])})
    table["score"] = MaskedColumn([0.5, 0.6], mask=[False, True])
    candidates = Candidates.from_table(table)
    assert list(candidates.table["name"]) == [iau_names(candidates.positions)[0], "b"]
    np.testing.assert_array_equal(candidates.table["score"], [0.5, np.nan])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [1.0]}, "no columns ra and dec, or glon and glat.*it has x"),
        ({"ra": [1.0, np.nan], "dec": [1.0, 2.0]}, "1 rows without a position"),
        ({"ra": [1.0], "dec": [91.0]}, "dec has values beyond 90 deg"),
        ({"ra": ["five"], "dec": [1.0]}, "ra holds no numbers"),
        ({"ra": ["25:61:00"], "dec": [1.0]}, "ra holds no angles"),
        ({"ra": [1.0, 2.0], "dec": [1.0, 2.0], "name": ["a", "a"]}, r"share a name \(a\)"),
        ({"ra": [1.0], "dec": [1.0], "pos_err_95": ["wide"]}, "pos_err_95 holds no numbers"),
        ({"ra": [1.0], "dec": [1.0], "score": ["good"]}, "score holds no numbers"),
        ({"ra": [1.0], "dec": [1.0], "flux": [1.0] * u.Jy}, "flux must be in .*, got Jy"),
        ({"ra": [1.0], "dec": [1.0], "score": [1.0] * u.deg}, "score must be in no unit, got deg"),
        ({"ra": [[1.0, 2.0]], "dec": [[1.0, 2.0]]}, "ra or dec has several values in a row"),
        ({"ra": [1.0], "dec": [1.0], "e_min": [9.0], "e_max": [1.0]}, "1 rows whose e_min is not above 0"),
    ],
)
def test_bad_lists(columns, message):
    with pytest.raises(ValueError, match=message):
        Candidates.from_table(QTable(columns))


def test_lists_are_tables():
    with pytest.raises(TypeError, match="columns must be a dict, got list"):
        Candidates.from_table(Table({"ra": [1.0], "dec": [1.0]}), columns=["ra"])
    with pytest.raises(TypeError, match="table must be a Table, got dict"):
        Candidates.from_table({"ra": [1.0], "dec": [1.0]})


@pytest.mark.skipif("GAMMAPY_DATA" not in os.environ, reason="needs GAMMAPY_DATA")
@pytest.mark.parametrize(
    ("tag", "column", "radius"),
    [
        ("gamma-cat", "pos_err", RADIUS_68),
        ("hgps", "Pos_Err_95", RADIUS_95),
        ("2fhl", "Pos_err_95", RADIUS_95),
        ("3fhl", "Conf_95_SemiMajor", RADIUS_95),
    ],
)
def test_catalogues_of_gammapy_keep_their_errors(tag, column, radius):
    table = CATALOG_REGISTRY.get_cls(tag)().table
    candidates = Candidates.from_table(table)
    own = np.ma.filled(np.ma.asarray(table[column]).astype(float), np.nan)
    known = own > 0
    assert known.sum() > 20
    got = candidates.table["semi_major_95"].to_value("deg") * radius / RADIUS_95
    np.testing.assert_allclose(got[known], own[known], rtol=1e-5)


def test_names_are_not_cut():
    long = [
        "A name of a supernova remnant that is long, north",
        "A name of a supernova remnant that is long, south",
    ]
    table = full_candidates().table
    table["name"] = long
    candidates = Candidates(table)
    assert list(candidates.table["name"]) == long
    assert candidates.to_models().names == long


@pytest.mark.parametrize("name", ["LS I +61°303", "η Carinae", r"a\b", "Nebel 'Größe' 星"])
def test_names_of_every_character(name, tmp_path):
    """FITS holds ASCII only; what is read is what was written, and others can read the file."""
    table = full_candidates().table
    table["name"] = [name, "other"]
    candidates = Candidates(table, meta={"model": name, "datasets": [name]})
    candidates.write(tmp_path / "candidates.fits")
    write_catalog(candidates, tmp_path / "catalog.fits")
    back = Candidates.read(tmp_path / "candidates.fits")
    assert_same(back, candidates)
    assert back.meta == candidates.meta
    assert list(SourceCatalogASID(tmp_path / "catalog.fits").table["Source_Name"]) == [name, "other"]
    with fits.open(tmp_path / "candidates.fits") as hdulist:
        hdulist.verify("exception")
        assert hdulist["CANDIDATES"].data["name"][0].isascii()


def test_names_of_many_sources_in_one_arcminute():
    positions = SkyCoord(83 + 0.00005 * np.arange(800), np.full(800, 22.0), unit="deg")
    names = iau_names(positions)
    assert len(set(names)) == 800
    assert names[:2] == ["ASID J0532.0+2200a", "ASID J0532.0+2200b"]
    assert names[26] == "ASID J0532.0+2200aa"


def test_names_without_a_position():
    positions = SkyCoord([83, np.nan, np.nan], [22, np.nan, 1], unit="deg")
    assert iau_names(positions) == ["ASID J0532.0+2200", "ASID nowherea", "ASID nowhereb"]


def test_regions_of_sources_without_an_error():
    table = full_candidates().table
    table["semi_major_95"][1] = np.nan
    table["semi_minor_95"][0] = 0 * u.deg
    regions = Candidates(table[[0, 1]]).to_regions()
    assert [type(region) for region in regions] == [PointSkyRegion, PointSkyRegion]
    assert isinstance(full_candidates().to_regions()[0], EllipseSkyRegion)
    assert regions[1].meta["text"] == table["name"][1]
    table["ra"][0] = np.nan * u.deg
    with pytest.raises(ValueError, match="ASID .* has no position: leave it out"):
        Candidates(table).to_regions()


@pytest.mark.parametrize("limits", [(100, 1), (0, 1), (1, 1)])
def test_energies_that_do_not_rise(limits):
    table = full_candidates().table.copy()
    table["e_min"][1], table["e_max"][1] = limits * u.GeV
    with pytest.raises(ValueError, match="The table has 1 rows whose e_min is not above 0 and below e_max"):
        Candidates(table)


def test_other_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="the name must end in .fits"):
        full_candidates().write(tmp_path / "list.txt")
    with pytest.raises(ValueError, match="its name must end in .fits"):
        write_catalog(full_candidates(), tmp_path / "list.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("device", ["gpu", "cuda:77", "CPU", 5])
def test_devices_that_are_not_there(device, toy_model):
    with pytest.raises(ValueError, match="There is no device .* here, but cpu"):
        DLSourceDetector(toy_model, device=device)


def test_every_column_has_a_value():
    candidates = Candidates.from_table(Table({"ra": [1.0], "dec": [1.0]}))
    assert candidates.table.colnames == [column.name for column in COLUMNS]
    assert candidates.to_models()[0].spatial_model.lon_0.value == 1


@pytest.mark.parametrize("suffix", ["fits", "ecsv", "csv"])
@pytest.mark.parametrize("names", [["0001", "2", "1e5"], ["#1", "a,b", 'the "x"'], ["True", "nan", "#k"]])
def test_names_that_look_like_numbers_or_comments(suffix, names, tmp_path):
    candidates = Candidates.from_table(Table({"name": names, "ra": [1.0, 2.0, 3.0], "dec": [1.0, 2.0, 3.0]}))
    candidates.write(tmp_path / f"list.{suffix}")
    assert Candidates.read(tmp_path / f"list.{suffix}").names == names


def test_told_columns_win():
    table = Table({"ra": [10.0], "dec": [30.0], "Source_Name": ["a"], "other": ["b"], "Flux1000": [1e-9]})
    own = {"ra": "dec", "dec": "ra", "name": "other", "flux": "Flux1000"}
    row = Candidates.from_table(table, columns=own).table[0]
    assert (row["ra"].value, row["dec"].value, row["name"]) == (30, 10, "b")
    assert (row["flux"].value, row["e_min"].value, row["e_max"].value) == (1e-9, 1, 100)
    galactic = SkyCoord(20, 5, unit="deg", frame="galactic")
    table = Table({"ra": [10.0], "dec": [30.0], "lon": [20.0], "lat": [5.0], "r95": [0.1], "mine": [0.2]})
    own = {"glon": "lon", "glat": "lat", "pos_err_95": "mine"}
    candidates = Candidates.from_table(table, columns=own)
    assert candidates.positions.separation(galactic)[0].arcsec < 1e-6
    assert_allclose(candidates.table["pos_err_95"].value, 0.2)
    assert table.colnames == ["ra", "dec", "lon", "lat", "r95", "mine"]


def test_flux_of_4fgl_in_any_case():
    row = Candidates.from_table(Table({"ra": [1.0], "dec": [1.0], "FLUX1000": [1e-9]})).table[0]
    assert (row["flux"].value, row["e_min"].value, row["e_max"].value) == (1e-9, 1, 100)


def test_signs_of_errors():
    values = {"flux": 1e-9, "Unc_Flux_Low": -2e-10, "Unc_Flux_High": 4e-10, "e_min": 1.0, "e_max": 100.0}
    row = Candidates.from_table(Table([{"ra": 1.0, "dec": 1.0} | values])).table[0]
    assert_allclose([row[f"flux_{name}"].value for name in ("errn", "errp", "err")], [2e-10, 4e-10, 3e-10])
    unknown = {"flux": 1e-9, "flux_err": -1.0, "e_min": 1.0, "e_max": 100.0}
    row = Candidates.from_table(Table([{"ra": 1.0, "dec": 1.0} | unknown])).table[0]
    assert all(np.isnan(row[f"flux_{name}"].value) for name in ("errn", "errp", "err"))


@pytest.mark.parametrize(
    "value", [5 * u.GeV, [100, 1] * u.GeV, [1, 100] * u.deg, [1, 2, 3] * u.GeV, [0, 1], "x"]
)
def test_ranges_that_are_none(value):
    table = Table({"ra": [1.0], "dec": [1.0], "flux": [1e-9]})
    with pytest.raises(ValueError, match="energy_range must be two energies above 0 that rise, got"):
        Candidates.from_table(table, energy_range=value)


def test_missing_and_scaled_numbers():
    table = Table({"ra": [1.0, 2.0], "dec": [1.0, 2.0], "score": [90.0, 50.0] * u.percent})
    assert_allclose(Candidates.from_table(table).table["score"], [0.9, 0.5])
    score = np.ma.array([0.9, 0.8], mask=[False, True])
    axes = np.full((2, 2), 0.1) * u.deg
    found = Candidates.from_positions(SkyCoord([1, 2], [1, 2], unit="deg"), score, axes, axes)
    assert_allclose(found.table["score"], [0.9, np.nan])


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"positions": SkyCoord(1, 2, unit="deg")}, r"positions must have the shape \(n,\), got \(\)"),
        ({"axes_95": [[0.1, 0.2]] * 2 * u.deg}, "axes_95 must hold the larger semi-axis first"),
        ({"flags": [1]}, "There are 1 values of flags for 2 positions"),
        ({"pos_angle": [1, 2, 3] * u.deg}, "There are 3 values of pos_angle for 2 positions"),
        ({"maps": {"candidates": Map.create(npix=2)}}, "A map can't be called 'candidates'"),
        ({"maps": {"x_bands": Map.create(npix=2)}}, "A map can't be called 'x_bands'"),
    ],
)
def test_positions_that_are_refused(changed, message):
    axes = np.full((2, 2), 0.1) * u.deg
    given = {
        "positions": SkyCoord([1, 2], [3, 4], unit="deg"),
        "score": [1, 1],
        "axes_68": axes,
        "axes_95": axes,
    }
    with pytest.raises(ValueError, match=message):
        Candidates.from_positions(**given | changed)


@pytest.mark.parametrize("value", [3 * u.deg, Path("x")])
def test_provenance_that_no_file_holds(value):
    with pytest.raises(TypeError, match=f"meta holds a {type(value).__name__}: give texts"):
        Candidates(full_candidates().table, meta={"a": value})
