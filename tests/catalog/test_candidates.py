# Licensed under a 3-clause BSD style license - see LICENSE
import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable
from gammapy.catalog import CATALOG_REGISTRY
from gammapy.maps import Map, MapAxis
from gammapy.modeling.models import Models, PowerLawSpectralModel
from regions import Regions

from gammapy_asid.catalog.candidates import Candidates
from gammapy_asid.catalog.columns import COLUMNS, CandidateFlag, fit_columns
from gammapy_asid.catalog.names import iau_names
from gammapy_asid.catalog.source_catalog import SourceCatalogASID


@pytest.fixture
def candidates():
    positions = SkyCoord([266.415, 83.633, 0.0], [-29.006, 22.014, 60.0], unit="deg")
    score = Map.create(npix=(6, 4), binsz=0.1, frame="galactic")
    score.data[:] = np.arange(24).reshape(4, 6) / 24
    axis = MapAxis.from_energy_bounds("10 GeV", "1 TeV", nbin=2)
    counts = Map.create(npix=(6, 4), binsz=0.1, frame="galactic", axes=[axis], dtype=int)
    return Candidates.from_positions(
        positions,
        score=[0.99, 0.7, 0.55],
        axes_68=[[0.01, 0.01], [0.04, 0.01], [0.05, 0.05]] * u.deg,
        axes_95=[[60, 60], [240, 60], [300, 300]] * u.arcsec,
        pos_angle=[0, 30, 0] * u.deg,
        flags=[0, CandidateFlag.NEAR_EDGE, CandidateFlag.NEAR_EDGE | CandidateFlag.NEAR_BRIGHTER],
        maps={"score": score, "counts": counts},
        meta={
            "model": "lat",
            "card_sha256": "0" * 64,
            "threshold": np.float32(0.5),
            "energy_range": (10, 500),
        },
    )


def test_columns(candidates):
    table = candidates.table
    assert table.colnames == [c.name for c in COLUMNS]
    assert [str(table[c.name].unit or "") for c in COLUMNS] == [str(u.Unit(c.unit or "")) for c in COLUMNS]
    assert table["pos_err_95"][0].to_value("deg") == pytest.approx(60 / 3600)
    # Galactic centre direction from the definition of the frame, to the rounding of the input
    assert table["glon"][0].to_value("deg") == pytest.approx(359.946, abs=2e-3)
    assert table["flags"].tolist() == [0, 1, 3]
    assert len(candidates) == 3
    assert candidates.positions.frame.name == "icrs"


@pytest.mark.parametrize(
    ("ra", "dec", "name"),
    [
        (266.415, -29.006, "ASID J1745.6-2900"),
        (83.633, 22.014, "ASID J0534.5+2200"),
        (0.0, -0.01, "ASID J0000.0-0000"),
        (359.9999, 89.9999, "ASID J2359.9+8959"),
        (15.0, 0.5, "ASID J0100.0+0030"),
    ],
)
def test_iau_names(ra, dec, name):
    assert iau_names(SkyCoord([ra], [dec], unit="deg")) == [name]


def test_names_are_unique():
    names = iau_names(SkyCoord([10.001, 10.002, 20], [5.001, 5.002, 5], unit="deg"))
    assert names == ["ASID J0040.0+0500a", "ASID J0040.0+0500b", "ASID J0120.0+0500"]


def test_write_and_read_back_equal(candidates, tmp_path):
    path = tmp_path / "out.fits.gz"
    candidates.write(path)
    back = Candidates.read(path)
    assert back.meta == candidates.meta
    assert back.table.colnames == candidates.table.colnames
    for name in back.table.colnames:
        np.testing.assert_array_equal(back.table[name], candidates.table[name])
        assert back.table[name].dtype == candidates.table[name].dtype
    assert set(back.maps) == {"score", "counts"}
    for name, m in candidates.maps.items():
        assert back.maps[name].geom == m.geom
        assert np.array_equal(back.maps[name].data, m.data)
    header = fits.getheader(path)
    assert header["MODEL"] == "lat"
    assert header["THRESH"] == 0.5
    assert header["CREATOR"].startswith("gammapy-asid")
    assert [p.name for p in tmp_path.iterdir()] == ["out.fits.gz"]


