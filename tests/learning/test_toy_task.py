# Licensed under a 3-clause BSD style license - see LICENSE
"""A task of a few lines is trained, released, loaded and run by the spine, which knows nothing of it."""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from gammapy_asid.inputs import Bands
from gammapy_asid.learning.card import Card
from gammapy_asid.learning.recipe import OptimiserRecipe, Recipe, read_recipe
from gammapy_asid.learning.registry import TASKS, get_task
from gammapy_asid.learning.run import prepare_simulator, release, train, train_model
from gammapy_asid.learning.simulator import SIMULATORS, Simulator, register_simulator
from gammapy_asid.learning.task import Task
from gammapy_asid.learning.trained import TrainedModel
from gammapy_asid.tasks import load_card
from gammapy_asid.utils.progress import shown_by


# --- The toy: how many photons were expected in a band, of Poisson counts in four pixels --------------------
class LevelSimulator:
    bands = Bands((1.0, 10.0, 100.0), (0, 0))

    def draw(self, n, seed):
        rng = np.random.default_rng(seed)
        level = np.exp(rng.uniform(0, 3, (n, 2)))
        counts = rng.poisson(level[:, :, None], (n, 2, 4))
        return torch.tensor(counts, dtype=torch.float32), torch.tensor(np.log(level), dtype=torch.float32)


class LevelRecipe(Recipe):
    task: Literal["level"] = "level"
    hidden: int = 16


class LevelCard(Card):
    task: Literal["level"] = "level"
    units: dict[str, str] = {"level": "counts"}
    error: float


@dataclass(frozen=True)
class LevelConfig:
    bands: int
    hidden: int


class LevelNetwork(nn.Sequential):
    def __init__(self, config):
        layers = nn.Linear(config.bands, config.hidden), nn.Tanh(), nn.Linear(config.hidden, config.bands)
        super().__init__(*layers)
        self.config = config

    def forward(self, counts):
        return super().forward(torch.log(counts.mean(-1) + 0.2))


class LevelModel(TrainedModel):
    Card, Network, Config = LevelCard, LevelNetwork, LevelConfig

    @torch.inference_mode()
    def predict(self, counts):
        level = torch.exp(self.network(counts.to(self.device))).cpu().numpy()
        return level, level * self.card.error


class LevelTask(Task):
    name = "level"
    Recipe, Card, Model = LevelRecipe, LevelCard, LevelModel

    def simulator(self, recipe, datasets=None, settled=False):
        return LevelSimulator()

    def network(self, recipe, bands):
        return LevelNetwork(LevelConfig(len(bands), recipe.hidden))

    def batch(self, drawn):
        return (drawn[0],), drawn[1]

    def loss(self, output, target, recipe):
        return {"loss": ((output - target) ** 2).mean()}

    def validate(self, network, drawn, recipe):
        return {"scatter": float(np.mean([(network(x) - y).std().item() for x, y in drawn]))}

    def calibrate(self, network, simulator, recipe):
        counts, level = simulator.draw(2000, 2**32)
        with torch.no_grad():
            error = float((network(counts) - level).square().mean().sqrt())
        return {"psf_r68": ((0, 0),) * 2, "error": error, "metrics": {"error": error}}


# --- What the spine makes of it -----------------------------------------------------------------------------
@pytest.fixture(autouse=True)
def gone_again():
    """The toy is no task of other tests."""
    TASKS["level"] = LevelTask
    yield
    del TASKS["level"]


@pytest.fixture(scope="module")
def recipe():
    settings = {
        "batch_size": 64,
        "batches_per_epoch": 100,
        "epochs": 3,
        "learning_rate": 2e-2,
        "ema_decay": 0.9,
    }
    return LevelRecipe(name="toy", seed=1, optimiser=OptimiserRecipe(**settings, precision="32-true"))


def test_trains_releases_loads_and_predicts(recipe, tmp_path):
    simulator, recipe = prepare_simulator(recipe)
    assert isinstance(simulator, Simulator)
    files = train_model(recipe, tmp_path, simulator, num_workers=0, progress=False)
    weights, card = files["level"]
    assert (tmp_path / "metrics.csv").read_text().startswith("epoch,")
    # The card tells the task, not the name of the file
    other = weights.rename(tmp_path / "lat-flux.safetensors")
    card.rename(other.with_suffix(".json"))
    read = load_card(other)
    assert type(read) is LevelCard
    assert read.recipe_sha256 == recipe.sha256
    model = get_task(read.task).Model.load(other, "cpu")
    assert repr(model) == "<LevelModel 'toy' version 0.1.0>"
    counts, level = simulator.draw(1000, 7)
    found, error = model.predict(counts)
    pull = (found - np.exp(level.numpy())) / error
    assert_allclose(np.mean(np.abs(pull) < 1), 0.68, atol=0.06)
    # A mean of four Poisson counts between 1 and 20 has this relative error on average
    assert read.error < 0.35


def test_goes_on_to_the_same_weights(recipe, tmp_path, monkeypatch):
    short = recipe.optimiser.model_copy(update={"batches_per_epoch": 5})
    recipe = recipe.model_copy(update={"optimiser": short})
    whole = train(recipe, tmp_path / "whole", progress=False)
    loss, steps = LevelTask.loss, []

    def dies(self, *args):
        steps.append(0)
        if len(steps) == 8:
            raise KeyboardInterrupt
        return loss(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(LevelTask, "loss", dies)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            train(recipe, tmp_path / "cut", progress=False)
    again = train(recipe, tmp_path / "cut", progress=False)
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    card = release(again, recipe, LevelSimulator(), tmp_path / "toy.safetensors")
    assert card.task == "level"


def test_a_training_shows_one_bar(recipe, tmp_path, capsys):
    """All steps of all epochs, and nothing is written to the terminal beside it."""
    short = recipe.optimiser.model_copy(update={"batches_per_epoch": 5})
    bars = []

    @contextmanager
    def show(name, total):
        done = []
        yield lambda: done.append(1)
        bars.append((name, total, len(done)))

    with shown_by(show):
        train(recipe.model_copy(update={"optimiser": short}), tmp_path, progress=True)
    assert bars == [("Training", 15, 15)]
    assert capsys.readouterr() == ("", "")


def test_recipe_names_another_simulator(recipe, tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text("task: level\nname: toy\nsimulator: twice\n")
    own = read_recipe(path)
    assert type(own) is LevelRecipe
    with pytest.raises(ValueError, match="Unknown simulator 'twice'"):
        prepare_simulator(own)

    @register_simulator("twice")
    def twice(settings):
        assert settings is own
        return LevelSimulator()

    try:
        assert isinstance(prepare_simulator(own)[0], LevelSimulator)
    finally:
        del SIMULATORS["twice"]
    # Recipes without a simulator keep their hash
    assert recipe.sha256 == recipe.model_copy(update={"simulator": None}).sha256
    assert own.sha256 != own.model_copy(update={"simulator": None}).sha256


def test_unknown_task(tmp_path):
    path = tmp_path / "toy.yaml"
    path.write_text("task: nothing\nname: toy\n")
    with pytest.raises(ValueError, match="Unknown task 'nothing': known are classification, counts"):
        read_recipe(path)
