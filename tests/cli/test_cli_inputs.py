# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of what the commands read and where they write: datasets, their known sky, lists, paths."""

import os
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from click.testing import CliRunner
from gammapy.datasets import Datasets
from gammapy.modeling.models import (
    FoVBackgroundModel,
    Models,
    PointSpatialModel,
    PowerLawNormSpectralModel,
    PowerLawSpectralModel,
    SkyModel,
)

from gammapy_asid import Candidates
from gammapy_asid.cli import main
from gammapy_asid.cli.candidates import write_products
from gammapy_asid.cli.inputs import read_datasets


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def field(gev_sky):
    """Two sources of which one is known."""
    return gev_sky.dataset(gev_sky.sources(2))


@pytest.fixture
def folder(field, tmp_path, monkeypatch):
    field.write(tmp_path / "field.fits.gz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def known_sky(gev_sky, name="field"):
    norm = PowerLawNormSpectralModel(norm=1.5)
    point = SkyModel(
        PowerLawSpectralModel(), PointSpatialModel.from_position(gev_sky.positions[0].icrs), name="known"
    )
    return Models([point, FoVBackgroundModel(spectral_model=norm, dataset_name=name)])


def test_files_of_one_name_are_told_apart_by_folder(field, tmp_path):
    for place in ("front/a", "back/a"):
        (tmp_path / place).mkdir(parents=True)
        field.write(tmp_path / place / "dataset.fits.gz")
    files = [tmp_path / place / "dataset.fits.gz" for place in ("front/a", "back/a")]
    assert read_datasets(files).names == ["front-a-dataset", "back-a-dataset"]
    assert read_datasets(files[:1]).names == ["dataset"]
    field.write(tmp_path / "front/a/dataset.fits")
    assert len(set(read_datasets([*files, tmp_path / "front/a/dataset.fits"]).names)) == 3
    os.symlink(files[0], tmp_path / "again.fits.gz")
    with pytest.raises(ValueError, match="is given twice"):
        read_datasets([files[0], tmp_path / "again.fits.gz"])


def test_models_of_a_file(gev_sky, folder, capsys):
    known_sky(gev_sky).write("sky.yaml")
    datasets = read_datasets(["field.fits.gz"], "sky.yaml")
    assert datasets[0].models.names == ["known", "field-bkg"]
    assert "Known sky: 2 models of sky.yaml" in capsys.readouterr().out
    known_sky(gev_sky, name="other").write("other.yaml")
    with pytest.raises(
        ValueError, match="other-bkg of other.yaml is for the dataset other, and the data are field"
    ):
        read_datasets(["field.fits.gz"], "other.yaml")


@pytest.mark.filterwarnings("ignore:Checksum verification failed")
def test_models_beside_a_yaml_of_datasets(gev_sky, field, folder):
    dataset = field.copy(name="field")
    dataset.models = known_sky(gev_sky)
    Datasets([dataset]).write("datasets.yaml", filename_models="models.yaml")
    assert read_datasets(["datasets.yaml"])[0].models.names == ["known", "field-bkg"]
    Models([]).write("none.yaml")
    assert not read_datasets(["datasets.yaml"], "none.yaml")[0].models
    # Or in the same file
    both = Path("datasets.yaml").read_text() + "\n" + Path("models.yaml").read_text().partition("metadata")[0]
    Path("models.yaml").unlink()
    assert not read_datasets(["datasets.yaml"])[0].models
    Path("one.yaml").write_text(
        "\n".join(line for line in both.splitlines() if not line.startswith("covariance"))
    )
    assert read_datasets(["one.yaml"])[0].models.names == ["known", "field-bkg"]


def test_a_known_source_is_not_fitted_again(gev_sky, folder):
    """What --models has is part of the sky of the fit: a candidate at a known source has nothing left."""
    models = Models(gev_sky.sources(1))
    models.write("sky.yaml", write_covariance=False)
    gev_sky.candidates(gev_sky.positions[:1], gev_sky.flux[:1]).write("list.fits")
    ts = []
    for extra in ((), ("--models", "sky.yaml")):
        result = run(
            "fit", "field.fits.gz", "--candidates", "list.fits", "-o", "out.fits", "--overwrite", *extra
        )
        assert result.exit_code == 0, result.output
        ts.append(float(Candidates.read("out.fits").table["ts"][0]))
    assert ts[0] > 100 and ts[1] < 25


def test_no_known_sky_is_said(field, folder, toy_model):
    unknown = field.copy(name="unknown")
    unknown.background = None
    unknown.write("unknown.fits.gz")
    result = run("detect", "unknown.fits.gz", "--model", toy_model, "-o", "c.fits")
    assert result.exit_code == 0, result.output
    assert "No known sky: unknown without a background and models" in result.output
    assert "No known sky" not in run("detect", "field.fits.gz", "--model", toy_model, "-o", "d.fits").output


def test_any_list_is_fitted(gev_sky, folder):
    """A table of others, without scores, in the columns and units of others."""
    icrs = gev_sky.positions[:2].icrs
    table = Table({"Name": ["first", "zweite Größe"], "RAJ2000": icrs.ra.deg, "DEJ2000": icrs.dec.deg})
    table.write("list.csv")
    result = run("fit", "field.fits.gz", "--candidates", "list.csv", "-o", "out.fits")
    assert result.exit_code == 0, result.output
    fitted = Candidates.read("out.fits")
    assert list(fitted.table["name"]) == ["first", "zweite Größe"]
    assert np.all(fitted.table["ts"] > 25)


def test_models_file_is_readable_alone(gev_sky, tmp_path, field):
    candidates = gev_sky.candidates(gev_sky.positions[:2], gev_sky.flux[:2])
    paths = {"output": tmp_path / "candidates.fits", "models": tmp_path / "candidates.yaml"}
    for _ in range(2):
        write_products(candidates, paths, True, field)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["candidates.fits", "candidates.yaml"]
    (tmp_path / "sent").mkdir()
    moved = (tmp_path / "candidates.yaml").rename(tmp_path / "sent" / "candidates.yaml")
    models = Models.read(moved)
    for own, wanted in zip(models.parameters, candidates.to_models().parameters, strict=True):
        assert own.error == pytest.approx(wanted.error)


@pytest.mark.parametrize(
    "name", ["results[old].fits", "a[/b].fits", "Quellen ä ö.fits", "~/new/c.fits", "$PLACE/c.fits", "run.1"]
)
def test_paths_of_every_kind(folder, toy_model, name, monkeypatch):
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("PLACE", str(folder / "place"))
    result = run("detect", "field.fits.gz", "--model", toy_model, "-o", name)
    assert result.exit_code == 0, result.output
    assert not (folder / "~").exists() and not (folder / "$PLACE").exists()
    path = Path(os.path.expandvars(os.path.expanduser(name)))
    Candidates.read(path / "candidates.fits" if name == "run.1" else path)
    assert path.name in result.output.replace("\n", "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("-o", "$UNSET_PLACE/c.fits"), "the variable $UNSET_PLACE is not set"),
        (("-o", "field.fits.gz", "--overwrite"), "field.fits.gz is read"),
        (("-o", "/proc/c.fits"), "Nothing can be written to /proc"),
        (("-o", "list.txt"), "the name must end in .fits"),
        (("-o", "c.fits", "--plot", "plot.xyz"), "the name must end in .png"),
        (("-o", "c.fits", "--output-models", "models.fits"), "the name must end in .yaml"),
        (("-o", "c.fits", "--regions", "c.fits"), "same name"),
        (("-o", "c.fits", "--models", "nothing.yaml"), "does not exist"),
        (("-o", "c.fits", "--models", "field.fits.gz"), "field.fits.gz is not a valid YAML file"),
        (("-o", "c.fits", "--threshold", "nan"), "give a number from 0 up to 1"),
        (("-o", "c.fits", "--unknown"), "No such option"),
    ],
)
def test_bad_outputs_are_refused_before_any_work(folder, toy_model, args, message, monkeypatch):
    monkeypatch.delenv("UNSET_PLACE", raising=False)
    result = run("detect", "field.fits.gz", "--model", toy_model, *args)
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == ["field.fits.gz"]


