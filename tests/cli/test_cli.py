# Licensed under a 3-clause BSD style license - see LICENSE
import os
import re
import shutil
from functools import partial

import numpy as np
import pytest
from astropy.table import QTable, Table
from click.testing import CliRunner
from gammapy.datasets import MapDataset
from gammapy.modeling.models import Models
from regions import Regions

from gammapy_asid.catalog.candidates import Candidates
from gammapy_asid.catalog.columns import CandidateFlag
from gammapy_asid.cli import main
from gammapy_asid.cli.inputs import read_datasets
from gammapy_asid.simulation.demo import demo_field, simulated_field


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def simulation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "simulation"
    result = run("simulate", "-o", folder, "--width", 6.4, 4.8, "--seed", 3)
    assert result.exit_code == 0, result.output
    return folder


def test_simulate(simulation):
    dataset = MapDataset.read(simulation / "dataset.fits.gz")
    assert dataset.counts.geom.data_shape[1:] == (48, 64)
    assert dataset.counts.data.sum() > 1000
    assert len(Table.read(simulation / "catalog.fits")) > 1
    result = run("simulate", "-o", simulation)
    assert result.exit_code == 2
    assert "--overwrite" in result.output


def test_simulate_time_bins(tmp_path):
    result = run("simulate", "-o", tmp_path / "years", "--width", 3.2, 3.2, "--time-bins", 3, "--livetime", 6)
    assert result.exit_code == 0, result.output
    datasets = read_datasets([tmp_path / "years" / "datasets.yaml"])
    assert [dataset.name for dataset in datasets] == ["simulated-00", "simulated-01", "simulated-02"]
    assert [round(dataset.gti.time_sum.to_value("yr"), 6) for dataset in datasets] == [2, 2, 2]
    curves = QTable.read(tmp_path / "years" / "light_curves.fits")
    assert len(curves) == len(Table.read(tmp_path / "years" / "catalog.fits"))
    assert curves["relative_flux"].shape[1] == curves.meta["NBINS"] == 3
    again = run("simulate", "-o", tmp_path / "years", "--time-bins", 3)
    assert again.exit_code == 2
    assert "--overwrite" in again.output


def test_detect_writes_all_products(simulation, toy_model, tmp_path):
    result = run(
        "detect",
        simulation / "dataset.fits.gz",
        "--model",
        toy_model,
        "--threshold",
        0.01,
        "-o",
        tmp_path / "out",
    )
    assert result.exit_code == 0, result.output
    candidates = Candidates.read(tmp_path / "out" / "candidates.fits")
    assert candidates.meta["model"] == "toy"
    assert candidates.meta["datasets"] == ["dataset"]
    assert len(Regions.read(tmp_path / "out" / "candidates.reg", format="ds9")) == len(candidates)
    assert len(Models.read(tmp_path / "out" / "candidates.yaml")) == len(candidates)
    assert (tmp_path / "out" / "candidates.png").stat().st_size > 10_000
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_detect_writes_only_what_is_asked(simulation, toy_model, tmp_path):
    args = ("detect", simulation / "dataset.fits.gz", "--model", toy_model, "-o", tmp_path / "a.fits")
    assert run(*args, "--regions", tmp_path / "a.reg").exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.fits", "a.reg"]
    assert run(*args).exit_code == 2
    assert run(*args, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--model", "nothing"), "Unknown model 'nothing'"),
        (("--threshold", "2"), "give a number from 0 up to 1"),
    ],
)
def test_errors_are_one_line(simulation, tmp_path, args, message):
    result = run("detect", simulation / "dataset.fits.gz", "-o", tmp_path / "a.fits", *args)
    assert result.exit_code == 2
    assert result.output.startswith("Error: ")
    assert message in result.output
    assert result.output.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("table.fits", "table.fits holds no Gammapy dataset (no HDU COUNTS)"),
        pytest.param(
            "other.yaml",
            "other.yaml holds no Gammapy dataset",
            marks=pytest.mark.filterwarnings("ignore:Checksum verification failed"),
        ),
        ("text.fits", "Error: "),
    ],
)
def test_detect_no_dataset(tmp_path, toy_model, name, message):
    Table({"a": [1]}).write(tmp_path / "table.fits")
    (tmp_path / "other.yaml").write_text("a: 1\n")
    (tmp_path / "text.fits").write_text("text")
    result = run("detect", tmp_path / name, "--model", toy_model, "-o", tmp_path / "a.fits")
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1


def test_demo_without_data(monkeypatch, toy_model, tmp_path):
    monkeypatch.delenv("GAMMAPY_DATA", raising=False)
    result = run("demo", "--model", toy_model, "-o", tmp_path / "demo")
    assert result.exit_code == 0, result.output
    assert "Simulated Fermi-LAT field" in result.output
    assert sorted(p.suffix for p in (tmp_path / "demo").iterdir()) == [".fits", ".png", ".reg", ".yaml"]


def test_demo_again(monkeypatch, toy_model, tmp_path):
    """Its own results are replaced, those of others never; a variable that leads nowhere is said."""
    monkeypatch.setenv("GAMMAPY_DATA", str(tmp_path / "nowhere"))
    small = partial(simulated_field, width=(6.4, 4.8))
    monkeypatch.setattr("gammapy_asid.simulation.demo.simulated_field", small)
    for _ in range(2):
        result = run("demo", "--model", toy_model, "-o", tmp_path / "demo")
        assert result.exit_code == 0, result.output
        assert f"GAMMAPY_DATA is {tmp_path / 'nowhere'}, where fermi-3fhl-gc" in result.output
    candidates = Candidates.read(tmp_path / "demo" / "candidates.fits")
    del candidates.meta["demo"]
    candidates.write(tmp_path / "demo" / "candidates.fits", overwrite=True)
    result = run("demo", "--model", toy_model, "-o", tmp_path / "demo")
    assert result.exit_code == 2 and "--overwrite" in result.output


