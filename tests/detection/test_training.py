# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the training."""

import csv

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from gammapy_asid.inputs.bands import LAT_BANDS
from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.learning.run import train
from gammapy_asid.learning.stream import SimulatedBatches
from gammapy_asid.learning.targets import detection_loss, match_radius, target_maps
from gammapy_asid.learning.trainer import TaskModule
from gammapy_asid.tasks.detection.network import build_network
from gammapy_asid.tasks.detection.recipe import DetectionRecipe
from gammapy_asid.tasks.detection.simulated_candidates import simulated_candidates
from gammapy_asid.tasks.detection.simulator import build_simulator, dataset_simulator
from gammapy_asid.tasks.detection.task import DetectionTask


@pytest.fixture(scope="module")
def responses(make_response):
    return [make_response(0.1), make_response(0.15, livetime=0.3)]


@pytest.fixture(scope="module")
def simulator(tiny_recipe, responses):
    return build_simulator(tiny_recipe, responses, [0.5, 0.5])


def test_target_maps():
    x, y, patch = torch.tensor([10.3, 20.0, 50.0]), torch.tensor([12.0, 8.4, 8.0]), torch.tensor([0, 1, 1])
    maps = target_maps(patch, x, y, torch.full((2,), 0.1), 2, (32, 32))
    assert maps.shape == (2, 5, 32, 32)
    centre, match, dx, dy, weight = maps[0]
    assert_allclose(centre[12, 10], np.exp(-0.5 * (0.03 / LAT_BANDS.centre_sigma) ** 2), rtol=1e-5)
    assert int(centre.argmax()) == 12 * 32 + 10
    # Pixels within 0.3 deg of the source.
    grid = np.arange(32)
    inside = np.hypot(grid - 10.3, grid[:, None] - 12.0) * 0.1 < LAT_BANDS.match_radius
    assert_array_equal(match.numpy() == 1, inside)
    marked = weight.numpy() == 1
    assert marked.sum() > 4
    points = np.add(np.meshgrid(grid, grid), [dx.numpy(), dy.numpy()])
    assert_allclose(points[0][marked], 10.3, atol=1e-5)
    assert_allclose(points[1][marked], 12.0, atol=1e-5)
    # A source outside the patch leaves no mark.
    assert_allclose(
        maps[1, 0].sum(),
        target_maps(patch[1:2], x[1:2], y[1:2], torch.full((2,), 0.1), 2, (32, 32))[1, 0].sum(),
    )


def test_offsets_point_to_the_nearest_source():
    x, y = torch.tensor([10.0, 13.0]), torch.tensor([10.0, 10.0])
    maps = target_maps(torch.zeros(2, dtype=torch.long), x, y, torch.tensor([0.1]), 1, (32, 32))[0]
    assert_allclose(maps[2, 10, 9:15], [1, 0, -1, 1, 0, -1], atol=1e-6)


def test_perfect_answer_has_the_smallest_loss():
    maps = target_maps(
        torch.tensor([0]), torch.tensor([10.3]), torch.tensor([12.0]), torch.tensor([0.1]), 1, (32, 32)
    )
    right = torch.cat(
        [torch.logit(maps[:, :2].clamp(1e-6, 1 - 1e-6)), maps[:, 2:4], torch.full((1, 1, 32, 32), -3.0)], 1
    )
    wrong = right.clone()
    wrong[:, 2] += 1
    mask = torch.ones(1, 32, 32)
    best, worse, blank = (detection_loss(o, maps, mask) for o in (right, wrong, torch.zeros_like(right)))
    assert worse["offset"] > best["offset"]
    assert blank["centre"] > best["centre"]
    assert blank["match"] > best["match"]
    assert_allclose(blank["match"], np.log(2), rtol=1e-5)
    # What is masked costs nothing.
    half = mask.clone()
    half[:, :, 5:] = 0
    assert_allclose(detection_loss(wrong, maps, half)["offset"], 0)


