# Licensed under a 3-clause BSD style license - see LICENSE
from dataclasses import replace

import numpy as np
import pytest
import torch

from gammapy_asid.learning.run import evaluate_model, train_model
from gammapy_asid.tasks import get_task
from gammapy_asid.tasks.classification.batches import CandidateBatches
from gammapy_asid.tasks.classification.card import MODES
from gammapy_asid.tasks.classification.loss import FAKE, ClassTarget, class_loss, class_of, training_prior
from gammapy_asid.tasks.classification.model import ClassificationModel, network_output
from gammapy_asid.tasks.classification.network import ClassOutput, class_inputs
from gammapy_asid.tasks.measurement.features import instrument_scalars


@pytest.fixture(scope="module")
def trained(class_recipe, candidate_simulator, tmp_path_factory):
    """Folder of a model after a tiny training."""
    folder = tmp_path_factory.mktemp("classes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gammapy_asid.tasks.classification.task.N_VALIDATION", 300)
        train_model(class_recipe, folder, candidate_simulator, num_workers=0, progress=False, device="cpu")
    return folder


def test_training_to_predictions(trained, class_recipe, candidates):
    model = ClassificationModel.load(trained / "tiny-classes.safetensors", "cpu")
    assert model.card.task == "classification" and set(model.card.calibration) == set(MODES)
    assert 0.2 < model.card.real_share < 0.8
    output, outside = network_output(model.network, candidates.stamps)
    # One of a hundred lies beyond the few of this calibration in one of a hundred numbers
    assert outside.float().mean() < 0.6
    beyond = replace(candidates.stamps, scalars=candidates.stamps.scalars + 50)
    assert network_output(model.network, beyond)[1].all()
    # The instrument is judged for the whole field
    instrument = candidates.stamps.scalars.clone()
    instrument[:, instrument_scalars(6, 32)] += 0.3
    other = replace(candidates.stamps, scalars=instrument)
    assert torch.equal(network_output(model.network, other)[1], outside)
    logits = model.calibrated(output, outside, "time_detected")
    assert logits.classes.shape == (len(candidates), 3)
    assert all(np.isfinite(v).all() for v in vars(logits).values())
    figures = model.card.metrics["time_detected"]
    assert figures["n"] > 100 and figures["real_calibration_error"] < 0.2
    assert not {"candidates.jsonl"} - {path.name for path in (trained / "tiny-classes/candidates").iterdir()}


def test_training_again_changes_nothing(trained, class_recipe, candidate_simulator, monkeypatch):
    monkeypatch.setattr("gammapy_asid.tasks.classification.task.N_VALIDATION", 300)
    weights = (trained / "tiny-classes.safetensors").read_bytes()
    train_model(class_recipe, trained, candidate_simulator, num_workers=0, progress=False, device="cpu")
    assert (trained / "tiny-classes.safetensors").read_bytes() == weights


def test_batches_are_equal_for_equal_seeds(class_recipe, candidates):
    task = get_task("classification")
    epoch = CandidateBatches(task, [candidates], class_recipe, 0)
    later = CandidateBatches(task, [candidates], class_recipe, 2)
    (inputs, target), (again, same) = epoch[2], later[0]
    assert all(torch.equal(a, b) for a, b in zip((*inputs, *target), (*again, *same), strict=True))
    with pytest.raises(IndexError, match="No batch 3 in an epoch of 3"):
        epoch[3]


def test_batches_are_balanced(class_recipe, candidates):
    optimiser = class_recipe.optimiser.model_copy(update={"batch_size": 2000})
    recipe = class_recipe.model_copy(update={"optimiser": optimiser})
    _, target = CandidateBatches(get_task("classification"), [candidates], recipe, 0)[0]
    share = np.array([np.mean(target.source_class.numpy() == number) for number in (-1, 0, 1, 2)])
    np.testing.assert_allclose(share, (0.32, 0.16, 0.16, 0.18), atol=0.06)
    # What is chosen more often counts less where real and fake are weighed
    natural = np.average(target.source_class.numpy() < 0, weights=1 / target.weight.numpy())
    assert abs(natural - np.mean(candidates.source_class.numpy() < 0)) < 0.05


def test_one_bin_is_no_time(candidates):
    """Without time the network sees no variability."""
    whole = candidates.stamps.whole()
    inputs = class_inputs(whole)
    assert torch.all(inputs.numbers[:, -4:] == 0)
    assert torch.all(class_inputs(candidates.stamps).numbers[:, -4] == 1)
    # Expected counts of the steady model are those of the fit
    torch.testing.assert_close(inputs.still, class_inputs(candidates.stamps).still)


def test_turned_stamps_keep_the_numbers(candidates):
    turned = candidates.stamps.turned(5)
    assert torch.equal(class_inputs(turned).numbers, class_inputs(candidates.stamps).numbers)
    assert torch.equal(turned.counts.sum((-1, -2)), candidates.stamps.counts.sum((-1, -2)))
    assert not torch.equal(turned.counts, candidates.stamps.counts)


def test_loss_is_least_for_the_truth():
    source = torch.tensor([-1, 0, 1, 2, 3, 4])
    number = class_of(source)
    assert number.tolist() == [FAKE, 0, 0, 1, 2, 2]
    target = ClassTarget(source, torch.ones(6), torch.zeros(6, 3), torch.zeros(6))
    right = ClassOutput(
        torch.where(number < 0, -9.0, 9.0),
        9 * torch.eye(3)[number.clamp(min=0)],
        torch.tensor([0.0, -9, 9, 0, 0, 0]),
    )
    assert class_loss(right, target)["loss"] < 0.01
    wrong = right._replace(classes=right.classes.roll(1, 1))
    assert class_loss(wrong, target)["classes"] > 5


def test_prior_of_the_training():
    share = training_prior([0.0, -30.0, 80.0])
    np.testing.assert_allclose(share.sum(1), 1)
    assert share[0, 0] < 0.1 and share[1, 0] > 0.8 and share[2, 2] < 0.01
    np.testing.assert_allclose(training_prior([5.0]), training_prior([-5.0]))


def test_evaluate(trained, monkeypatch, candidate_simulator):
    task = get_task("classification")
    monkeypatch.setattr(type(task), "simulator", lambda self, *args: candidate_simulator)
    monkeypatch.setattr("gammapy_asid.tasks.classification.task.N_VALIDATION", 300)
    figures = evaluate_model(trained / "tiny-classes.safetensors", task)
    assert 0 <= figures["real_area_time_detected"] <= 1


def test_other_instruments_are_refused(class_recipe):
    from gammapy_asid.tasks.classification.simulator import build_candidate_simulator

    with pytest.raises(ValueError, match="Fermi-LAT"):
        build_candidate_simulator(class_recipe.model_copy(update={"detector": "cta-gps"}))
