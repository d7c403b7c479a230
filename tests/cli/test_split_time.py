# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the command split-time."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.time import Time
from click.testing import CliRunner
from gammapy.data import GTI
from gammapy.maps import WcsGeom
from gammapy.modeling.models import (
    FoVBackgroundModel,
    Models,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
    TemplateNPredModel,
)

from gammapy_asid.cli import main
from gammapy_asid.cli.inputs import read_datasets
from gammapy_asid.inputs import find_time_bins
from gammapy_asid.inputs.datasets import with_models

FIRST = Time(54682.0, format="mjd", scale="tt")


def run(*args):
    return CliRunner().invoke(main, ["split-time", *(str(arg) for arg in args)])


@pytest.fixture(scope="module")
def whole(lat_field):
    dataset = lat_field(WcsGeom.create(npix=(24, 20), binsz=0.1, skydir=(83, 22)))
    return with_models(dataset, None, gti=GTI.create([0, 1] * u.yr, [0.9, 4] * u.yr, FIRST))


@pytest.fixture
def folder(whole, tmp_path, monkeypatch):
    """Folder with a dataset and its events, of which there are none in the gap."""
    monkeypatch.chdir(tmp_path)
    whole.write("lat.fits")
    coords = whole.counts.geom.get_coord(sparse=False)
    index = np.repeat(np.arange(coords["lon"].size), whole.counts.data.astype(int).ravel())
    sky = SkyCoord(coords["lon"].ravel(), coords["lat"].ravel())[index].icrs
    table = Table({"ENERGY": coords["energy"].ravel()[index].to("MeV"), "RA": sky.ra, "DEC": sky.dec})
    years = np.random.default_rng(0).uniform(0, 3.9, len(table))
    table["TIME"] = np.where(years > 0.9, years + 0.1, years) * u.yr.to("s") * u.s
    table.meta = {"MJDREFI": 54682, "MJDREFF": 0.0, "TIMESYS": "TT", "TIMEUNIT": "s", "TIMEREF": "LOCAL"}
    table.meta |= {"TELESCOP": "GLAST", "INSTRUME": "LAT", "HDUCLAS1": "EVENTS"}
    hdu = fits.BinTableHDU(table, name="EVENTS")
    fits.HDUList([fits.PrimaryHDU(), hdu, whole.gti.to_table_hdu()]).writeto("events.fits")
    return tmp_path


def test_bins_are_read_again(folder, whole):
    result = run("lat.fits", "events.fits", "--bins", 4, "-o", "out")
    assert result.exit_code == 0, result.output
    assert "lat-03" in result.output and "wrote out/datasets.yaml" in result.output
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "datasets.yaml",
        *(f"lat-0{i}.fits.gz" for i in range(1, 5)),
    ]
    datasets = read_datasets(["out/datasets.yaml"])
    np.testing.assert_array_equal(sum(part.counts.data for part in datasets), whole.counts.data)
    bins = find_time_bins(datasets)
    np.testing.assert_allclose(bins.years[0], [0, 1, 2, 3], atol=1e-6)
    # a year is 1/3.9 of the good time, the first one 0.9/3.9
    exposure = [part.exposure.data.mean() / whole.exposure.data.mean() for part in datasets]
    np.testing.assert_allclose(exposure, np.array([0.9, 1, 1, 1]) / 3.9, rtol=1e-6)


def test_edges_and_overwriting(folder):
    assert run("lat.fits", "events.fits", "--edges", "2008-08-04,2009-08-04,2011-02-04").exit_code == 0
    names = read_datasets(["time-bins/datasets.yaml"]).names
    assert names == ["lat-01", "lat-02"]
    result = run("lat.fits", "events.fits", "--bins", 3)
    assert result.exit_code == 2 and "datasets.yaml exists" in result.output
    assert run("lat.fits", "events.fits", "--edges", "54682, 55000.5, 55400", "--overwrite").exit_code == 0
    found = find_time_bins(read_datasets(["time-bins/datasets.yaml"]))
    assert found.stop[1].mjd == pytest.approx(55400)
    # files of others are not replaced
    (folder / "other").mkdir()
    (folder / "other" / "lat-02.fits.gz").write_text("mine")
    result = run("lat.fits", "events.fits", "-o", "other")
    assert result.exit_code == 2 and "lat-02.fits.gz exists" in result.output
    assert [path.name for path in (folder / "other").iterdir()] == ["lat-02.fits.gz"]


def test_models_are_kept(folder, whole):
    point = PointSpatialModel.from_position(SkyCoord(83, 22, unit="deg"))
    source = SkyModel(PowerLawSpectralModel(), point, name="known")
    template = TemplateNPredModel(
        whole.background * 0.5, name="counts", datasets_names=["lat"], filename="template.fits"
    )
    norm = FoVBackgroundModel(dataset_name="lat")
    norm.spectral_model.norm.value = 1.5
    models = Models([source, template, norm])
    models.write("known.yaml")
    result = run("lat.fits", "events.fits", "--models", "known.yaml", "--bins", 3, "-o", "out")
    assert result.exit_code == 0, result.output
    datasets = read_datasets(["out/datasets.yaml"])
    predicted = with_models(whole, models).npred().data
    np.testing.assert_allclose(sum(part.npred().data for part in datasets), predicted, rtol=1e-4, atol=1e-6)


def test_runs_are_stacked(folder, whole):
    from gammapy.datasets import Datasets

    datasets = Datasets(
        [
            with_models(
                whole, None, f"run-{i}", gti=GTI.create(i * 0.1 * u.yr, (i * 0.1 + 0.01) * u.yr, FIRST)
            )
            for i in range(6)
        ]
    )
    datasets.write("runs.yaml")
    result = run("runs.yaml", "--bins", 3, "-o", "out")
    assert result.exit_code == 0, result.output
    stacked = read_datasets(["out/datasets.yaml"])
    assert stacked.names == ["time-01", "time-02", "time-03"]
    assert [part.counts.data.sum() for part in stacked] == [2 * whole.counts.data.sum()] * 3
    result = run("runs.yaml", "events.fits")
    assert result.exit_code == 2 and "runs.yaml holds 6 datasets: events are those of one" in result.output


@pytest.mark.parametrize(
    "args, message",
    [
        (["lat.fits"], "lat.fits is one dataset: give its events"),
        (["lat.fits", "lat.fits"], "lat.fits holds no list of events"),
        (["events.fits", "events.fits"], "events.fits holds no Gammapy dataset"),
        (["lat.fits", "missing.fits"], "does not exist"),
        (["lat.fits", "events.fits", "--bins", "1"], "1 is not in the range 2<=x<=20"),
        (["lat.fits", "events.fits", "--bins", "many"], "not a valid integer"),
        (["lat.fits", "events.fits", "--edges", "yesterday,today"], "Edges are dates"),
        (["lat.fits", "events.fits", "--edges", "2009-01-01,2008-01-01,2010-01-01"], "must increase"),
        (
            ["lat.fits", "events.fits", "--edges", "2013-01-01,2014-01-01,2015-01-01"],
            "no good time from 2013",
        ),
        (["lat.fits", "events.fits", "-o", "lat.fits"], "Nothing can be written to lat.fits"),
    ],
)
def test_bad_input_is_one_line(folder, args, message):
    result = run(*args)
    assert result.exit_code == 2
    assert message in result.output and "Traceback" not in result.output
    assert not (folder / "time-bins" / "datasets.yaml").exists()
