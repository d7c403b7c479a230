# Licensed under a 3-clause BSD style license - see LICENSE
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn import metrics

from gammapy_asid.evaluation.class_evaluation import evaluate_classes
from gammapy_asid.evaluation.class_metrics import weighted_calibration_error
from gammapy_asid.evaluation.intervals import share_intervals
from gammapy_asid.evaluation.metrics import binomial_interval
from gammapy_asid.evaluation.numbers import plain
from gammapy_asid.learning.score_calibration import expected_calibration_error

NAMES = ["AGN", "PSR", "PWN-SNR"]


def sample(n, seed=0, sharpness=1.0, digits=None):
    """Probabilities of which the true classes are drawn, made sharper or cut to a few digits."""
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet([2, 0.8, 0.5], n)
    true = (rng.random(n)[:, None] > probability.cumsum(axis=1)[:, :-1]).sum(axis=1)
    stated = probability**sharpness
    stated /= stated.sum(axis=1, keepdims=True)
    if digits is not None:
        stated[:, :-1] = np.floor(stated[:, :-1] * 10**digits) / 10**digits
        stated[:, -1] = 1 - stated[:, :-1].sum(axis=1)
    return true, stated


@pytest.mark.parametrize("digits", [None, 1])
def test_figures_are_those_of_scikit_learn(digits):
    true, probability = sample(400, digits=digits)
    weights = np.random.default_rng(1).uniform(0.2, 3, 400)
    called = probability.argmax(axis=1)
    own = evaluate_classes(true, probability, NAMES, weights=weights, n_resamples=20)
    values = {name: [v.value for v in intervals] for name, intervals in own.per_class.items()}
    right = metrics.precision_recall_fscore_support(true, called, sample_weight=weights)
    for name, expected in zip(("precision", "recall", "f1"), right[:3], strict=True):
        assert_allclose(values[name], expected, rtol=1e-5)
    for i in range(3):
        ranked = (true == i, probability[:, i])
        area = metrics.roc_auc_score(*ranked, sample_weight=weights)
        precision = metrics.average_precision_score(*ranked, sample_weight=weights)
        pure, found, _ = metrics.precision_recall_curve(*ranked, sample_weight=weights)
        assert values["roc_area"][i] == pytest.approx(area, rel=1e-5)
        assert values["average_precision"][i] == pytest.approx(precision, rel=1e-5)
        assert values["recall_at_precision"][i] == pytest.approx(found[pure >= 0.85].max(), rel=1e-5)
    overall = {name: interval.value for name, interval in own.overall.items()}
    assert_allclose(
        [overall["accuracy"], overall["macro_f1"]],
        [
            metrics.accuracy_score(true, called, sample_weight=weights),
            metrics.f1_score(true, called, average="macro", sample_weight=weights),
        ],
        rtol=1e-5,
    )
    balanced = metrics.balanced_accuracy_score(true, called, sample_weight=weights)
    assert overall["balanced_accuracy"] == pytest.approx(balanced, rel=1e-5)


def test_calibration_error_is_that_of_scores():
    true, probability = sample(401)
    own = evaluate_classes(true, probability, n_resamples=20)
    for i, interval in enumerate(own.per_class["calibration_error"]):
        expected = expected_calibration_error(probability[:, i], true == i)
        assert interval.value == pytest.approx(expected, rel=1e-5)


def test_shares_have_wilson_intervals():
    hits, number = np.array([0, 3, 16, 16]), np.array([0, 10, 16, 100])
    with np.errstate(invalid="ignore"):
        intervals = share_intervals(hits / number, number)
    for content, ends in ((0.68, ("low_68", "high_68")), (0.95, ("low_95", "high_95"))):
        _, low, high = binomial_interval(hits, number, content)
        assert_allclose([getattr(v, ends[0]) for v in intervals], low, atol=1e-9)
        assert_allclose([getattr(v, ends[1]) for v in intervals], high, atol=1e-9)
    # All of sixteen may still be 94 % of many
    assert intervals[2].low_68 == pytest.approx(0.942, abs=0.001)


def test_intervals_hold_the_truth():
    true, probability = sample(200_000)
    whole = evaluate_classes(true, probability, n_resamples=5)
    truth = {name: [v.value for v in intervals] for name, intervals in whole.per_class.items()}
    inside = {name: [] for name in ("precision", "recall", "f1", "roc_area", "average_precision")}
    for start in range(0, 42_000, 600):
        rows = slice(start, start + 600)
        own = evaluate_classes(true[rows], probability[rows], n_resamples=150)
        for name, found in inside.items():
            found += [
                v.low_68 <= t <= v.high_68 for v, t in zip(own.per_class[name], truth[name], strict=True)
            ]
    # 210 intervals each: 68 % with an error of 3 % or more, for the classes share their sources
    assert all(0.58 < np.mean(found) < 0.78 for found in inside.values()), inside


