# Licensed under a 3-clause BSD style license - see LICENSE
"""Recipes, YAML files and models that ask for too much, and input that is no file."""

import json
import os
import time

import pytest
import torch
from click.testing import CliRunner

from gammapy_asid import Candidates
from gammapy_asid.cli import main
from gammapy_asid.learning.io import load_card, save_model
from gammapy_asid.learning.model_files import find_model, model_files
from gammapy_asid.learning.recipe import model_name, read_recipe
from gammapy_asid.likelihood.fermipy import read_fermipy
from gammapy_asid.simulation.diffuse import EmissionBank
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.detection.recipe import DetectionRecipe
from gammapy_asid.tasks.extension.recipe import ExtensionRecipe
from gammapy_asid.utils.files import new_file, regular_file
from gammapy_asid.utils.plain_yaml import read_yaml

NAMES = [
    "../a",
    "/tmp/a",
    "",
    ".",
    "..",
    ".hidden",
    "a/b",
    "a\0b",
    "a" * 101,
    "é" * 60,
    " a",
    "a.",
    "a\nb",
    "-a",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_stay_in_the_folder(name):
    with pytest.raises(ValueError, match="a name has letters"):
        DetectionRecipe(name=name)


def test_names_of_datasets():
    assert model_name("/data/crab.fits.gz") == "crab"
    assert model_name("..fits") == "fits"
    assert model_name("/a/$(rm x).fits") == "rm-x"
    assert model_name("-/.") == "dataset"
    for path in ("a" * 300, "é" * 200, "/a/ .fits", "ø.x"):
        DetectionRecipe(name=f"{model_name(path)}-extension")


@pytest.mark.parametrize(
    "settings",
    [
        {"seed": -1},
        {"seed": 2**40},
        {"patch_size": 8000},
        {"widths": [24, 48, 96, 10**9]},
        {"widths": [0]},
        {"widths": []},
        {"validation_patches": 0},
        {"calibration_patches": 10**12},
        {"optimiser": {"epochs": 10**9}},
        {"optimiser": {"batch_size": 0}},
        {"optimiser": {"learning_rate": float("nan")}},
        {"optimiser": {"ema_decay": 1.0}},
        {"sources": {"members": 10**6}},
        {"sources": {"steps": 0}},
        {"plane": {"fields": 10**9}},
        {"plane": {"pixel_size": [0.05, 0.03]}},
        {"instruments": [{"irf": "P8R3_SOURCE_V2", "copies": 10**9}]},
        {"instruments": [{"irf": "P8R3_SOURCE_V2", "pixel_size": [0.0, 0.1]}]},
    ],
)
def test_sizes_and_counts_are_bounded(settings):
    with pytest.raises(ValueError):
        DetectionRecipe(name="a", **settings)


@pytest.mark.parametrize("scene", [{"neighbours": 1e9}, {"hours": [float("inf"), 1]}, {"size": [1e300, 1]}])
def test_scenes_are_bounded(scene):
    with pytest.raises(ValueError, match="a scene has a number|neighbours are"):
        ExtensionRecipe(name="a", scenes=[scene])


def laughs(n=30):
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, n)]
    return "\n".join([*lines, "name: a"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (laughs(), "with all references written out"),
        ("name: a\nname: b", "the key 'name' twice"),
        ("name: a\noptimiser: {epochs: 1, epochs: 2}", "the key 'epochs' twice"),
        ("&a [*a]", "refers to itself"),
        ("[" * 10**6, "not a valid recipe"),
        ("name: " + "9" * 5000, "not a valid recipe"),
        ("!!python/object/apply:os.system [ls]", "not a valid recipe"),
        ("name: a\n---\nname: b", "not a valid recipe"),
        ("? [a, b]\n: c", "not a valid recipe"),
    ],
)
def test_yaml_is_plain_and_bounded(text, message, tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    start = time.monotonic()
    with pytest.raises(ValueError, match=message):
        read_recipe(path)
    assert time.monotonic() - start < 5
    result = CliRunner().invoke(main, ["train", str(path), "-o", str(tmp_path / "runs")])
    assert result.exit_code == 2 and not (tmp_path / "runs").exists()


def test_references_within_reason(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}")
    assert read_yaml(path) == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}