def test_write_never_overwrites_by_itself(candidates, tmp_path):
    path = tmp_path / "out.fits"
    candidates.write(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        candidates.write(path)
    candidates[:1].write(path, overwrite=True)
    assert len(Candidates.read(path)) == 1


def test_empty_has_all_columns(candidates, tmp_path):
    empty = candidates[candidates.table["score"] > 2]
    assert len(empty) == 0
    assert empty.table.colnames == candidates.table.colnames
    empty.write(tmp_path / "empty.fits")
    back = Candidates.read(tmp_path / "empty.fits")
    assert [back.table[c.name].unit for c in COLUMNS] == [empty.table[c.name].unit for c in COLUMNS]
    assert back.table.dtype == candidates.table.dtype
    assert len(back.to_models()) == 0
    assert len(back.to_regions()) == 0
    assert "0 candidates" in str(back) and "no rows" in str(back)


def test_empty_from_positions():
    positions = SkyCoord([], [], unit="deg", frame="galactic")
    none = np.zeros((0, 2)) * u.deg
    empty = Candidates.from_positions(positions, [], none, none)
    assert len(empty) == 0
    assert empty.table["ra"].unit == "deg"


def test_getitem(candidates):
    assert candidates[[True, False, True]].table["score"].tolist() == [0.99, 0.55]
    assert candidates[1]["name"] == "ASID J0534.5+2200"
    assert candidates[:2].meta == candidates.meta
    assert [row["score"] for row in candidates] == [0.99, 0.7, 0.55]


def test_models_carry_the_position_error(candidates, tmp_path):
    models = candidates.to_models()
    model = models["ASID J0000.0+6000"]
    # 68 % of a circular Gaussian lie within sqrt(-2 ln 0.32) standard deviations
    sigma = 0.05 / np.sqrt(-2 * np.log(0.32))
    assert model.spatial_model.lat_0.error == pytest.approx(sigma, rel=5e-3)
    assert model.spatial_model.lon_0.error == pytest.approx(2 * sigma, rel=5e-3)
    assert model.spatial_model.frame == "icrs"
    assert model.spectral_model.index.value == 2
    # Bounds of a fit: twice the 95 % ellipse
    reach = 2 * candidates.table["semi_major_95"][list(models.names).index(model.name)].to_value("deg")
    assert model.spatial_model.lat_0.max == pytest.approx(60 + reach)
    assert model.spatial_model.lon_0.min == pytest.approx(model.spatial_model.lon_0.value - 2 * reach)
    assert (model.spectral_model.index.min, model.spectral_model.index.max) == (0, 6)
    assert model.spectral_model.amplitude.min == 0
    models.write(tmp_path / "models.yaml")
    assert Models.read(tmp_path / "models.yaml").names == list(candidates.table["name"])


def test_reference_energy_lies_in_the_range_of_the_data(candidates):
    measured = Candidates(candidates.table, meta=candidates.meta | {"energy_range": [300.0, 50_000.0]})
    law = measured.to_models()[0].spectral_model
    assert 300 <= law.reference.quantity.to_value("GeV") <= 50_000
    # The same spectrum as without
    without = Candidates(candidates.table, meta={}).to_models()[0].spectral_model
    assert law(1 * u.TeV).value == pytest.approx(without(1 * u.TeV).to_value(law(1 * u.TeV).unit))


def test_error_radius_is_that_of_a_circle_of_equal_area(candidates):
    assert candidates.table["pos_err_68"][1].to_value("deg") == pytest.approx(0.02)
    assert candidates.table["semi_major_68"][1].to_value("deg") == 0.04
    assert candidates.table["pos_angle"][1].to_value("deg") == 30


def test_models_with_another_spectrum(candidates):
    spectrum = PowerLawSpectralModel(index=2.5, amplitude="1e-12 cm-2 s-1 TeV-1", reference="1 TeV")
    models = candidates.to_models(spectrum)
    assert models[0].spectral_model.index.value == 2.5
    assert models[0].spectral_model is not models[1].spectral_model


def test_regions(candidates, tmp_path):
    regions = candidates.to_regions()
    assert regions[1].height.to_value("deg") == pytest.approx(2 * 240 / 3600)
    assert candidates.to_regions(0.68)[1].width.to_value("deg") == pytest.approx(0.02)
    # The larger axis points 30 deg from north to east.
    wcs = candidates.maps["score"].geom.wcs
    pixel = regions[1].to_pixel(wcs)
    along = np.array([-np.sin(pixel.angle), np.cos(pixel.angle)]) * float(pixel.height) / 2
    tip = wcs.pixel_to_world(*(np.array(pixel.center.xy) + along)).icrs
    assert candidates.positions[1].position_angle(tip).deg == pytest.approx(30, abs=1)
    regions.write(tmp_path / "out.reg", format="ds9")
    back = Regions.read(tmp_path / "out.reg", format="ds9")
    assert back[1].center.separation(candidates.positions[1]).arcsec < 1
    assert back[1].meta["text"] == "ASID J0534.5+2200"
    with pytest.raises(ValueError, match="0.68 or 0.95"):
        candidates.to_regions(0.5)


def test_catalog(candidates, tmp_path):
    catalog = candidates.to_catalog()
    assert catalog.positions[1].separation(candidates.positions[1]).deg == 0
    source = catalog["ASID J1745.6-2900"]
    assert source.name == "ASID J1745.6-2900"
    assert source.position.dec.deg == pytest.approx(-29.006)
    assert source.sky_model().name == source.name
    assert CATALOG_REGISTRY.count(SourceCatalogASID) == 1
    candidates.write(tmp_path / "out.fits")
    assert len(CATALOG_REGISTRY.get_cls("asid")(tmp_path / "out.fits").table) == 3


def test_bad_tables(candidates):
    table = candidates.table
    with pytest.raises(ValueError, match="no column flux_ul, flags"):
        Candidates(QTable({name: table[name] for name in table.colnames[:-2]}))
    table["ra"] = np.ones(3) * u.s
    with pytest.raises(ValueError, match="'ra' must be in deg"):
        Candidates(table)


def test_read_other_files(tmp_path):
    fits.PrimaryHDU().writeto(tmp_path / "other.fits")
    (tmp_path / "text.fits").write_text("no fits")
    with pytest.raises(ValueError, match="no table that can be read"):
        Candidates.read(tmp_path / "other.fits")
    with pytest.raises(ValueError, match="no table that can be read"):
        Candidates.read(tmp_path / "text.fits")
    with pytest.raises(FileNotFoundError, match="No such file"):
        Candidates.read(tmp_path / "none.fits")


def test_flags_go_with_the_columns_that_they_are_of(candidates):
    every = np.full(len(candidates), sum(bit.value for bit in CandidateFlag))
    flagged = candidates.with_columns(QTable(), every)
    fits = flagged.with_columns(fit_columns([{"ts": 30.0, "fit_flux": 1e-10}] * len(candidates)))
    assert np.all(every - fits.table["flags"] == CandidateFlag.FIT_FAILED)
    again = flagged.with_columns(QTable({"flux": flagged.table["flux"]}), CandidateFlag.DUPLICATE)
    gone = CandidateFlag.STRONG_DIFFUSE | CandidateFlag.COARSE_BINS
    assert np.all(every - again.table["flags"] == gone)
    # What it was made of stays as it was
    assert np.all(flagged.table["flags"] == every)
    assert np.all(flagged.with_columns(QTable({"score": flagged.table["score"]})).table["flags"] == every)


def test_str(candidates):
    text = str(candidates)
    assert "3 candidates" in text
    assert "J1745.6-2900" in text
    assert "flags" in text.splitlines()[-6]
