# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of simulated sources and of the release of the ensembles."""

import shutil

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.learning.io import load_card, load_state, save_model
from gammapy_asid.learning.model_files import ensemble_path, find_model, model_files
from gammapy_asid.simulation.spectra import photon_flux
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.detection.recipe import SourceRecipe
from gammapy_asid.tasks.detection.simulator import build_simulator
from gammapy_asid.tasks.measurement.card import EnsembleCard
from gammapy_asid.tasks.measurement.features import n_inputs
from gammapy_asid.tasks.measurement.model import SourceEnsemble
from gammapy_asid.tasks.measurement.release import release_sources
from gammapy_asid.tasks.measurement.simulator import (
    EMPTY_DISTANCE,
    EMPTY_NEAR,
    FAINTEST_GIVEN,
    N_EMPTY,
    _given,
    simulate_sources,
)
from gammapy_asid.tasks.measurement.source_sets import simulated_sources

SOURCES = SourceRecipe(patches=256, members=2, width=8, batch_size=16, steps=20)


@pytest.fixture(scope="module")
def recipe(tiny_recipe):
    return tiny_recipe.model_copy(update={"sources": SOURCES, "patch_size": 64})


@pytest.fixture(scope="module")
def simulator(make_response, recipe):
    return build_simulator(recipe, [make_response(0.1, 5.0)], [1.0])


@pytest.fixture(scope="module")
def model():
    return DetectionModel.load("lat")


@pytest.fixture(scope="module")
def sources(model, simulator):
    return list(simulate_sources(model, simulator, 16, seed=3, batch_size=8))


def test_batches_alternate(sources, model):
    assert [bool(part.given.all()) for part in sources] == [False, True]
    for part in sources:
        n = len(part)
        assert n > 10
        inputs = part.features.flat()
        assert inputs.shape == (n, n_inputs(model.bands, 32))
        assert torch.isfinite(inputs).all()
        assert torch.isfinite(part.range_coordinate).all()


def test_bright_sources_are_fitted_to_their_truth(sources):
    detected, given = sources
    bright = (detected.significance > 15) & detected.isolated
    assert bright.sum() >= 2
    assert detected.offset[bright].norm(dim=1).median() < 0.5
    # The bound is what the data allow: the fit is not better, and not far from it.
    bound = torch.sqrt((detected.bound[:, 0, 0] + detected.bound[:, 1, 1]) / 2)
    ratio = (detected.offset.norm(dim=1) / bound)[bright].median() / 1.18
    assert 0.4 < ratio < 2.5
    bright = (given.significance > 15) & given.isolated
    # In units of the error of the counts; spectra are no power laws.
    assert given.range_coordinate[bright][:, 1].abs().median() < 6
    assert given.offset.norm(dim=1).median() < 0.3


def test_true_flux_of_the_ranges(sources, simulator):
    given = sources[1]
    patches = simulator.draw(8, (3, 1, 1), 0)
    flux = photon_flux(patches.spectra, torch.tensor([1.0]), torch.tensor([100.0])).numpy()
    assert_allclose(flux, patches.flux, rtol=2e-3)
    learned = 2 * torch.sinh(given.range_start + given.range_coordinate * given.range_width)
    learned = learned * torch.exp(given.range_log_unit)
    # The second range is 1-100 GeV.
    assert learned[:, 1].max() <= flux.max() * (1 + 1e-4)
    real = learned[~given.empty]
    assert_allclose(np.sort(real[:, 1]), np.sort(given.flux[~given.empty]), rtol=5e-3)
    # The whole range holds more photons than any part of it.
    assert (real[:, :1] >= real * (1 - 1e-4)).all()
    assert learned[given.empty].abs().max() < 1e-4 * flux.min()