@pytest.fixture
def pipe(tmp_path):
    path = tmp_path / "pipe.fits"
    os.mkfifo(path)
    return path


READERS = {
    "candidates": Candidates.read,
    "recipe": read_recipe,
    "emission": EmissionBank.load,
    "fermipy": lambda path: read_fermipy(path),
    "configuration": lambda path: read_yaml(path),
}


@pytest.mark.parametrize("reader", READERS)
def test_devices_and_pipes_are_no_input(reader, pipe):
    for path in ("/dev/zero", pipe):
        if reader == "fermipy" and path != pipe:
            continue
        with pytest.raises(ValueError, match="is a device or a pipe"):
            READERS[reader](path)


@pytest.mark.parametrize(
    "command", [["detect"], ["fit"], ["catalog"], ["train", "--dataset"], ["fermipy", "read"]]
)
def test_commands_read_no_devices(command, pipe, tmp_path):
    for path in ("/dev/zero", pipe):
        result = CliRunner().invoke(main, [*command, str(path)])
        assert result.exit_code == 2 and "device or a pipe" in result.output


def test_paths_that_are_none(tmp_path):
    for path in ("", "a\0b", "a" * 5000, tmp_path):
        with pytest.raises(ValueError):
            regular_file(path)
    with pytest.raises(FileNotFoundError, match="No such file"):
        regular_file(tmp_path / "none")


def test_header_that_is_longer_than_the_file(tmp_path):
    path = tmp_path / "bank.safetensors"
    for content in (b"", b"\xff" * 16, (2**40).to_bytes(8, "little") + b"{}", b"\x02" + bytes(7) + b"{}"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is not a bank of emission"):
            EmissionBank.load(path)


def test_a_card_asks_for_no_more_than_its_weights(tmp_path):
    own = tmp_path / "own.safetensors"
    card = load_card("lat")
    state = {"a": torch.ones(2)}
    save_model(own, state, card)
    settings = json.loads(own.with_suffix(".json").read_text())
    for architecture in ({"widths": [10**7] * 4}, {"inputs": [10**12] * 4}, {"other": 1}):
        settings["architecture"] = card.architecture | architecture
        own.with_suffix(".json").write_text(json.dumps(settings))
        with pytest.raises(ValueError, match="do not fit its card"):
            DetectionModel.load(own, "cpu")
    own.with_suffix(".json").write_text(" " * (2**25 + 1))
    with pytest.raises(ValueError, match="no model card"):
        load_card(own)
    assert model_files(find_model("lat"))[0].is_file()


def test_names_of_sources_lead_nowhere(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "x_ext.fits").write_bytes(b"no FITS file")
    text = """<source_library><source name="../x" type="PointSource"><spectrum type="PowerLaw">
    <parameter name="Prefactor" value="1" scale="1e-12"/><parameter name="Index" value="2" scale="-1"/>
    <parameter name="Scale" value="1000" scale="1"/></spectrum><spatialModel type="SkyDirFunction">
    <parameter name="RA" value="1" scale="1"/><parameter name="DEC" value="1" scale="1"/>
    </spatialModel></source></source_library>"""
    (tmp_path / "in" / "a.xml").write_text(text)
    assert len(read_fermipy(tmp_path / "in" / "a.xml")) == 1


def test_temporary_files_are_unique_and_removed(tmp_path):
    path = tmp_path / "a.txt"
    with new_file(path, overwrite=True) as one, new_file(path, overwrite=True) as two:
        assert one != two
        one.write_text("1")
        two.write_text("2")
        # A process that was killed left one; one that lives still needs its own
        parts = one.name.split("-")
        left, alive = (tmp_path / "-".join([parts[0], pid, *parts[2:]]) for pid in ("99999999", "1"))
        left.write_text("")
        alive.write_text("")
        with new_file(path, overwrite=True) as three:
            three.write_text("3")
            assert one.exists() and not left.exists() and alive.exists()
        alive.unlink()
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and path.read_text() == "1"
    path.unlink()
    with pytest.raises(FileExistsError), new_file(path) as temporary:
        temporary.write_text("4")
        path.write_text("another was faster")
    assert path.read_text() == "another was faster"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