def test_calibration_against_chance():
    true, probability = sample(2000)
    own = evaluate_classes(true, probability, n_resamples=300)
    for interval, (median, top) in zip(
        own.per_class["calibration_error"], own.calibration_chance, strict=True
    ):
        # Probabilities that are true have an error in any sample, and no interval that leaves out none
        assert interval.low_95 == 0 and 0 < interval.value < 1.2 * top and median < top
    true, sharper = sample(2000, sharpness=2)
    own = evaluate_classes(true, sharper, n_resamples=300)
    true, sharper = sample(400_000, 5, sharpness=2)
    expected = [
        weighted_calibration_error(sharper[:, i], true == i, np.ones((1, 400_000)))[0] for i in range(3)
    ]
    for i, interval in enumerate(own.per_class["calibration_error"]):
        assert interval.value > own.calibration_chance[i][1]
        assert interval.low_95 < expected[i] < interval.high_95


def test_prior_of_another_sky():
    true, probability = sample(3000)
    share = [0.2, 0.3, 0.5]
    own = evaluate_classes(true, probability, NAMES, prior=share, n_resamples=50)
    assert_allclose(own.matrix.sum(axis=1) / own.matrix.sum(), share, rtol=1e-5)
    plain_one = evaluate_classes(true, probability, NAMES, n_resamples=50)
    # What each true class is called does not depend on how common it is; who is among those called does
    assert_allclose(
        [v.value for v in own.per_class["recall"]],
        [v.value for v in plain_one.per_class["recall"]],
        rtol=1e-5,
    )
    assert own.per_class["precision"][2].value > plain_one.per_class["precision"][2].value
    assert "weighted" in str(own)


def test_sources_without_probabilities_are_said():
    true, probability = sample(253)
    texts = np.array(NAMES)[true]
    probability[[3, 10]] = np.nan
    own = evaluate_classes(np.char.encode(texts), probability, NAMES, n_resamples=50)
    text = str(own)
    assert own.number.sum() == 251 and own.left_out.sum() == 2
    assert f"Left out, for they have no probabilities: {own.left_out[0]} AGN" in text
    assert max(len(line) for line in text.splitlines()) <= 80
    kept = np.setdiff1d(np.arange(253), [3, 10])
    assert own.numbers == evaluate_classes(true[kept], probability[kept], NAMES, n_resamples=50).numbers | {
        "left_out": own.left_out.tolist()
    }
    json.dumps(plain(own.numbers))
    table = own.to_table()
    assert list(table["class"]) == NAMES
    assert (table["recall_low_95"] < table["recall_low_68"]).all()


def test_masked_probabilities_are_none():
    true, probability = sample(50)
    masked = np.ma.array(probability, mask=False)
    masked[0] = np.ma.masked
    assert evaluate_classes(true, masked, n_resamples=5).left_out[true[0]] == 1


def test_class_that_is_not_there():
    true, probability = sample(300)
    rows = true < 2
    own = evaluate_classes(true[rows], probability[rows], NAMES, n_resamples=20)
    assert own.number[2] == 0
    assert np.isnan(own.per_class["recall"][2].value) and np.isnan(own.per_class["roc_area"][2].value)
    assert own.per_class["precision"][2].value == 0
    mean = np.mean([v.value for v in own.per_class["f1"][:2]])
    assert own.overall["macro_f1"].value == pytest.approx(mean)
    assert " -" in str(own)


def test_given_calls():
    true, probability = sample(100)
    own = evaluate_classes(true, probability, NAMES, called=np.array(NAMES)[true], n_resamples=5)
    assert own.overall["accuracy"].value == 1
    assert own.overall["accuracy"].low_95 < 0.97


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"probability": np.ones((4, 3))}, "add up to 1"),
        ({"probability": np.full((4, 3), np.nan)}, "nothing to judge"),
        ({"probability": np.ones(4)}, "shape"),
        ({"true": ["AGN", "PSR", "BCU", "AGN"]}, "'BCU'. The classes are AGN, PSR, PWN-SNR"),
        ({"true": [0, 1, 3, 0]}, "Unknown true classes: 3"),
        ({"true": [0, 1]}, "2 true classes for 4 rows"),
        ({"true": np.ma.array([0, 1, 2, 0], mask=[0, 0, 0, 1])}, "masked"),
        ({"called": ["AGN", "PSR", "bcu", "AGN"]}, "Unknown called classes: 'bcu'"),
        ({"names": ["a", "a", "b"]}, "different names"),
        ({"weights": [1, 1, -1, 1]}, "none negative"),
        ({"weights": [0, 0, 0, 0]}, "All weights are zero"),
        ({"prior": [1, 1]}, "3 shares"),
        ({"true": [0, 1, 0, 0], "prior": [1, 1, 1]}, "no source was judged"),
    ],
)
def test_bad_input(change, message):
    given_ones = {"true": [0, 1, 2, 0], "probability": np.full((4, 3), 1 / 3), "names": NAMES} | change
    with pytest.raises(ValueError, match=message):
        evaluate_classes(**given_ones)


@given(st.integers(1, 30), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_any_sample(n, n_classes, seed):
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(n_classes), n)
    own = evaluate_classes(rng.integers(n_classes, size=n), probability, n_resamples=20)
    for interval in [*own.overall.values(), *own.per_class["recall"], *own.per_class["precision"]]:
        if np.isfinite(interval.value):
            assert 0 <= interval.low_68 <= interval.high_68 <= 1
    assert str(own)