@pytest.mark.parametrize("suffix", [".ecsv", ".csv", ".reg", ".yaml"])
def test_the_suffix_decides_the_format(simulation, tmp_path, suffix):
    path = tmp_path / f"list{suffix}"
    result = run("detect", simulation / "dataset.fits.gz", "-o", path)
    assert result.exit_code == 0, result.output
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    if suffix == ".reg":
        assert len(Regions.read(path, format="ds9")) > 0
    elif suffix == ".yaml":
        assert Models.read(path)[0].parameters["lon_0"].error > 0
    else:
        table = Candidates.read(path).table
        assert table["flux"].unit == "cm-2 s-1" and (table["flux"] > table["flux_err"]).all()


def test_models(monkeypatch, toy_model):
    result = run("models")
    assert result.exit_code == 0, result.output
    assert "own folder" not in result.output.lower()
    files = result.output[result.output.index("SHA-256") :]
    assert re.search(r"lat +detection +\S+ +package +[0-9a-f]{8}", files)
    assert max(len(line) for line in result.output.splitlines()) <= 80

    monkeypatch.setenv("GAMMAPY_ASID_MODELS", str(toy_model.parent))
    result = run("models")
    assert re.search(r"toy +position +1 +own folder +[0-9a-f]{8}", result.output)
    assert str(toy_model.parent) in result.output and "Not usable" not in result.output


def test_models_that_are_not_usable(monkeypatch, toy_model, tmp_path):
    for path in (toy_model, toy_model.with_suffix(".json")):
        shutil.copy(path, tmp_path)
        shutil.copy(path, tmp_path / f"lat{path.suffix}")
    (tmp_path / "toy.safetensors").write_bytes(b"cut")
    monkeypatch.setenv("GAMMAPY_ASID_MODELS", str(tmp_path))
    lines = [line for line in run("models").output.splitlines() if "Not usable" in line]
    assert ["Two models are called 'lat'" in line for line in lines] == [True, False]
    assert "toy.safetensors differs from its card (SHA-256 disagrees)" in lines[1]


def test_train_needs_a_recipe(tmp_path):
    assert "give a recipe or --dataset" in run("train").output
    result = run("train", "nothing", "-o", tmp_path)
    assert result.exit_code == 2
    assert "No recipe 'nothing'" in result.output


@pytest.mark.skipif("GAMMAPY_DATA" not in os.environ, reason="needs GAMMAPY_DATA")
def test_demo_field_is_real_where_there_is_data():
    field = demo_field()
    assert "Galactic centre" in field.title
    # Valid counts of the file; of the 22 3FHL sources in its 20 x 10 deg two lie in the masked border
    assert field.dataset.counts.data[field.dataset.mask.data].sum() == 27727
    assert len(field.known) == 20


def test_flux_of_all_kinds_of_lists(simulation, toy_model, tmp_path):
    dataset = simulation / "dataset.fits.gz"
    field = MapDataset.read(dataset).counts.geom.to_image()
    lon, lat = (float(getattr(field.center_skydir.galactic, axis).deg) for axis in ("l", "b"))
    Table({"GLON": [lon, lon], "GLAT": [lat, lat + 40]}).write(tmp_path / "list.csv")
    args = ("flux", dataset, "--model", toy_model, "--e-min", 1, "--e-max", 100)
    result = run(*args, "--sources", tmp_path / "list.csv", "-o", tmp_path / "fluxes.fits")
    assert result.exit_code == 0, result.output
    assert "1-100 GeV" in result.output
    fluxes = Table.read(tmp_path / "fluxes.fits")
    # What is measured where there is no source is fainter than the diffuse emission
    assert fluxes["flags"].tolist() == [CandidateFlag.STRONG_DIFFUSE, CandidateFlag.OUTSIDE]
    assert fluxes["flux_ul"][0] > fluxes["flux"][0] >= 0
    # Candidates of a detection keep their names.
    run("detect", dataset, "--threshold", 0.3, "-o", tmp_path / "found.fits")
    found = Candidates.read(tmp_path / "found.fits")
    assert len(found) and np.all(found.table["flux"] > 0)
    result = run(*args, "--sources", tmp_path / "found.fits", "-o", tmp_path / "again.fits")
    assert result.exit_code == 0, result.output
    assert list(Table.read(tmp_path / "again.fits")["name"]) == list(found.table["name"])
    found.to_models().write(tmp_path / "models.yaml")
    result = run(*args, "--sources", tmp_path / "models.yaml", "-o", tmp_path / "models.fits")
    assert result.exit_code == 0, result.output
    assert len(Table.read(tmp_path / "models.fits")) == len(found)


@pytest.mark.parametrize(
    ("columns", "extra", "message"),
    [
        ({"x": [1.0]}, (), "no columns ra and dec, or glon and glat"),
        ({"RAJ2000": [1.0], "DEJ2000": [2.0]}, ("--e-max", 2000), "the data hold"),
    ],
)
def test_flux_bad_input(simulation, toy_model, tmp_path, columns, extra, message):
    Table(columns).write(tmp_path / "list.csv")
    args = ("flux", simulation / "dataset.fits.gz", "--model", toy_model, "--sources", tmp_path / "list.csv")
    result = run(*args, *extra, "-o", tmp_path / "out.fits")
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "out.fits").exists()