def test_offset_errors_are_those_of_the_offsets():
    """The loss is smallest where the predicted deviation of each axis is that of the offsets."""
    maps = target_maps(
        torch.tensor([0]), torch.tensor([10.0]), torch.tensor([12.0]), torch.tensor([0.1]), 1, (32, 32)
    )
    log_sigma = torch.linspace(-2, 1, 61)
    losses = []
    for value in log_sigma:
        output = torch.cat([maps[:, :2], maps[:, 2:4] + 0.4, torch.full((1, 1, 32, 32), float(value))], 1)
        losses.append(float(detection_loss(output, maps, torch.ones(1, 32, 32))["offset"]))
    assert float(log_sigma[np.argmin(losses)]) == pytest.approx(np.log(0.4), abs=0.03)


def test_match_radius_of_wide_sources_is_bounded():
    radius = match_radius(LAT_BANDS, torch.tensor([0.0, 0.5, 100.0]))
    wide = 0.7 * torch.tensor([0.0, 0.5, 5 * LAT_BANDS.match_radius])
    assert_allclose(radius, torch.hypot(torch.full((3,), LAT_BANDS.match_radius), wide))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nepochs: 3", "epochs"),
        ("name: a\npatch_size: 33", "multiple of 8"),
        ("name: a\nbackground_share: 1.5", "at most 1.0"),
        ("seed: 1", "name"),
        ("name: a\noptimiser: {precision: 16}", "precision"),
        ("name: [", "not a valid recipe"),
        ("- a list", "not a valid recipe"),
        ("name: a\ntask: [detection]", "Unknown task"),
        ("name: a\nplane: {fields: 2}\ninstruments: [{irf: any}]", "leave out plane or instruments"),
        ("name: a\nlibrary: file.safetensors", "add simulator: generated-counts"),
        ("", "name"),
    ],
)
def test_invalid_recipes(tmp_path, text, message):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_recipe(path)
    assert str(path) in str(error.value)


def test_recipes_without_an_instrument_or_with_two(extension_dataset):
    recipe = DetectionRecipe(name="a")
    with pytest.raises(ValueError, match="Recipe 'a' has no instruments: add the entry instruments"):
        build_simulator(recipe)
    with pytest.raises(ValueError, match="Recipe 'cta-gps' is for fields of the plane of the CTAO"):
        dataset_simulator(extension_dataset, read_recipe("cta-gps"))


def test_recipes(tmp_path, monkeypatch):
    lat = read_recipe("lat")
    assert lat.name == "lat"
    assert lat.instruments
    assert len(lat.sha256) == 64
    path = tmp_path / "own.yaml"
    path.write_text("name: own\nseed: 1\nemission: $BANKS/bank.safetensors")
    own = read_recipe(path)
    monkeypatch.setenv("BANKS", "/somewhere")
    assert str(own.emission_path) == "/somewhere/bank.safetensors"
    assert own.sha256 != own.model_copy(update={"seed": 2}).sha256
    known = "classes, cta-extension, cta-gps, dataset, extension, fine-emission, generated-counts, lat"
    with pytest.raises(FileNotFoundError, match=f"give a YAML file or one of {known}"):
        read_recipe("nonsense")


def test_patches(simulator):
    patches = simulator.draw(8, 3)
    batch = patches.batch
    assert [tuple(c.shape) for c in batch.counts] == [(8, 32 >> v, 32 >> v) for v in LAT_BANDS.levels]
    assert batch.has_background.any()
    assert not batch.has_background.all()
    for band, level in enumerate(LAT_BANDS.levels):
        counts, sky, valid = batch.counts[band], batch.background[band], batch.mask[band]
        assert torch.equal(counts, torch.round(counts))
        assert not counts[valid == 0].any()
        # Without a prediction every valid pixel counts alike.
        unknown = ~batch.has_background
        assert_array_equal(sky[unknown], valid[unknown])
        assert bool((sky[valid > 0] > 0).all())
        assert level in (0, 1, 2, 3)
    # A prediction is wrong by tens of percent, not by factors; sources are a part of the counts.
    known = batch.has_background
    ratio = batch.counts[0][known].sum((1, 2)) / batch.background[0][known].sum((1, 2))
    assert 0.6 < float(ratio.median()) < 2.5
    assert float(patches.flux.min()) > 0
    assert int(patches.patch.max()) < 8


