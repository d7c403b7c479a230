"""Shares of stars and galaxies that an image tells, and probabilities with them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gammapy_asid.optical.classification.prior import (
    SUBCLASSES,
    checked_prior,
    class_probabilities,
    image_shares,
)


def simulated(n=4000, seed=0):
    """Sources whose class is told by one normal number each, stars rarer among the faint."""
    rng = np.random.default_rng(seed)
    magnitude = rng.uniform(-10, -4, n)
    star = rng.random(n) < np.interp(magnitude, [-10, -4], [0.9, 0.1])
    seen = rng.normal(np.where(star, 0, 2), 1)
    # Logarithm of likelihoods, the same for galaxies of any size
    logits = np.full((n, len(SUBCLASSES)), -20.0)
    logits[:, 0], logits[:, 1:5] = -0.5 * seen**2, -0.5 * (seen[:, None] - 2) ** 2
    return logits, magnitude, star


def test_shares_of_the_image_follow_brightness():
    logits, magnitude, star = simulated()
    shares = image_shares(logits, magnitude)
    assert shares.sum(1) == pytest.approx(1)
    for low in (-10, -8, -6):
        own = (magnitude >= low) & (magnitude < low + 2)
        assert shares[own, 0].mean() == pytest.approx(star[own].mean(), abs=0.05)
    assert class_probabilities(logits, magnitude)[:, 0].sum() == pytest.approx(star.sum(), rel=0.03)


def test_probabilities_with_the_shares_of_the_image_are_true():
    logits, magnitude, star = simulated(seed=1)
    probability = class_probabilities(logits, magnitude)[:, 0]
    for low, high in ((0.1, 0.3), (0.4, 0.6), (0.7, 0.9)):
        own = (probability > low) & (probability < high)
        assert star[own].mean() == pytest.approx(probability[own].mean(), abs=0.06)


def test_priors_in_numbers():
    logits = np.zeros((1, len(SUBCLASSES)))
    star, galaxy, artefact = class_probabilities(logits, np.zeros(1), "equal")[0]
    assert star == pytest.approx(galaxy) and artefact == pytest.approx(0.02)
    share = class_probabilities(logits, np.zeros(1), 0.25)[0]
    assert share[1] / share[0] == pytest.approx(3)
    share = class_probabilities(logits, np.zeros(1), {"star": 2, "galaxy": 1, "artefact": 1})[0]
    assert share == pytest.approx([0.5, 0.25, 0.25])
    assert class_probabilities(logits, np.zeros(1), 1.0)[0, 1] == 0


def test_few_sources_keep_to_equal_shares():
    logits = np.zeros((2, len(SUBCLASSES)))
    probability = class_probabilities(logits, np.array([-5.0, np.nan]))
    assert probability[:, 0] == pytest.approx(0.49, abs=0.01)


def test_unknown_rows_stay_and_no_source_is_no_row():
    logits, magnitude, _ = simulated(50)
    logits[3] = np.nan
    probability = class_probabilities(logits, magnitude)
    assert np.isnan(probability[3]).all() and np.isfinite(np.delete(probability, 3, 0)).all()
    assert class_probabilities(np.zeros((0, len(SUBCLASSES))), np.zeros(0)).shape == (0, 3)


@given(st.floats(0, 1))
def test_any_share_of_stars_makes_shares(share):
    assert checked_prior(share).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("prior", "error"),
    [
        ("other", ValueError),
        (1.5, ValueError),
        (True, TypeError),
        (None, TypeError),
        ({"star": 1}, ValueError),
        ({"star": 1, "galaxy": -1}, ValueError),
        ({"star": 0, "galaxy": 0}, ValueError),
        ({"star": 1, "galaxy": 1, "quasar": 1}, ValueError),
    ],
)
def test_what_is_no_prior_is_refused(prior, error):
    with pytest.raises(error):
        checked_prior(prior)
