# Licensed under a 3-clause BSD style license - see LICENSE
import numpy as np
import pytest
import torch

from gammapy_asid.optical.batch import HALF, OVERSAMPLING, ImageBatch
from gammapy_asid.optical.detection.hidden import N_HIDDEN, with_hidden
from gammapy_asid.optical.detection.hidden_score import hidden_columns, hidden_score
from gammapy_asid.optical.detection.model import OpticalDetectionModel
from gammapy_asid.optical.detector import OpticalSourceDetector
from gammapy_asid.optical.fit.profiles import Profiles
from gammapy_asid.optical.images import prepare_image, read_image
from gammapy_asid.optical.psf import PSF


@pytest.fixture(scope="module")
def crowd():
    """Prepared image with a crowd in its lower left quarter, and its stars."""
    rng = np.random.default_rng(5)
    steps = np.arange(-HALF * OVERSAMPLING, HALF * OVERSAMPLING + 1) / OVERSAMPLING
    profile = np.exp(-(steps**2) / 2)
    psf = PSF(terms=np.outer(profile, profile))
    n, side = 220, 160
    x, y, flux = rng.uniform(4, 76, n), rng.uniform(4, 76, n), rng.uniform(200, 600, n)
    batch = ImageBatch(
        signal=None, variance=None, valid=None, saturated=None, psf=torch.from_numpy(psf.terms)
    )
    light = Profiles(batch)(torch.zeros(n).long(), *(torch.from_numpy(v).float() for v in (x, y))).numpy()
    image = np.zeros((side + 2 * HALF,) * 2)
    for stamp, row, column, brightness in zip(light, np.floor(y + 0.5), np.floor(x + 0.5), flux, strict=True):
        rows, columns = (slice(int(v), int(v) + 2 * HALF + 1) for v in (row, column))
        image[rows, columns] += stamp * brightness
    image = image[HALF:-HALF, HALF:-HALF] + rng.normal(0, 1, (side, side))
    return prepare_image(read_image(image, psf=psf)), x, y


def test_hidden_stars_are_found(crowd, monkeypatch):
    prepared, x, y = crowd
    # The crowd fills a quarter of the image
    monkeypatch.setattr("gammapy_asid.optical.detection.hidden.CROWD", 0.005)
    known_x, known_y = x[:180], y[:180]
    new_x, new_y, error, known, evidence = with_hidden(prepared, known_x, known_y, np.full(180, 0.1), 3)
    assert len(new_x) == len(new_y) == len(error) == len(known) == len(evidence)
    distance = np.hypot(new_x[:, None] - x[180:], new_y[:, None] - y[180:]).min(0)
    assert (distance < 0.5).mean() > 0.5
    assert 15 < (known < 0).sum() < 80
    # New ones are significant beside all others, their share in the light is known
    assert np.exp(evidence[known < 0, 0]).min() > 4
    assert np.isfinite(evidence[known < 0]).all()
    # Those that were known stay where they were
    kept = known >= 0
    assert kept.sum() == 180
    assert np.median(np.hypot(new_x[kept] - x[known[kept]], new_y[kept] - y[known[kept]])) < 0.1


def test_without_a_crowd_nothing_changes(crowd):
    prepared = crowd[0]
    x, y, error = np.array([100.0, 150.0]), np.array([120.0, 30.0]), np.array([0.1, 0.2])
    found = with_hidden(prepared, x, y, error, 3)
    order = np.argsort(found[3])
    for values, expected in zip(found[:4], (x, y, error, [0, 1]), strict=True):
        assert np.allclose(values[order], expected)


def test_new_stars_have_the_score_of_their_evidence(crowd, monkeypatch):
    prepared, x, y = crowd
    monkeypatch.setattr("gammapy_asid.optical.detection.hidden.CROWD", 0.005)
    alone = OpticalSourceDetector(threshold=0.3).run(prepared)
    both = OpticalSourceDetector(threshold=0.3, rounds=3).run(prepared)
    assert both.meta["rounds"] == 3 and len(both) >= len(alone)
    score = np.asarray(both.table["score"])
    assert score.min() >= 0.3 and np.all(np.diff(score) <= 0)
    # What the network found keeps its score
    assert np.isin(np.asarray(alone.table["score"]), score).all()


def test_score_of_evidence():
    evidence = np.array([[2.0, -1.0, 0.0, 0.0], [3.0, -1.0, 0.0, 0.0]])
    columns = hidden_columns(evidence)
    assert columns.shape == (2, N_HIDDEN * (N_HIDDEN + 3) // 2)
    # The first weight is that of the significance, the fifth that of its square
    weights = np.zeros(1 + columns.shape[1])
    weights[[0, 1, 5]] = -1, 0.5, 0.25
    assert hidden_score(evidence, weights) == pytest.approx(1 / (1 + np.exp(-np.array([1.0, 2.75]))))


def test_rounds_need_a_model_that_saw_crowds(monkeypatch):
    trained = OpticalDetectionModel.load("optical", "cpu")
    trained.card = trained.card.model_copy(update={"hidden_weights": ()})
    monkeypatch.setattr(OpticalDetectionModel, "load", lambda model, device: trained)
    assert OpticalSourceDetector().rounds == 0
    with pytest.raises(ValueError, match="too few crowds in training: give rounds=0"):
        OpticalSourceDetector(rounds=1)
