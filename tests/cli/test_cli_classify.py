# Licensed under a 3-clause BSD style license - see LICENSE
"""Commands that classify sources, with a model that stands for a network."""

import numpy as np
import pytest
from astropy.table import QTable, Table
from click.testing import CliRunner
from gammapy.modeling.models import Models

from gammapy_asid import Candidates
from gammapy_asid.catalog import CLASS_COLUMNS, CLASSES
from gammapy_asid.cli import main

NAMES = {column.name for column in CLASS_COLUMNS}


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def simulation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulation")
    result = run("simulate", "-o", folder, "--width", 6.4, 4.8, "--seed", 3, "--time-bins", 2)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def datasets(simulation):
    return simulation / "datasets.yaml"


@pytest.fixture
def found(simulation, datasets, tmp_path, fake_classes):
    path = tmp_path / "found.fits"
    result = run("detect", datasets, "--model", "lat", "-o", path)
    assert result.exit_code == 0, result.output
    return path


def test_classify_candidates(found, datasets, tmp_path):
    before = Candidates.read(found)
    assert len(before) > 1
    path, models = tmp_path / "classified.fits", tmp_path / "models.yaml"
    result = run("classify", datasets, "--sources", found, "-o", path, "--output-models", models)
    assert result.exit_code == 0, result.output
    assert "from data with 2 bins of time" in result.output and "4FGL-DR4" in result.output
    candidates = Candidates.read(path)
    assert candidates.table["name"].tolist() == before.table["name"].tolist()
    assert set(candidates.table.colnames) == set(before.table.colnames) | NAMES
    assert set(candidates.table["source_class"]) <= set(CLASSES)
    assert candidates.meta["classes"]["time_bins"] == 2
    assert set(candidates.maps) == set(before.maps)
    kinds = {"AGN": "LogParabola", "PSR": "SuperExpCutoffPowerLaw4FGLDR3", "PWN-SNR": "LogParabola"}
    for model, name in zip(Models.read(models), candidates.table["source_class"], strict=True):
        assert model.spectral_model.tag[0] == f"{kinds[name]}SpectralModel"


def test_classify_tables_and_models(found, datasets, tmp_path):
    before = Candidates.read(found)
    before.table[["ra", "dec"]].write(tmp_path / "list.ecsv")
    before.to_models().write(tmp_path / "models.yaml")
    for name in ("list.ecsv", "models.yaml"):
        path = tmp_path / f"{name}.ecsv"
        result = run("classify", datasets, "--sources", tmp_path / name, "-o", path, "--prior", "equal")
        assert result.exit_code == 0, result.output
        table = QTable.read(path)
        assert len(table) == len(before) and set(table.colnames) >= NAMES
        assert "shares of equal" in result.output


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("4fgl", "'4fgl' is no share: give equal, or NAME=NUMBER"),
        ("AGN=0.5,PSR=many", "'PSR=many' is no share: give equal, or NAME=NUMBER"),
        ("AGN=0.5,PSR=0.5", "The prior has no share of PWN-SNR"),
    ],
)
def test_bad_priors(found, datasets, tmp_path, prior, message):
    result = run("classify", datasets, "--sources", found, "-o", tmp_path / "a.fits", "--prior", prior)
    assert result.exit_code == 2
    assert message in result.output and result.output.count("\n") == 1


def test_detect_and_classify(datasets, tmp_path, fake_classes):
    path = tmp_path / "found.fits"
    shares = "AGN=1, PSR=0, PWN-SNR=0, FSRQ=0.2"
    options = ("--model", "lat", "-o", path)
    result = run("detect", datasets, *options, "--classify", "--prior", shares)
    assert result.exit_code == 0, result.output
    assert "AGN" in result.output
    table = Candidates.read(path).table
    assert set(table["source_class"]) == {"AGN"}
    np.testing.assert_allclose(table["prob_fsrq"], 0.2 * np.e / (0.2 * np.e + 0.8))
    result = run("detect", datasets, *options, "--prior", "equal", "--overwrite")
    assert result.exit_code == 2 and "add --classify" in result.output


def test_other_outputs(datasets, tmp_path, fake_classes):
    Table({"ra": [10.0], "dec": [10.0]}).write(tmp_path / "outside.csv")
    path = tmp_path / "outside.ecsv"
    result = run("classify", datasets, "--sources", tmp_path / "outside.csv", "-o", path)
    assert result.exit_code == 0, result.output
    row = QTable.read(path)[0]
    assert np.ma.is_masked(row["source_class"]) or row["source_class"] == ""
    assert np.isnan(row["real_prob"])
