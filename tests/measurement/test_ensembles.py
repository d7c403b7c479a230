# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the ensembles: batched networks, moments, symmetries and training."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from gammapy_asid.learning.ensembles import Ensemble, EnsembleConfig, ensemble_moments
from gammapy_asid.learning.interval_calibration import (
    apply_additive,
    apply_quantiles,
    coverage_curve,
    fit_additive,
    fit_quantiles,
    mahalanobis2,
    probability_integral_transform,
)
from gammapy_asid.tasks.detection.recipe import SourceRecipe
from gammapy_asid.tasks.measurement.features import SYMMETRIES, SourceFeatures, turn_vectors
from gammapy_asid.tasks.measurement.simulator import FAINTEST_GIVEN
from gammapy_asid.tasks.measurement.training import TURN, flux_weights, train_ensemble


def test_members_are_networks_of_their_own():
    torch.manual_seed(0)
    ensemble = Ensemble(EnsembleConfig(inputs=5, targets=2, members=3, width=8))
    x = torch.randn(7, 5)
    mean, factor = ensemble(x)
    assert mean.shape == (3, 7, 2)
    assert factor.shape == (3, 7, 2, 2)
    for member in range(3):
        value = x
        for i, (weight, bias) in enumerate(zip(ensemble.mean.weights, ensemble.mean.biases, strict=True)):
            value = value @ weight[member] + bias[member]
            value = torch.nn.functional.silu(value) if i < 2 else value
        assert_allclose(mean[member].detach(), value.detach(), atol=1e-5)
    assert not torch.allclose(mean[0], mean[1])


def test_factor_is_that_of_the_inverse_covariance():
    ensemble = Ensemble(EnsembleConfig(inputs=5, targets=2, members=2, width=8))
    factor = ensemble.factor(torch.tensor([0.5, -0.2, 0.7]))
    moments = ensemble_moments(torch.zeros(1, 1, 2), factor[None, None])
    assert_allclose(torch.linalg.inv(factor @ factor.T), moments.covariance[0], atol=1e-6)
    assert_allclose(moments.covariance[0, 1, 1], np.exp(2 * -0.2), rtol=1e-5)


def test_moments_are_those_of_the_mixture():
    rng = np.random.default_rng(0)
    mean = torch.tensor(rng.normal(size=(4, 3, 1)))
    sigma = torch.tensor(rng.uniform(0.5, 2, (4, 3)))
    moments = ensemble_moments(mean, (1 / sigma)[..., None, None])
    draws = mean[..., 0].numpy()[..., None] + sigma.numpy()[..., None] * rng.normal(size=(4, 3, 200000))
    assert_allclose(moments.mean[:, 0], draws.mean((0, 2)), atol=0.02)
    assert_allclose(moments.covariance[:, 0, 0], draws.var((0, 2)), rtol=0.02)
    assert_allclose(moments.epistemic[:, 0, 0], mean[..., 0].numpy().var(0), rtol=1e-6)


def make_features(x, y, n=1):
    """Features of a bright pixel at an offset from the middle."""
    image = torch.zeros(n, 5, 5)
    image[:, 2 + y, 2 + x] = 1
    vectors = torch.tensor([[[float(x), float(y)]]]).expand(n, 1, 2)
    matrix = torch.tensor([[x**2 - y**2, 2.0 * x * y]]).expand(n, 2) / 2
    return SourceFeatures(torch.zeros(n, 1), vectors, matrix, [image], torch.ones(n))


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_orientations_agree(symmetry):
    x, y = 1, -2
    turned = turn_vectors(torch.tensor([float(x), float(y)]), symmetry)
    expected = make_features(*(int(v) for v in turned)).flat()
    assert_allclose(make_features(x, y).flat(symmetry), expected)


class Toy:
    """A noisy line, whose noise grows with its input."""

    name, targets = "toy", 1

    def __init__(self, n=4000):
        rng = np.random.default_rng(0)
        self.x = torch.tensor(rng.uniform(-1, 1, (n, 1)), dtype=torch.float32)
        self.sigma = 0.1 * torch.exp(self.x)
        self.y = 2 * self.x + self.sigma * torch.tensor(rng.normal(size=(n, 1)), dtype=torch.float32)

    def __len__(self):
        return len(self.x)

    def batch(self, rows, generator, symmetry=None):
        return self.x[rows], self.y[rows], torch.ones(len(rows))


RECIPE = SourceRecipe(members=3, width=16, batch_size=64, steps=400, learning_rate=1e-2, weight_decay=0)


def test_training_learns_mean_and_spread(tmp_path):
    task = Toy()
    ensemble = train_ensemble(task, RECIPE, tmp_path, progress=False)
    with torch.inference_mode():
        moments = ensemble_moments(*ensemble(task.x))
    assert_allclose(moments.mean, 2 * task.x, atol=0.1)
    assert_allclose(torch.sqrt(moments.covariance[:, 0]), task.sigma, rtol=0.35)
    # A finished training is read back, and equal seeds give equal weights.
    again = train_ensemble(task, RECIPE, tmp_path, progress=False)
    anew = train_ensemble(task, RECIPE, tmp_path / "anew", progress=False)
    for other in (again, anew):
        for name, value in ensemble.state_dict().items():
            assert torch.equal(value, other.state_dict()[name]), name


