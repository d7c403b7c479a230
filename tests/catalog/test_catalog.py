# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the catalogue file and of the Gammapy catalogue that reads it."""

import os
import re
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable, Table
from gammapy.catalog import CATALOG_REGISTRY

from gammapy_asid.catalog.candidates import Candidates
from gammapy_asid.catalog.catalog_table import catalog_table, write_catalog
from gammapy_asid.catalog.columns import (
    ASSOCIATION_COLUMNS,
    BAND_COLUMNS,
    FIT_COLUMNS,
    FLUX_COLUMNS,
    CandidateFlag,
)
from gammapy_asid.catalog.source_catalog import SourceCatalogASID
from gammapy_asid.catalog.source_models import START_SPECTRUM
from gammapy_asid.utils.sky_geometry import RADIUS_68

UNIT = u.Unit("cm-2 s-1")
BANDS = [(0.3, 0.5), (0.5, 1.0), (1.0, 2.0), None, (7.0, 20.0), (20.0, 100.0)]
#: Name, spectrum, index, curvature, and width of an extended source.
SOURCES = [
    ("pl", 2.3, np.nan, 0.0),
    ("lp", 1.9, 0.12, 0.0),
    ("pl", 1.0, np.nan, 0.3),
    ("", np.nan, np.nan, 0.0),
]


def column(spec, values):
    return values if spec.unit is None else u.Quantity(values, spec.unit)


@pytest.fixture(scope="module")
def candidates():
    """Four candidates with all columns; the last one has no fit and no counterpart."""
    positions = SkyCoord([83.633, 266.4168, 0.004, 310.02], [22.0145, -29.0078, -0.5, 41.3], unit="deg")
    axes = np.array([[0.02, 0.01]] * 4) * u.deg
    flags = [0, CandidateFlag.STRONG_DIFFUSE, CandidateFlag.NEAR_EDGE | CandidateFlag.NEAR_BRIGHTER]
    candidates = Candidates.from_positions(
        positions,
        [0.99, 0.9, 0.8, 0.6],
        axes,
        1.63 * axes,
        [10, 20, 30, 40] * u.deg,
        meta={"model": "lat", "threshold": 0.5, "flux": {"bands": BANDS}},
    )
    n = 4
    flux = np.array([4.0, 3.0, 2.0, 1.0]) * 1e-9
    own = dict.fromkeys(FLUX_COLUMNS[2:], flux * UNIT)
    own |= {"e_min": np.full(n, 1) * u.GeV, "e_max": np.full(n, 100) * u.GeV}
    band = np.tile(np.where([b is None for b in BANDS], np.nan, 1e-10), (n, 1)) * np.arange(1, 5)[:, None]
    # In the first band the error is nearly as large as the flux
    share = {"flux_band": 1.0, "flux_band_errn": 0.4, "flux_band_errp": 0.5, "flux_band_ul": 2.0}
    own |= {spec.name: column(spec, share[spec.name] * band) for spec in BAND_COLUMNS}
    own["flux_band_errn"][:, 0] *= 2
    fit = {spec.name: np.full(n, np.nan) for spec in FIT_COLUMNS}
    kind, index, beta, sigma = (list(values) for values in zip(*SOURCES, strict=True))
    fit |= {"fit_spectrum": np.array(kind, "U12"), "fit_index": index, "fit_beta": beta, "fit_sigma": sigma}
    fit |= {"ts": [100.0, 50.0, 30.0, np.nan], "ts_ext": [1.0, 0.0, 40.0, np.nan]}
    fit |= {"fit_flux": [5e-9, 4e-9, 3e-9, np.nan], "fit_flux_err": [1e-9, 1e-9, 1e-9, np.nan]}
    fit |= {"fit_e_min": [1.0] * n, "fit_e_max": [300.0] * n, "fit_e_ref": [2.0, 3.0, 5.0, np.nan]}
    fit |= {"fit_index_err": [0.1] * n, "fit_beta_err": [0.02] * n, "fit_sigma_err": [0.05] * n}
    own |= {spec.name: column(spec, fit[spec.name]) for spec in FIT_COLUMNS}
    links = [
        ["4FGL"] * 3 + [""],
        ["Crab", "Sgr A*", "x", ""],
        [0.01, 0.02, 0.03, np.nan],
        [0.99] * 3 + [np.nan],
    ]
    own |= {spec.name: column(spec, v) for spec, v in zip(ASSOCIATION_COLUMNS, links, strict=True)}
    return candidates.with_columns(QTable(own), [*flags, CandidateFlag.FIT_FAILED])


