# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the commands fit and catalog."""

import numpy as np
import pytest
from astropy.table import Table
from click.testing import CliRunner
from numpy.testing import assert_array_equal

from gammapy_asid import Candidates, DLSourceDetector, IterativeSearch
from gammapy_asid.catalog.source_catalog import SourceCatalogASID
from gammapy_asid.cli import main


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def folder(gev_sky, tmp_path_factory):
    """A dataset with two sources, its candidates and a catalogue that knows one of them."""
    folder = tmp_path_factory.mktemp("fits")
    field = gev_sky.dataset(gev_sky.sources(2))
    field.write(folder / "field.fits.gz")
    gev_sky.candidates(gev_sky.positions[:2], gev_sky.flux[:2]).write(folder / "candidates.fits")
    icrs = gev_sky.positions[:1].icrs
    known = Table({"name": ["Known 1"], "ra": icrs.ra, "dec": icrs.dec})
    known.write(folder / "known.fits")
    return folder


def found_by(monkeypatch, folder):
    """Let the detector find the candidates of the file, once."""
    listed = Candidates.read(folder / "candidates.fits")
    meta = {"model": "toy", "threshold": 0.5, "expected_purity": 0.5, "expected_completeness": 0.5}
    lists = iter([Candidates(listed.table, meta=meta)])

    def find(self, datasets):
        return next(lists, Candidates(listed.table[:0], meta=meta))

    monkeypatch.setattr(DLSourceDetector, "run", find)


def test_fit_of_a_list(folder, tmp_path):
    args = ("fit", folder / "field.fits.gz", "--candidates", folder / "candidates.fits", "--width", 3)
    args = (*args, "-o", tmp_path / "fitted.fits", "--plot", tmp_path / "ts.png")
    result = run(*args)
    assert result.exit_code == 0, result.output
    assert "2 of 2 fitted candidates with a TS of 25 and more" in result.output
    fitted = Candidates.read(tmp_path / "fitted.fits")
    assert np.all(fitted.table["ts"] > 25)
    assert (tmp_path / "ts.png").stat().st_size > 5000
    again = run(*args)
    assert again.exit_code == 2 and "--overwrite" in again.output


def test_search_in_rounds(folder, toy_model, tmp_path, monkeypatch):
    found_by(monkeypatch, folder)
    result = run("fit", folder / "field.fits.gz", "--model", toy_model, "-o", tmp_path / "fitted.fits")
    assert result.exit_code == 0, result.output
    assert "round 1: 2 new, 2 significant" in result.output
    assert Candidates.read(tmp_path / "fitted.fits").meta["search"]["rounds"] == [
        {"new": 2, "significant": 2}
    ]


def test_what_is_found_again_is_left_out(folder, toy_model, monkeypatch):
    from gammapy.datasets import MapDataset

    listed = Candidates.read(folder / "candidates.fits")
    monkeypatch.setattr(DLSourceDetector, "run", lambda self, datasets: listed)
    search = IterativeSearch(DLSourceDetector(toy_model), max_rounds=3)
    dataset = MapDataset.read(folder / "field.fits.gz")
    found = search.run(dataset)
    assert len(found) == 2
    assert found.meta["search"]["rounds"] == [{"new": 2, "significant": 2}]
    assert dataset.models is None
    assert "ts_threshold" in str(search)


def test_catalog(folder, toy_model, tmp_path):
    args = (
        "catalog",
        folder / "field.fits.gz",
        "--model",
        toy_model,
        "--threshold",
        0.001,
        "--fit-above",
        0.99,
    )
    args = (*args, "--associate", f"Known={folder / 'known.fits'}", "--folder", tmp_path / "work")
    result = run(*args, "-o", tmp_path / "catalog.fits")
    assert result.exit_code == 0, result.output
    table = SourceCatalogASID(tmp_path / "catalog.fits").table
    assert {"TS", "ASSOC1", "Score"} <= set(table.colnames)
    assert "associated with Known" in result.output
    # A second run finds its tiles done
    result = run(*args, "-o", tmp_path / "again.fits")
    assert result.exit_code == 0, result.output
    again = SourceCatalogASID(tmp_path / "again.fits").table
    assert_array_equal(again["Score"], table["Score"])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "Give FILES"),
        (("--counts", "candidates.fits"), "--exposure, --psf"),
        (("field.fits.gz", "--counts", "candidates.fits"), "not both"),
        (("field.fits.gz", "--associate", "known.fits"), "NAME=FILE"),
    ],
)
def test_bad_input(folder, args, message, monkeypatch):
    monkeypatch.chdir(folder)
    result = run("catalog", *args)
    assert result.exit_code == 2
    assert message in result.output