def test_interrupted_training_goes_on(tmp_path, monkeypatch):
    task, recipe = Toy(), RECIPE.model_copy(update={"steps": 400})
    whole = train_ensemble(task, recipe, tmp_path / "whole", progress=False)
    calls = []

    def interrupted(rows, generator, symmetry=None):
        calls.append(1)
        if len(calls) > 560:
            raise KeyboardInterrupt
        return Toy.batch(task, rows, generator)

    monkeypatch.setattr(task, "batch", interrupted)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train_ensemble(task, recipe, tmp_path / "part", progress=False)
    monkeypatch.undo()
    resumed = train_ensemble(task, recipe, tmp_path / "part", progress=False)
    for name, value in whole.state_dict().items():
        assert_allclose(value, resumed.state_dict()[name], atol=1e-6)


def test_all_fluxes_are_equally_likely():
    rng = np.random.default_rng(0)
    significance = np.exp(rng.exponential(1, 40000))
    weights = flux_weights(torch.tensor(significance), torch.zeros(40000, dtype=torch.bool)).numpy()
    assert weights.mean() == pytest.approx(1)
    edges = np.linspace(2, 0.5 * TURN, 5)
    counts, _ = np.histogram(significance, edges, weights=weights)
    # The turn is gradual.
    middle = (edges[1:] + edges[:-1]) / 2
    assert_allclose(counts * np.hypot(1, middle / TURN) / counts.mean(), 1, atol=0.2)


def test_empty_places_stand_for_the_faintest_fluxes():
    rng = np.random.default_rng(2)
    significance = np.append(np.exp(np.log(FAINTEST_GIVEN) + rng.exponential(1, 40000)), np.zeros(7000))
    weights = flux_weights(torch.tensor(significance), torch.ones(47000, dtype=torch.bool)).numpy()
    edges = np.arange(0, 4.1, FAINTEST_GIVEN)
    counts, _ = np.histogram(significance, edges, weights=weights)
    # As many as in the other intervals of the flux.
    assert_allclose(counts / counts[1:].mean(), 1, atol=0.2)


def test_weighted_mean_is_right_for_a_given_truth():
    rng = np.random.default_rng(1)
    true = 2 * rng.random(400000) ** (-1 / 1.2)
    seen = true + rng.normal(size=len(true))
    weights = flux_weights(torch.tensor(true), torch.zeros(len(true), dtype=torch.bool)).numpy()
    bright = (seen > 5.9) & (seen < 6.1)
    # Of sources that look like 6 standard deviations most are fainter; those of 6 look like 6.
    assert np.mean(true[bright]) < 5.8
    assert np.average(true[bright], weights=weights[bright]) == pytest.approx(6, abs=0.1)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(0.3, 3))
def test_recalibration_restores_coverage(seed, scale):
    rng = np.random.default_rng(seed)
    spread = np.exp(rng.uniform(-3, 0, 20000))
    # The stated spreads are wrong by a factor that depends on themselves.
    pull = rng.normal(size=20000) * scale * spread**0.3
    rows = fit_quantiles(pull[::2], spread[::2], (0.16, 0.84))
    low, high = apply_quantiles(rows, spread[1::2]).T
    inside = (pull[1::2] > low) & (pull[1::2] < high)
    assert inside.mean() == pytest.approx(0.68, abs=0.03)


def test_additive_recalibration_holds_for_faint_and_bright():
    rng = np.random.default_rng(0)
    spread, flux = np.exp(rng.uniform(-3, 0, (2, 40000)))
    pull = rng.normal(size=40000) * (1 + 0.5 * np.log(flux) / 3) * spread**0.1
    fit, check = slice(None, None, 2), slice(1, None, 2)
    alone = apply_quantiles(fit_quantiles(pull[fit], spread[fit], (0.16, 0.84)), spread[check])
    variables = [spread[fit], flux[fit]]
    parts = fit_additive(pull[fit], variables, (0.16, 0.84))
    both = apply_additive(parts, [spread[check], flux[check]])
    faint = flux[check] < np.quantile(flux, 0.1)
    for quantiles, exact in ((alone, False), (both, True)):
        inside = (pull[check] > quantiles[:, 0]) & (pull[check] < quantiles[:, 1])
        assert inside.mean() == pytest.approx(0.68, abs=0.02)
        assert (abs(inside[faint].mean() - 0.68) < 0.04) == exact


def test_too_few_sources_to_recalibrate():
    with pytest.raises(ValueError, match="10 sources are too few"):
        fit_quantiles(np.zeros(10), np.ones(10), (0.5,))


def test_coverage_of_true_covariances():
    rng = np.random.default_rng(0)
    covariance = np.array([[2.0, 0.6], [0.6, 1.0]])
    delta = rng.multivariate_normal([0, 0], covariance, 20000)
    distance2 = mahalanobis2(delta, np.broadcast_to(covariance, (20000, 2, 2)))
    pit = probability_integral_transform(distance2, 2)
    assert_allclose(coverage_curve(pit, [0.1, 0.5, 0.68, 0.95]), [0.1, 0.5, 0.68, 0.95], atol=0.015)
    narrow = probability_integral_transform(2 * distance2, 2)
    assert coverage_curve(narrow, [0.68])[0] < 0.5