def test_association_takes_any_table_and_refuses_early(folder, toy_model):
    Table({"name": ["Ä"], "ra": [1.0], "dec": [1.0]}).write("known.csv")
    for args, message in (
        (("--associate", "A=known.csv", "--associate", "A=known.csv"), "two catalogues have the same name"),
        (("--associate", "A=nothing.fits"), "No such file: nothing.fits"),
        (("--associate", "A=field.fits.gz"), "'A' has no columns ra and dec"),
        (("--jobs", 0), "0 is not in the range"),
    ):
        result = run("catalog", "field.fits.gz", "--model", toy_model, "-o", "c.fits", *args)
        assert result.exit_code == 2
        assert message in result.output
        assert result.output.count("\n") == 1


def test_numbers_of_every_kind_in_a_configuration_of_fermipy(gev_sky, tmp_path):
    import yaml

    from gammapy_asid.likelihood.fermipy import write_fermipy

    candidates = gev_sky.candidates(SkyCoord([83.0], [22.0], unit="deg"), [1e-9])
    config = {
        "selection": {
            "ra": np.float64(83.5),
            "dec": 22 * u.deg,
            "emin": 1 * u.GeV,
            "emax": np.float32(1e5),
            "tmin": np.int64(239557417),
            "zmax": 1.5 * u.rad,
        },
        "data": {"evfile": Path("ft1.fits"), "scfile": "ft2.fits"},
        "gtlike": {"edisp_disable": ("isodiff",), "edisp": np.bool_(True)},
        "binning": {"binsz": 6 * u.arcmin},
    }
    write_fermipy(candidates, tmp_path / "crab", config=config)
    written = yaml.safe_load((tmp_path / "crab" / "config.yaml").read_text())
    selection = written["selection"]
    assert (selection["ra"], selection["dec"], selection["emin"]) == (83.5, 22, 1000)
    assert (selection["emax"], selection["tmin"]) == (1e5, 239557417)
    assert selection["zmax"] == pytest.approx(np.degrees(1.5))
    assert written["binning"]["binsz"] == pytest.approx(0.1)
    assert written["gtlike"]["edisp"] is True and written["gtlike"]["edisp_disable"] == ["isodiff"]
    for value, message in (
        (1 * u.kg, "in kg"),
        (np.nan, "is nan"),
        (SkyCoord(1, 2, unit="deg"), "a SkyCoord"),
    ):
        with pytest.raises(ValueError, match=f"selection: ra .*{message}"):
            write_fermipy(candidates, tmp_path / "none", "a", "b", config={"selection": {"ra": value}})
    assert not (tmp_path / "none").exists()
