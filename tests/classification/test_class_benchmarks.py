# Licensed under a 3-clause BSD style license - see LICENSE
"""Programs that measure classes of sources: their arithmetic, and a run on a few patches."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gammapy_asid.stats.template_spectra import TEMPLATES
from gammapy_asid.tasks.classification.model import ClassLogits

candidates = pytest.importorskip("benchmarks.classification.candidates")
fakes = pytest.importorskip("benchmarks.classification.fakes_removed")
limit = pytest.importorskip("benchmarks.classification.photon_limit")
peers = pytest.importorskip("benchmarks.classification.peers")
shift = pytest.importorskip("benchmarks.classification.shift")
simulated = pytest.importorskip("benchmarks.classification.simulated_sky")
sky235 = pytest.importorskip("benchmarks.classification.sky235")


def test_likelihood_of_one_pixel():
    counts, psf, rest = (torch.tensor([[value]], dtype=torch.float64) for value in (30.0, 0.5, 10.0))
    grid, value = limit._profile(counts, psf, rest)
    np.testing.assert_allclose(value, 30 * torch.log1p(grid / 20) - grid / 2, atol=1e-9)
    # The best is where the model is the counts
    best = float(grid[0, value[0].argmax()])
    assert best == pytest.approx(40, rel=0.01)
    assert grid[0, 0] == value[0, 0] == 0


def population():
    """Soft sources of class 0 and hard ones of class 1 in two bands."""
    rng = np.random.default_rng(0)
    total = 10 ** rng.uniform(1, 3, (400, 1))
    source_class = np.repeat([0, 1], 200)
    counts = total * np.where(source_class == 0, [[0.9], [0.1]], [[0.3], [0.7]]).T
    return limit.Population(counts, source_class, rng.uniform(-90, 90, 400), np.array([1.0, 5.0]))


def likelihoods(*means):
    """Likelihoods of counts that equal their expectation, on a sky of ten counts a band."""
    parts = []
    for mean in means:
        bands = [limit._profile(*(torch.tensor([[v]]).double() for v in (m + 10, 1, 10))) for m in mean]
        parts.append(limit.Likelihoods(*(torch.stack(v, 1).numpy() for v in zip(*bands, strict=True))))
    return limit.Likelihoods.cat(parts)


def test_photons_tell_spectra_apart():
    found = likelihoods((90, 10), (30, 70), (0, 0))
    odds = np.array([population().log_odds(found, row, 20.0, -1, 0.01) for row in range(3)])
    assert odds[0, 0] > odds[0, 1] + 5 and odds[1, 1] > odds[1, 0] + 5
    assert odds[:2].max(axis=1).min() > 0
    # Nothing there: a source is less probable than none, by far more than its area says
    assert odds[2].max() < 0


def test_source_says_nothing_on_itself():
    found, own = likelihoods((5, 900)), population()
    alone = limit.Population(
        np.array([[5.0, 900.0], [900.0, 5.0]]), np.array([0, 1]), np.array([20.0, 20.0]), np.ones(2)
    )
    assert np.subtract(*alone.log_odds(found, 0, 20.0, -1, 1.0)) > 100
    assert np.subtract(*alone.log_odds(found, 0, 20.0, 0, 1.0)) < -100
    # Densities of the classes are those of the sky: 400 sources on all of it
    area = 360**2 / np.pi
    middle = np.degrees(np.arcsin(np.linspace(-1, 1, 401)[:-1] + 1 / 400))
    total = np.mean([own.density(latitude).sum() for latitude in middle]) * area
    assert total == pytest.approx(400, rel=0.1)


def test_false_candidates_at_equal_recall():
    score = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    is_real, patch = np.array([True, False, True, False, True]), np.array([0, 0, 1, 1, 1])
    n_true, weights = np.array([2, 2]), np.array([[1.0, 1.0], [2.0, 1.0]])
    left = fakes.left_at_recall(score, is_real, patch, n_true, (0.25, 0.5, 0.75, 0.9), weights)
    np.testing.assert_allclose(left[0], [0, 1, 2, np.nan])
    # The first patch counts twice: a third of six sources with the first candidate
    np.testing.assert_allclose(left[1], [0, 2, np.nan, np.nan])


def test_curvature_of_spectra():
    kinds = np.array(TEMPLATES)
    deviances = np.where(kinds[:, 2] > 0, 0.0, np.where(kinds[:, 1] > 0, 4.0, 9.0))[None]
    _, curved, cut_off, share, *shape = peers.curvature_numbers(np.array([89.0]), deviances)[0]
    assert (curved, cut_off, share) == pytest.approx((np.arcsinh(9), np.arcsinh(4), 0.1))
    # Cut-offs of 0.3, 1 and 3, alike but for the few that fit worse
    assert shape[2] == pytest.approx(4.3 / 3, rel=0.15) and 0 < shape[1] < 0.05


def test_groups_are_never_on_both_sides():
    rng = np.random.default_rng(0)
    group = np.arange(300) // 3
    # Each group has a class and a number of its own, which tell nothing on other groups
    target, numbers = rng.integers(0, 2, 100)[group], rng.standard_normal(100)[group][:, None]
    probability = peers.crossed(peers.forest(20), numbers, target, group)
    assert np.mean(probability.argmax(axis=1) == target) < 0.65


def judged_candidates(n=4):
    logits = ClassLogits(np.zeros(n), np.zeros((n, 3)), np.zeros(n), np.zeros(n, bool))
    rows = {"patch": np.arange(n), "score": np.linspace(0, 1, n)}
    return candidates.JudgedCandidates(rows, np.ones((n, 2)), {1: logits, 10: logits}, np.ones(n, int))


def test_candidates_are_kept(tmp_path):
    path, own = tmp_path / "own.npz", judged_candidates()
    for _ in range(2):
        found = candidates.simulated(path, {"seed": 1}, lambda: own)
        assert set(found.logits) == {1, 10}
        np.testing.assert_array_equal(found.rows["score"], own.rows["score"])
    with pytest.raises(ValueError, match="choose another file"):
        candidates.simulated(path, {"seed": 2}, lambda: own)
    chosen = found.select(found.rows["score"] > 0.5)
    assert len(chosen.numbers) == len(chosen.logits[10].real) == 2 and len(chosen.n_true) == 4


def test_bins_are_merged_evenly():
    np.testing.assert_array_equal(candidates.merged(10, 5), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    assert candidates.merged(20, 1).max() == 0


def test_prior_of_a_mixture():
    probability = np.array([[0.5, 0.2, 0.1, 0.2]])
    np.testing.assert_allclose(shift.stated_probabilities(probability, (1, 1, 1, 1)), probability)
    stated = shift.stated_probabilities(probability, (1, 3, 3, 2))[0]
    assert stated[1] / stated[0] == pytest.approx(1.2) and stated.sum() == pytest.approx(1)
    rows = {"ts": np.array([1.0, 900.0]), "latitude": np.array([0.0, 0.0])}
    weights = shift.mixture_weights(np.array([0, 1]), rows, (1, 3, 3, 1), True)
    assert weights.mean() == pytest.approx(1) and weights[1] / weights[0] == pytest.approx(0.3)


def test_stating_the_prior_calibrates():
    """Where nothing but the shares of the classes differs, probabilities are true again."""
    rng = np.random.default_rng(0)
    probability = rng.dirichlet(np.ones(4), 20_000)
    true = (probability.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1)
    odds = (1.0, 3.0, 3.0, 2.0)
    weights = shift.mixture_weights(true, {}, odds, False)
    stated = shift.stated_probabilities(probability, odds)
    for i in range(4):
        share = np.average(true == i, weights=weights)
        assert np.average(stated[:, i], weights=weights) == pytest.approx(share, abs=0.01)
        assert abs(np.average(probability[:, i], weights=weights) - share) > 0.02 or i == 3


def test_tables_of_sky_235():
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 300)
    probability = 0.2 + 0.4 * np.eye(3)[target]
    own = SimpleNamespace(score=rng.uniform(0.1, 1, 300), ts=rng.uniform(5, 500, 300))
    results, bins = sky235.measure(own, target, {"network": probability, "photons": probability})
    assert results["score 0.1, network, balanced"]["accuracy"]["value"] == 1
    scores = {"detector": own.score, "network": 1 - probability[:, 2]}
    left = fakes.left_figures(scores, target < 2, np.arange(300) % 10, np.full(10, 30))
    # All real ones come first: 200 of 300 sources and nothing false
    assert [v["value"] for v in left["network"]["left"]] == [0] * 4
    assert left["detector"]["ratio"][0]["value"] == 1
    text = sky235.to_markdown(results, bins, left)
    assert "published network" in text and "1.000" in text
    assert len(sky235.figure(own, target, {"network": probability, "photons": probability}).axes) == 3


def test_patches_of_few_candidates(monkeypatch, candidate_simulator, class_recipe):
    """The way from patches to tables with a network that knows nothing."""
    from gammapy_asid.tasks.classification.calibrate import range_fields
    from gammapy_asid.tasks.classification.model import ClassificationModel
    from gammapy_asid.tasks.classification.task import ClassificationTask

    monkeypatch.setattr(candidates, "BATCH", 8)
    task, simulator = ClassificationTask(), candidate_simulator
    network = task.network(class_recipe, simulator.bands).eval()
    card = task.new_card(network, class_recipe, simulator.bands, **range_fields(simulator))
    model = ClassificationModel(card, network)
    found = candidates.simulate(model, simulator.detector, simulator.patches, 16, 0, 4, (4, 1))
    rows = found.rows
    assert len(found.n_true) == 16 and rows["patch"].max() < 16
    assert np.all(np.diff(rows["patch"] // 8) >= 0)
    real = rows["source_class"] >= 0
    # Sources above two standard deviations; each candidate claims one of its own
    assert rows["significance"][real].min() >= 2 and np.all(rows["significance"][~real] == 0)
    assert np.all(np.bincount(rows["patch"][real], minlength=16) <= found.n_true)
    bright = real & (rows["significance"] > 6)
    ratio = np.sqrt(rows["ts"][bright]) / rows["significance"][bright]
    assert 0.7 < np.median(ratio) < 1.4
    assert simulated.true_classes(rows["source_class"]).max() == 3
    text = shift.to_markdown({"4": shift.faint_end(found, 4)}, {"4": shift.mixtures(found, 4)})
    assert "unassociated" in text
