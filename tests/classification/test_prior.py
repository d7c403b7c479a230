# Licensed under a 3-clause BSD style license - see LICENSE
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from astropy.coordinates import SkyCoord
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit, logit

from gammapy_asid.catalog import CLASSES
from gammapy_asid.tasks.classification.prior import SkyPrior, class_probabilities

PLACES = SkyCoord([0, 10, 120, 250], [0, -5, 30, 88], unit="deg", frame="galactic")


def logits(classes, fsrq=0.0, real=0.0):
    classes = np.atleast_2d(classes)
    n = len(classes)
    return SimpleNamespace(classes=classes, fsrq=np.full(n, fsrq), real=np.full(n, real))


def test_shares_of_4fgl():
    """In the plane nebulae and remnants, at high latitudes active galaxies; north and south are alike."""
    shares = SkyPrior()(PLACES)
    assert_allclose(shares.classes.sum(axis=1), 1)
    assert CLASSES[shares.classes[0].argmax()] == "PWN-SNR"
    # 82 AGN, 22 pulsars and 20 nebulae and remnants lie at 3 to 5 deg, 104, 17 and 14 at 5 to 7 deg
    assert_allclose(shares.classes[1], [186 / 259, 39 / 259, 34 / 259], atol=0.03)
    assert np.all(shares.classes[2:, 0] > 0.95)
    assert_allclose(shares.fsrq, 820 / 2310, atol=1e-3)
    assert shares.real is None
    other = SkyPrior()(SkyCoord(PLACES.l, -PLACES.b, frame="galactic").icrs)
    assert_allclose(other.classes, shares.classes)


@given(st.floats(-90, 90))
def test_shares_everywhere(b):
    shares = SkyPrior()(SkyCoord([33], [b], unit="deg", frame="galactic"))
    assert_allclose(shares.classes.sum(), 1)
    assert np.all(shares.classes > 0)


def test_prior_of_the_user():
    shares = SkyPrior({"AGN": 6, "PSR": 3, "PWN-SNR": 1, "real": 0.2})(PLACES)
    assert_allclose(shares.classes, [[0.6, 0.3, 0.1]] * 4)
    assert_allclose(shares.fsrq, 0.355)
    assert_allclose(shares.real, 0.2)
    equal = SkyPrior("equal")(PLACES)
    assert_allclose(equal.classes, 1 / 3)
    assert_allclose(equal.fsrq, 0.5)

    def plane(positions):
        return {"AGN": np.abs(positions.galactic.b.deg), "PSR": 5, "PWN-SNR": 0.0, "FSRQ": 0.1}

    prior = SkyPrior(plane)
    assert_allclose(prior(PLACES).classes[1], [0.5, 0.5, 0], atol=1e-9)
    assert_allclose(prior(PLACES).fsrq, 0.1)
    assert prior.text == "plane"


@pytest.mark.parametrize(
    ("prior", "error", "text"),
    [
        ("4fgl", ValueError, "None .4FGL., 'equal', a dict"),
        (0.3, TypeError, "a function of SkyCoord"),
        ({"AGN": 1, "PSR": 1}, ValueError, "has no share of PWN-SNR"),
        ({"AGN": 1, "PSR": 1, "PWN-SNR": 1, "bll": 1}, ValueError, "has a share of bll"),
        ({"AGN": 1, "PSR": -1, "PWN-SNR": 1}, ValueError, "'PSR' must be finite and not negative"),
        ({"AGN": np.nan, "PSR": 1, "PWN-SNR": 1}, ValueError, "'AGN' must be finite"),
        ({"AGN": 0, "PSR": 0, "PWN-SNR": 0}, ValueError, "is zero"),
        ({"AGN": "1", "PSR": 1, "PWN-SNR": 1}, TypeError, "'AGN' must be a number"),
        ({"AGN": 1, "PSR": 1, "PWN-SNR": 1, "FSRQ": 1}, ValueError, "'FSRQ' is a share between 0 and 1"),
        ({"AGN": 1, "PSR": 1, "PWN-SNR": 1, "real": 0}, ValueError, "'real' is a share between 0 and 1"),
    ],
)
def test_bad_prior(prior, error, text):
    with pytest.raises(error, match=text):
        SkyPrior(prior)


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (None, TypeError, "must return a dict of shares, got NoneType"),
        ({"AGN": 1, "PSR": 1, "PWN-SNR": np.ones(3)}, ValueError, "one for each of 4 positions"),
        ({"AGN": 1, "PSR": 1, "PWN-SNR": "x"}, ValueError, "'PWN-SNR' must be a number"),
    ],
)
def test_bad_function(value, error, text):
    with pytest.raises(error, match=text):
        SkyPrior(lambda positions: value)(PLACES)


def test_probabilities_are_those_of_bayes():
    rng = np.random.default_rng(1)
    own = logits(rng.normal(0, 3, (4, 3)), fsrq=0.7, real=0.4)
    shares = SkyPrior({"AGN": 0.7, "PSR": 0.2, "PWN-SNR": 0.1, "FSRQ": 0.3})(PLACES)
    p = class_probabilities(own, shares)
    posterior = np.exp(own.classes) * [0.7, 0.2, 0.1]
    assert_allclose(p[:, :3], posterior / posterior.sum(axis=1, keepdims=True))
    assert_allclose(p[:, 3], 0.3 * np.exp(0.7) / (0.3 * np.exp(0.7) + 0.7))
    assert_allclose(p[:, 4], expit(0.4))
    tensors = SimpleNamespace(**{k: torch.as_tensor(v) for k, v in vars(own).items()})
    assert_allclose(class_probabilities(tensors, shares), p)


def test_prior_of_real_sources():
    own = logits(np.zeros((4, 3)), real=0.4)
    shares = SkyPrior({"AGN": 1, "PSR": 1, "PWN-SNR": 1, "real": 0.2})(PLACES)
    p = class_probabilities(own, shares, real_share=0.6)
    assert_allclose(p[:, 4], expit(0.4 + logit(0.2) - logit(0.6)))
    # As often as in the training: as it was
    same = SkyPrior({"AGN": 1, "PSR": 1, "PWN-SNR": 1, "real": 0.6})(PLACES)
    assert_allclose(class_probabilities(own, same, real_share=0.6)[:, 4], expit(0.4))


def test_impossible_class():
    shares = SkyPrior({"AGN": 1, "PSR": 0, "PWN-SNR": 1})(PLACES)
    p = class_probabilities(logits(np.tile([0.0, 50.0, 0.0], (4, 1))), shares)
    assert_allclose(p[:, :3], [[0.5, 0, 0.5]] * 4)
    # What the network could not tell stays unknown
    assert np.isnan(class_probabilities(logits(np.full((4, 3), np.nan)), shares)[:, :3]).all()


def test_no_sources():
    p = class_probabilities(logits(np.empty((0, 3))), SkyPrior()(PLACES[:0]))
    assert p.shape == (0, 5)