def test_empty_places_are_given_too(simulator):
    patches = simulator.draw(64, (3, 7), 0)
    rows = _given(patches, np.random.default_rng(0))
    empty = rows["true"] < 0
    # Up to twice the mean number in each patch, less those that hit a source or lie outside.
    assert N_EMPTY / 4 < empty.sum() / 64 < N_EMPTY
    field, x, y = (rows[name][empty] for name in ("field", "x", "y"))
    mask = patches.batch.field_mask.numpy()
    assert np.all(mask[field, np.round(y).astype(int), np.round(x).astype(int)] > 0)
    nominal = patches.bands.pixel_size / float(patches.batch.pixel_size[0])
    visible = (patches.significance >= FAINTEST_GIVEN).numpy()
    distance = np.hypot(x[:, None] - patches.x.numpy(), y[:, None] - patches.y.numpy())
    distance[:, ~visible] = np.inf
    distance[field[:, None] != patches.patch.numpy()] = np.inf
    nearest = distance.min(axis=1) / nominal
    assert nearest.min() > EMPTY_DISTANCE
    # Many are beside a source, others far from any.
    assert np.mean(nearest < EMPTY_DISTANCE * EMPTY_NEAR) > 0.4
    assert np.mean(nearest > EMPTY_DISTANCE * EMPTY_NEAR) > 0.1


def test_features_of_empty_places(sources):
    detected, given = sources
    assert not detected.empty.any()
    empty = given.select(given.empty)
    assert len(empty) > 5
    assert torch.isfinite(empty.features.flat()).all()
    assert (empty.significance == 0).all()
    assert (empty.offset.norm(dim=1) == 0).all()
    # Beside the sources of its patch.
    assert torch.isin(empty.latitude.round(), given.latitude.round()).float().mean() > 0.2
    significance = 2 * torch.sinh(empty.range_start[:, 0])
    assert significance.median() < 1.5


def test_simulation_is_kept(model, simulator, tmp_path, monkeypatch):
    first = simulated_sources(model, simulator, 16, 5, tmp_path)
    files = sorted(tmp_path.iterdir())
    assert [f.name for f in files] == ["sources_5.jsonl", "sources_5_000.safetensors"]
    monkeypatch.setattr(simulator, "draw", None)
    again = simulated_sources(model, simulator, 16, 5, tmp_path)
    assert torch.equal(first.features.flat(), again.features.flat())
    assert torch.equal(first.bound, again.bound)


def test_release(recipe, model, simulator, tmp_path):
    weights = tmp_path / "tiny.safetensors"
    for own, shipped in zip(model_files(weights), model_files(find_model("lat")), strict=True):
        shutil.copy(shipped, own)
    cards = release_sources(model, weights, recipe, simulator, tmp_path / "run", progress=False)
    assert set(cards) == {"position", "flux"}
    for kind, card in cards.items():
        path = ensemble_path(weights, kind)
        assert load_card(path, EnsembleCard) == card
        state = load_state(path, EnsembleCard)
        assert {value.dtype for value in state.values()} == {torch.float16}
        assert card.detection_sha256 == model.card.weights_sha256
        assert card.recipe["sources"]["members"] == 2
    assert 0 < cards["position"].metrics["coverage_68"] <= 1
    # By the predicted spread, the significance and the flux.
    assert len(cards["flux"].calibration) == 3 * 8
    assert "mean-variance given wide flux" in cards["flux"].calibration
    assert cards["flux"].metrics["mean-variance given wide empty"]["coverage_95"] > 0.9
    assert "mean-variance detected wide empty" not in cards["flux"].metrics
    assert set(cards["position"].calibration) == {"detected", "detected significance"}
    ensemble = SourceEnsemble.load(weights, "position")
    assert "position" in repr(ensemble)
    with pytest.raises(FileExistsError):
        release_sources(model, weights, recipe, simulator, tmp_path / "run", progress=False)
    # Of a run that was killed before its last file, only that one is made
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    flux = ensemble_path(weights, "flux")
    content = flux.read_bytes()
    flux.unlink()
    assert release_sources(model, weights, recipe, simulator, tmp_path / "run", progress=False) == cards
    assert flux.read_bytes() == content
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert [path for path in before if before[path] != after[path]] == [flux]
    # The ensembles belong to these weights
    save_model(weights, {"other": torch.ones(1)}, model.card, overwrite=True)
    with pytest.raises(ValueError, match="trained on the candidates of other weights"):
        SourceEnsemble.load(weights, "position")


def test_missing_ensemble(tmp_path):
    (tmp_path / "own.safetensors").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="has no ensemble for flux"):
        SourceEnsemble.load(tmp_path / "own.safetensors", "flux")
