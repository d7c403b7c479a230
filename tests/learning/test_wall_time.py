# Licensed under a 3-clause BSD style license - see LICENSE
"""A training that ends after a wall time."""

import csv
from types import SimpleNamespace

import lightning
import pytest
import torch
from click.testing import CliRunner
from lightning.pytorch.callbacks import timer
from numpy.testing import assert_allclose

from gammapy_asid.cli import main
from gammapy_asid.learning.checkpoints import load_checkpoint
from gammapy_asid.learning.recipe import OptimiserRecipe, read_recipe
from gammapy_asid.learning.registry import get_task
from gammapy_asid.learning.run import train
from gammapy_asid.learning.trainer import TaskModule
from gammapy_asid.tasks.detection.simulator import build_simulator
from gammapy_asid.utils.digests import digest


@pytest.fixture(scope="module")
def simulator(tiny_recipe, make_response):
    return build_simulator(tiny_recipe, [make_response(0.1, 5.0)], [1.0])


@pytest.fixture
def rates(monkeypatch):
    """Learning rate of each step; a step takes one second of a clock of its own."""
    seen, step = [], TaskModule.training_step

    def training_step(self, *args):
        seen.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return step(self, *args)

    clock = SimpleNamespace(monotonic=lambda: 1000.0 + len(seen))
    monkeypatch.setattr(timer, "time", clock)
    monkeypatch.setattr(TaskModule, "training_step", training_step)
    return seen


def timed(recipe, **changes):
    return recipe.model_copy(update={"optimiser": recipe.optimiser.model_copy(update=changes)})


def run(recipe, folder, simulator):
    return train(recipe, folder, simulator, progress=False, device="cpu")


def test_ends_within_an_epoch(tiny_recipe, tmp_path, simulator, rates):
    recipe = timed(tiny_recipe, minutes=11 / 60, epochs=1000, ema_decay=0.999)
    network = run(recipe, tmp_path, simulator)
    # Epochs have four steps
    assert len(rates) == 11
    checkpoint = load_checkpoint(tmp_path / "last.ckpt")
    assert checkpoint["global_step"] == 11
    with open(tmp_path / "metrics.csv", newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1", "2"]
    # Up to the highest at 5 % of the time, down along a cosine to 1e-3 of it at the end
    assert max(rates) == rates[1]
    assert_allclose(rates[1], recipe.optimiser.learning_rate, rtol=0.01)
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert_allclose(rates[6], recipe.optimiser.learning_rate / 2, rtol=0.1)
    last = checkpoint["optimizer_states"][0]["param_groups"][0]["lr"]
    assert_allclose(last, 1e-3 * recipe.optimiser.learning_rate, rtol=1e-6)
    # The mean of the weights has forgotten how they began, though its decay is that of 1000 steps
    weights = network.head.weight
    current = checkpoint["current_model_state"]["network.head.weight"]
    lightning.seed_everything(recipe.seed, verbose=False)
    untrained = get_task("detection").network(recipe, simulator.bands).head.weight
    assert (current - weights).norm() < 0.2 * (current - untrained).norm()

    again = run(recipe, tmp_path, simulator)
    assert len(rates) == 11
    for one, other in zip(network.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_time_counts_over_interruptions(tiny_recipe, tmp_path, simulator, rates, monkeypatch):
    recipe = timed(tiny_recipe, minutes=11 / 60, epochs=1000)
    whole = run(recipe, tmp_path / "whole", simulator)
    uninterrupted = list(rates)
    rates.clear()
    draw = type(simulator).draw

    def killed(self, n, seed, instrument=None):
        if len(rates) == 6:
            raise KeyboardInterrupt
        return draw(self, n, seed, instrument)

    monkeypatch.setattr(type(simulator), "draw", killed)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(recipe, tmp_path / "parts", simulator)
    monkeypatch.setattr(type(simulator), "draw", draw)
    assert len(rates) == 6
    parts = run(recipe, tmp_path / "parts", simulator)
    # Two steps were lost after the checkpoint of the first epoch, and their time does not count
    assert rates[:6] + rates[8:] == uninterrupted
    # With a clock that is as exact as this one the result is the same
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)


def test_epochs_may_end_before(tiny_recipe, tmp_path, simulator, rates):
    limited = run(timed(tiny_recipe, minutes=1), tmp_path / "limited", simulator)
    by_time = list(rates)
    rates.clear()
    run(tiny_recipe, tmp_path / "free", simulator)
    assert len(by_time) == tiny_recipe.optimiser.epochs * tiny_recipe.optimiser.batches_per_epoch
    assert by_time == rates
    assert all(torch.isfinite(p).all() for p in limited.parameters())


def test_recipes_without_it_keep_their_hashes(tiny_recipe):
    # Those of the version before
    assert OptimiserRecipe().sha256 == "55b4a51ff8ddc8185a2e127fbd722d67675a36e9d3ef81d411617356c4fde99f"
    assert read_recipe("lat").sha256[:16] == "f33470daa2feadb7"
    assert digest(OptimiserRecipe())[:16] == "f44d77709eb35ecd"
    other = timed(tiny_recipe, minutes=8)
    assert digest(tiny_recipe) != digest(other)
    assert tiny_recipe.sha256 != other.sha256


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "1e6", "soon"])
def test_no_such_time(minutes, tmp_path):
    result = CliRunner().invoke(main, ["train", "lat", "-o", str(tmp_path), "--minutes", minutes])
    assert result.exit_code == 2
    assert "Invalid value for '--minutes'" in result.output
    assert not list(tmp_path.iterdir())