def test_equal_seeds_give_equal_batches(simulator):
    stream = SimulatedBatches(DetectionTask(), simulator, 2, 6, seed=9)
    later = SimulatedBatches(DetectionTask(), simulator, 2, 6, seed=9, start=4)
    batches = list(stream)
    assert len(batches) == 6
    for one, other in zip(batches[4:], later, strict=True):
        ((inputs, *rest), targets), ((again, *others), same) = one, other
        for level in inputs:
            assert_array_equal(inputs[level], again[level])
        for value, equal in zip((*rest, *targets), (*others, *same), strict=True):
            assert_array_equal(value, equal)
    other = SimulatedBatches(DetectionTask(), simulator, 2, 6, seed=10)[0]
    assert not torch.equal(other[0][0][0], batches[0][0][0][0])


def test_simulated_candidates(simulator):
    network = build_network(LAT_BANDS, (4, 4, 4, 4)).eval()
    torch.nn.init.constant_(network.head.bias[:2], 0.0)
    patches = [simulator.draw(4, seed) for seed in range(2)]
    candidates, n_true = simulated_candidates(network, patches)
    size = {len(v) for v in candidates.values()}
    assert len(size) == 1
    assert n_true.sum() > 10
    matched = np.isfinite(candidates["offset"])
    assert np.all(candidates["offset"][matched] < LAT_BANDS.match_radius)
    assert np.all(np.isfinite(candidates["flux"][matched]))


def read_metrics(folder):
    with open(folder / "metrics.csv") as file:
        return list(csv.DictReader(file))


class Killed(Exception):
    """Stands for a lost machine."""


def test_killed_and_resumed_equals_uninterrupted(tiny_recipe, tmp_path, simulator, monkeypatch):
    whole = train(tiny_recipe, tmp_path / "whole", simulator, num_workers=0, progress=False)
    assert (tmp_path / "whole" / "last.ckpt").exists()
    rows = read_metrics(tmp_path / "whole")
    assert sum(bool(row["loss"]) for row in rows) == 2
    assert sum(bool(row.get("recall_background") or row.get("recall_counts")) for row in rows) == 2

    step = TaskModule.training_step

    def dies(self, batch, batch_idx):
        if self.trainer.current_epoch == 1 and batch_idx == 2:
            raise Killed
        return step(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(TaskModule, "training_step", dies)
        with pytest.raises(Killed):
            train(tiny_recipe, tmp_path / "cut", simulator, num_workers=0, progress=False)
    resumed = train(tiny_recipe, tmp_path / "cut", simulator, num_workers=0, progress=False)
    for (name, one), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
    assert not whole.training
    assert read_metrics(tmp_path / "cut") == rows
    # A finished training has nothing left to do.
    again = train(tiny_recipe, tmp_path / "cut", simulator, num_workers=0, progress=False)
    assert torch.equal(again.head.weight, resumed.head.weight)


def test_workers_make_the_same_batches(tiny_recipe, tmp_path, simulator):
    optimiser = tiny_recipe.optimiser.model_copy(update={"epochs": 1})
    short = tiny_recipe.model_copy(update={"optimiser": optimiser})
    alone, helped = (
        train(short, tmp_path / str(n), simulator, num_workers=n, progress=False) for n in (0, 1)
    )
    assert torch.equal(alone.head.weight, helped.head.weight)


def test_recipe_beside_a_folder_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "lat").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_recipe("lat").name == "lat"
