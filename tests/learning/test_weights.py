# Licensed under a 3-clause BSD style license - see LICENSE
import hashlib
import json

import pytest
import torch

from gammapy_asid.inputs.bands import Bands
from gammapy_asid.learning import model_files
from gammapy_asid.learning.io import load_card, load_state, save_model
from gammapy_asid.learning.model_files import ENSEMBLES, ensemble_path, find_model, list_models
from gammapy_asid.tasks.detection.card import DetectionCard
from gammapy_asid.tasks.measurement.card import EnsembleCard

POINTS = [
    {"threshold": 0.2, "purity": 0.6, "completeness": 0.8},
    {"threshold": 0.8, "purity": 0.9, "completeness": 0.6},
]


@pytest.fixture
def card():
    return DetectionCard(
        name="toy",
        version="1",
        architecture={"widths": [4, 8]},
        bands={"edges": [1, 10, 100], "levels": [1, 0]},
        pixel_size=(0.05, 0.2),
        psf_r68=[(0.5, 1.0), (0.1, 0.2)],
        exposure=[(1e10, 1e12), (1e10, 1e12)],
        recipe={"seed": 1},
        recipe_sha256="0" * 64,
        metrics={"recall": 0.6},
        calibration={"with_background": [(-2, -3), (2, 1)], "counts_only": [(-1, -1), (1, 1)]},
        operating_points={"with_background": POINTS, "counts_only": POINTS},
        package_version="0.1.0",
    )


@pytest.fixture
def model(card, tmp_path):
    path = tmp_path / "toy.safetensors"
    state = {"weight": torch.arange(6.0).reshape(2, 3).T, "steps": torch.tensor(3)}
    save_model(path, state, card)
    return path


def test_save_and_load(model, card):
    state = load_state(model)
    assert torch.equal(state["weight"], torch.arange(6.0).reshape(2, 3).T)
    assert state["steps"] == 3
    loaded = load_card(model)
    assert loaded.weights_sha256 == hashlib.sha256(model.read_bytes()).hexdigest()
    assert loaded == card.model_copy(update={"weights_sha256": loaded.weights_sha256})
    assert sorted(p.name for p in model.parent.iterdir()) == ["toy.json", "toy.safetensors"]


def test_card(card):
    assert card.to_bands() == Bands((1, 10, 100), (1, 0))
    assert card.knots(True).tolist() == [[-2, -3], [2, 1]]
    assert card.expected(0.5, True) == pytest.approx((0.75, 0.7))
    assert card.expected(0.9, False) == pytest.approx((0.9, 0.6))
    assert card.sha256 != card.model_copy(update={"version": "2"}).sha256


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"psf_r68": [(0.5, 1.0)]}, "one range for each of the 2 bands"),
        ({"calibration": {"counts_only": [(0, 0), (1, 1)]}}, "with_background and counts_only"),
        ({"calibration": {"with_background": [(1, 0), (0, 1)], "counts_only": [(0, 0), (1, 1)]}}, "rising"),
        ({"surprise": 1}, "there is no entry 'surprise'"),
    ],
)
def test_bad_card(model, change, message):
    path = model.with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message) as error:
        load_card(model)
    assert "toy.json is no valid model card" in str(error.value)


def test_altered_weights(model):
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    with pytest.raises(ValueError, match="differs from its card"):
        load_state(model)


def test_corrupt_weights(model, card):
    model.write_bytes(b"nothing")
    path = model.with_suffix(".json")
    digest = hashlib.sha256(b"nothing").hexdigest()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": digest}))
    with pytest.raises(ValueError, match="no safetensors file"):
        load_state(model)


def test_missing_files(model):
    with pytest.raises(FileNotFoundError, match="check the path"):
        load_state(model.with_name("other.safetensors"))
    model.with_suffix(".json").unlink()
    with pytest.raises(FileNotFoundError, match="No model card"):
        load_state(model)


def test_save_refuses(model, card):
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_model(model, {}, card)
    with pytest.raises(ValueError, match=r"\.safetensors"):
        save_model(model.with_suffix(".pt"), {}, card)
    save_model(model, {"a": torch.ones(1)}, card, overwrite=True)
    assert set(load_state(model)) == {"a"}


def test_names(model, monkeypatch):
    monkeypatch.setattr(model_files, "DATA", model.parent)
    assert list_models() == ["toy"]
    assert find_model("toy") == model
    with pytest.raises(ValueError, match="Unknown model 'cta': known are toy"):
        load_card("cta")


@pytest.fixture
def own(model, monkeypatch):
    """Folder of models of the user's own, with the model ``toy``."""
    monkeypatch.setenv("GAMMAPY_ASID_MODELS", str(model.parent))
    return model.parent


def test_own_folder(own, monkeypatch):
    assert list_models() == ["cta-gps", "lat", "toy"]
    assert find_model("toy") == find_model("toy", "detection") == own / "toy.safetensors"
    assert load_card("toy").name == "toy" and load_state("toy")
    assert find_model("lat").parent == model_files.DATA
    # The name is that of the file, and other files are no models
    for path in (own / "toy.safetensors", own / "toy.json"):
        path.rename(path.with_stem("mine"))
    (own / "settings.json").write_text("{}")
    assert list_models() == ["cta-gps", "lat", "mine"]
    assert load_state("mine")
    monkeypatch.setenv("GAMMAPY_ASID_MODELS", "")
    assert list_models() == ["cta-gps", "lat"]


def test_own_folder_refuses(own, monkeypatch):
    weights, card = own / "toy.safetensors", own / "toy.json"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"toy.safetensors differs from its card \(SHA-256 disagrees\)"):
        load_state("toy")
    weights.rename(own / "lonely.safetensors")
    with pytest.raises(FileNotFoundError, match="lonely.json: it belongs beside the weights"):
        load_card("lonely")
    with pytest.raises(FileNotFoundError, match="No weight file .*toy.safetensors, though its card exists"):
        load_state("toy")
    with pytest.raises(ValueError, match=r"Unknown model 'none': known are .*\$GAMMAPY_ASID_MODELS"):
        find_model("none")
    card.rename(own / "lat.json")
    with pytest.raises(ValueError, match="Two models are called 'lat', .*data/lat.safetensors and .*rename"):
        find_model("lat")
    monkeypatch.setenv("GAMMAPY_ASID_MODELS", str(own / "missing"))
    with pytest.raises(ValueError, match="GAMMAPY_ASID_MODELS is .*missing, which is no folder"):
        list_models()


@pytest.mark.parametrize("name", list_models())
def test_models_that_ship(name):
    card = load_card(name)
    assert card.name == name
    assert load_state(name)


def test_ensembles_belong_to_their_model():
    assert list_models() == ["cta-gps", "lat"]
    for kind in ENSEMBLES:
        path = ensemble_path("lat", kind)
        card = load_card(path, EnsembleCard)
        assert (card.name, card.kind) == ("lat", kind)
        # The weights of the detection model whose candidates they learned from.
        assert card.detection_sha256 == load_card("lat").weights_sha256
        assert path.stat().st_size < 5e6
        with pytest.raises(ValueError, match=f"is for {kind}, not for detection"):
            load_card(path, DetectionCard)
        assert load_card(path) == card
    row = card.model_dump() | {"calibration": {"given": [(0.0, 1.0)]}}
    with pytest.raises(ValueError, match="needs rows of 7 values"):
        EnsembleCard(**row)
