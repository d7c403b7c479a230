"""Star, galaxy or artefact as a learned task: candidates, network, calibration, model."""

import numpy as np
import pytest
import torch

from gammapy_asid.learning.run import prepare_simulator, train_model
from gammapy_asid.optical.batch import ImageBatch
from gammapy_asid.optical.classification.candidates import ARTEFACT, _merged
from gammapy_asid.optical.classification.model import ClassEvidence, OpticalClassModel
from gammapy_asid.optical.classification.recipe import OpticalClassRecipe
from gammapy_asid.optical.classification.stamps import N_CHANNELS, N_NUMBERS, SIZE, cut_sources
from gammapy_asid.tasks import get_task, read_recipe

TINY = {
    "name": "tiny",
    "cameras": 4,
    "patch_size": 64,
    "calibration_images": 8,
    "members": 2,
    "widths": (4, 4, 4),
    "hidden": 8,
    "kept_batches": 2,
    "optimiser": {"batch_size": 4, "batches_per_epoch": 4, "epochs": 1, "precision": "32-true"},
}


@pytest.fixture(scope="module")
def recipe():
    return OpticalClassRecipe(**TINY)


@pytest.fixture(scope="module")
def simulator(recipe):
    return prepare_simulator(recipe)[0]


@pytest.fixture(scope="module")
def model(recipe, simulator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    files = train_model(recipe, folder, simulator, num_workers=0, progress=False, device="cpu")
    return OpticalClassModel.load(files[recipe.task][0], "cpu")


@pytest.fixture(scope="module")
def drawn(simulator):
    return simulator.images.draw(2, 5)


def test_the_shipped_recipe_is_one_of_this_task():
    recipe = read_recipe("optical-classes")
    assert (recipe.task, recipe.name) == ("optical-classification", "optical-classes")


def test_equal_seeds_give_equal_candidates(simulator):
    first, second, other = (simulator.draw(2, seed) for seed in (3, 3, 4))
    assert torch.equal(first.stamps.pixels, second.stamps.pixels)
    assert torch.equal(first.subclass, second.subclass)
    assert len(other) != len(first) or not torch.equal(other.stamps.pixels, first.stamps.pixels)


def test_candidates_have_shapes_classes_and_shares(simulator):
    own = simulator.draw(4, 1)
    k = len(own)
    assert own.stamps.pixels.shape == (k, N_CHANNELS, SIZE, SIZE)
    assert own.stamps.numbers.shape == (k, N_NUMBERS)
    assert torch.isfinite(own.stamps.pixels).all() and torch.isfinite(own.stamps.numbers).all()
    assert set(own.subclass.tolist()) <= set(range(ARTEFACT + 1)) and len(set(own.subclass.tolist())) > 3
    assert own.log_shares.exp().sum(1).numpy() == pytest.approx(1, abs=0.05)


def test_sources_that_are_not_told_apart_are_one_candidate():
    patch, x = np.array([0, 0, 0, 1]), np.array([10.0, 11.0, 20.0, 10.5])
    flux, chosen = np.array([100.0, 300.0, 50.0, 20.0]), np.ones(4, bool)
    mx, my, rows = _merged(patch, x, x * 0, flux, np.array([3.0, 3.0]), chosen)
    assert rows.tolist() == [1, 2, 3]
    # At the centre of the light of both
    assert mx == pytest.approx([10.75, 20.0, 10.5])
    assert my == pytest.approx(0)


def test_turned_stamps_keep_their_numbers(recipe, simulator):
    task = get_task(recipe.task)
    batch = task.batch(simulator.draw(2, 2))
    (pixels, numbers), target = task.turned(batch, 5)
    assert torch.equal(pixels, batch[0][0].rot90(5, (-2, -1)).transpose(-2, -1))
    assert torch.equal(numbers, batch[0][1]) and target is batch[1]


def test_numbers_hardly_change_when_an_image_is_turned(drawn):
    # Faint stars on an even sky
    rng = np.random.default_rng(1)
    batch = ImageBatch(**{name: value[:1] for name, value in vars(drawn.batch).items()})
    kernel, n = batch.kernels[0], 64
    signal = torch.from_numpy(rng.normal(0, 1, (1, n, n))).float()
    x, y = torch.tensor([16.0, 44.0, 30.0]), torch.tensor([15.0, 20.0, 45.0])
    for column, row in zip(x.int().tolist(), y.int().tolist(), strict=True):
        signal[0, row - 12 : row + 13, column - 12 : column + 13] += 400 * kernel
    batch.signal, batch.variance = signal, torch.ones_like(signal)
    batch.valid, batch.saturated = torch.ones_like(signal).bool(), torch.zeros_like(signal).bool()
    upside_down = ImageBatch(**{name: value.flip(1) for name, value in vars(batch).items()})
    first, second = cut_sources(batch, x, y), cut_sources(upside_down, x, n - 1 - y)
    assert first.magnitude.numpy() == pytest.approx(-2.5 * np.log10(400), abs=0.15)
    assert first.magnitude.numpy() == pytest.approx(second.magnitude.numpy(), abs=0.01)
    assert (first.numbers - second.numbers).abs().max() < 0.1


def test_training_gives_a_model_with_its_calibration(model, recipe):
    assert model.card.task == "optical-classification"
    assert model.card.temperature > 0 and len(model.card.bias) == ARTEFACT + 1
    assert model.card.recipe["members"] == recipe.members
    assert {"area_10_30", "calibration_error"} <= set(model.card.metrics)


def test_probabilities_of_positions(model, drawn):
    own = (drawn.patch == 0) & (drawn.snr > 5)
    batch = ImageBatch(**{name: value[:1] for name, value in vars(drawn.batch).items()})
    probability = model.predict(batch, drawn.x[own], drawn.y[own])
    assert probability.shape == (own.sum(), 3)
    known = np.isfinite(probability[:, 0])
    assert known.any() and probability[known].sum(1) == pytest.approx(1)
    assert not np.allclose(
        probability, model.predict(batch, drawn.x[own], drawn.y[own], prior=0.1), equal_nan=True
    )


def test_no_source_and_no_pixel(model, drawn):
    batch = ImageBatch(**{name: value[:1] for name, value in vars(drawn.batch).items()})
    assert model.predict(batch, [], []).shape == (0, 3)
    # Far outside of the image nothing is known, and the row stays
    assert np.isnan(model.predict(batch, [30.0, 500.0], [30.0, 500.0])[1]).all()
    with pytest.raises(ValueError, match="prior"):
        model.predict(batch, [30.0], [30.0], prior="none")


def test_parts_of_an_image_share_their_prior(model, drawn):
    batch = ImageBatch(**{name: value[:1] for name, value in vars(drawn.batch).items()})
    own = (drawn.patch == 0) & (drawn.snr > 5)
    whole = model.evidence(batch, drawn.x[own], drawn.y[own])
    half = len(whole) // 2
    parts = [ClassEvidence(whole.logits[s], whole.magnitude[s]) for s in (slice(half), slice(half, None))]
    joined = ClassEvidence.cat(parts)
    assert joined.probabilities() == pytest.approx(whole.probabilities(), nan_ok=True)