@pytest.fixture(scope="module")
def path(candidates, tmp_path_factory):
    path = tmp_path_factory.mktemp("catalog") / "asid.fits"
    write_catalog(candidates, path)
    return path


def test_columns_and_units(candidates, path):
    table = Table.read(path, hdu="CATALOG")
    own = candidates.table
    assert table["Source_Name"].tolist() == own["name"].tolist()
    for name, source in (("RAJ2000", "ra"), ("GLON", "glon"), ("Conf_95_SemiMajor", "semi_major_95")):
        np.testing.assert_array_equal(table[name], own[source].value)
        assert table[name].unit == "deg"
    # A flux from 1 to 100 GeV has the name of 4FGL
    np.testing.assert_array_equal(table["Flux1000"], own["flux"].value)
    np.testing.assert_allclose(table["Pivot_Energy"][:3], [2000, 3000, 5000])
    assert table["Pivot_Energy"].unit == "MeV"
    assert [kind.strip() for kind in table["SpectrumType"].filled("")] == [
        "PowerLaw",
        "LogParabola",
        "PowerLaw",
        "",
    ]
    assert table["ASSOC1"].tolist()[:3] == ["Crab", "Sgr A*", "x"]
    assert table["Flags"].tolist() == [0, 32, 3, 16]
    assert table["TS"].tolist()[:3] == [100, 50, 30]
    assert fits.getheader(path)["CREATOR"].startswith("gammapy-asid")


@pytest.mark.skipif("GAMMAPY_ASID_DATA" not in os.environ, reason="needs 4FGL")
def test_names_are_those_of_4fgl_where_both_have_them(path):
    """Columns that 4FGL has under the same name have the same kind of unit."""
    known = Table.read(Path(os.environ["GAMMAPY_ASID_DATA"]) / "catalogs/4FGL_DR4_v35_slim.fits.gz")
    own = Table.read(path, hdu="CATALOG")
    shared = set(own.colnames) & set(known.colnames)
    assert {"RAJ2000", "Conf_95_SemiMajor", "Flux1000", "Pivot_Energy"} <= shared
    for name in shared:
        if known[name].unit is not None:
            unit = u.Unit(str(known[name].unit).replace("ph ", "1 "))
            assert u.Unit(own[name].unit).is_equivalent(unit)


def test_other_ranges_of_energy_have_another_name(candidates):
    wide = candidates.with_columns(QTable({"e_max": np.full(4, 500) * u.GeV}))
    table = catalog_table(wide)
    assert "Flux1000" not in table.colnames
    np.testing.assert_array_equal(table["Flux"], wide.table["flux"])
    assert np.all(table["E_Max"] == 500 * u.GeV)
    source = wide.to_catalog()[3]
    assert source.spectral_model().integral(1 * u.GeV, 500 * u.GeV).to_value(UNIT) == pytest.approx(1e-9)


def test_iau_names(candidates):
    names = candidates.table["name"]
    assert names.tolist()[:2] == ["ASID J0534.5+2200", "ASID J1745.6-2900"]
    assert names[2] == "ASID J0000.0-0030"
    assert all(re.fullmatch(r"ASID J\d{4}\.\d[+-]\d{4}[a-z]?", name) for name in names)


def test_read_back(candidates, path):
    catalog = SourceCatalogASID(path)
    assert len(catalog.table) == 4
    assert catalog.positions.separation(candidates.positions).arcsec.max() < 1e-6
    other = candidates.to_catalog()
    for name in other.table.colnames:
        np.testing.assert_array_equal(catalog.table[name], other.table[name])
    assert CATALOG_REGISTRY.get_cls("asid") is SourceCatalogASID
    source = catalog["ASID J1745.6-2900"]
    assert source.row_index == 1
    assert source.data["Flags"] == CandidateFlag.STRONG_DIFFUSE
    # What Candidates.write made is read as well
    candidates.write(path.with_name("candidates.fits"), overwrite=True)
    assert SourceCatalogASID(path.with_name("candidates.fits")).table.colnames == catalog.table.colnames


@pytest.mark.parametrize("row", range(4))
def test_spectra(path, row):
    """Flux, shape and errors of the model are those of the fit, or of the estimate without one."""
    source = SourceCatalogASID(path)[row]
    model = source.spectral_model()
    kind, index, beta, _ = SOURCES[row]
    if not kind:
        assert not source.is_fitted
        assert model.index.value == START_SPECTRUM.index.value
        assert model.integral(1 * u.GeV, 100 * u.GeV).to_value(UNIT) == pytest.approx(1e-9)
        return
    energy = np.geomspace(1, 300, 20001)
    law = model(energy * u.GeV).to_value("cm-2 s-1 GeV-1")
    assert np.trapezoid(law, energy) == pytest.approx([5e-9, 4e-9, 3e-9][row], rel=1e-5)
    pivot = [2.0, 3.0, 5.0][row]
    slope = np.gradient(np.log(law), np.log(energy))
    curved = index + 2 * (beta if kind == "lp" else 0) * np.log(energy / pivot)
    np.testing.assert_allclose(-slope[1:-1], curved[1:-1], atol=1e-4)
    assert model.reference.quantity == pivot * u.GeV
    assert model.amplitude.error / model.amplitude.value == pytest.approx(1e-9 / [5e-9, 4e-9, 3e-9][row])
    assert (model.alpha if kind == "lp" else model.index).error == 0.1


def test_places(path):
    catalog = SourceCatalogASID(path)
    point, extended = catalog[0].sky_model(), catalog[2].sky_model()
    assert point.name == "ASID J0534.5+2200"
    assert point.spatial_model.tag[0] == "PointSpatialModel"
    sigma = np.sqrt(0.02 * 0.01) / RADIUS_68
    assert point.spatial_model.lat_0.error == pytest.approx(sigma)
    assert point.spatial_model.lon_0.error == pytest.approx(sigma / np.cos(np.radians(22.0145)))
    assert extended.spatial_model.sigma.quantity == 0.3 * u.deg
    assert extended.spatial_model.sigma.error == 0.05
    assert catalog.to_models().names == catalog.table["Source_Name"].tolist()


def test_flux_points(path):
    points = SourceCatalogASID(path)[1].flux_points
    table = points.to_table(sed_type="flux")
    # The band without data has no value: Gammapy would stretch the one before it to the next
    np.testing.assert_allclose(table["e_min"], [0.3, 0.5, 1.0, 2.0, 7.0, 20.0])
    known = np.arange(6) != 3
    np.testing.assert_allclose(table["flux"].quantity.to_value(UNIT), np.where(known, 2e-10, np.nan))
    np.testing.assert_allclose(table["flux_ul"].quantity.to_value(UNIT), np.where(known, 4e-10, np.nan))
    assert table["is_ul"][known].tolist() == [True, False, False, False, False]


def test_without_fluxes(candidates):
    plain = Candidates.from_positions(
        candidates.positions, candidates.table["score"], *([[[0.1, 0.1]] * 4 * u.deg] * 2)
    )
    source = plain.to_catalog()[0]
    assert source.spectral_model().amplitude.value == START_SPECTRUM.amplitude.value
    with pytest.raises(ValueError, match="No fluxes were estimated for ASID J0534.5"):
        _ = source.flux_points


def test_never_overwritten_by_itself(candidates, tmp_path):
    write_catalog(candidates, tmp_path / "c.fits")
    before = (tmp_path / "c.fits").read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write_catalog(candidates[:1], tmp_path / "c.fits")
    assert (tmp_path / "c.fits").read_bytes() == before
    write_catalog(candidates[:1], tmp_path / "c.fits", overwrite=True)
    assert len(SourceCatalogASID(tmp_path / "c.fits").table) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["c.fits"]


def test_empty_catalogue(candidates, tmp_path):
    write_catalog(candidates[:0], tmp_path / "c.fits")
    catalog = SourceCatalogASID(tmp_path / "c.fits")
    assert len(catalog.table) == 0
    assert len(catalog.to_models()) == 0


def test_bad_files(tmp_path):
    (tmp_path / "text.fits").write_text("text")
    Table({"a": [1]}).write(tmp_path / "table.fits")
    with pytest.raises(FileNotFoundError, match="No such file"):
        SourceCatalogASID(tmp_path / "nothing.fits")
    with pytest.raises(ValueError, match="no table that can be read"):
        SourceCatalogASID(tmp_path / "text.fits")
    with pytest.raises(ValueError, match="no columns ra and dec"):
        SourceCatalogASID(tmp_path / "table.fits")
