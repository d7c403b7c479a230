# Licensed under a 3-clause BSD style license - see LICENSE
"""Shares of stars and galaxies as a function of brightness, and the probabilities that follow with them."""

from collections.abc import Mapping
from numbers import Real

import numpy as np
from scipy.special import log_softmax, softmax

__all__ = ["CLASSES", "SUBCLASSES", "checked_prior", "class_probabilities", "image_shares"]

#: Classes that are told apart.
CLASSES = ("star", "galaxy", "artefact")

#: What the network tells apart: the number in `CLASSES` of each; galaxies come by their size.
SUBCLASSES = (0, 1, 1, 1, 1, 2)

#: Shares of the sizes among galaxies, broad around half the width of the point spread function. They are not
#: estimated from an image: very small galaxies are too much like stars, whose place they would take.
SIZES = np.array([0.05, 0.25, 0.4, 0.3])

#: Shares without any knowledge of the image: one in fifty candidates is no source.
_EQUAL = np.array([0.49, *(0.49 * SIZES), 0.02])

#: Magnitudes over which shares change, sources by which the shares at one magnitude are drawn to those of the
#: whole image, and those of the whole image to equal ones.
WIDTH, OWN, WHOLE = 0.5, 4.0, 4.0

#: Rounds of the maximisation: shares settle to a thousandth.
_ROUNDS = 60


def checked_prior(prior):
    """What was meant by a prior.

    Parameters
    ----------
    prior : "image", "equal", dict or float
        Shares of the classes: estimated from the image, equal, a dict of numbers for ``star`` and ``galaxy``
        and, if known, ``artefact`` (they are divided by their sum), or the share of stars among stars and
        galaxies.

    Returns
    -------
    prior : str or `~numpy.ndarray`
        "image", or shares of `SUBCLASSES`.

    Raises
    ------
    TypeError, ValueError
        If it is something else, or shares are negative, not finite or all zero.
    """
    if isinstance(prior, str) and prior in ("image", "equal"):
        return "image" if prior == "image" else _EQUAL
    if isinstance(prior, Real) and not isinstance(prior, bool):
        if not 0 <= prior <= 1:
            raise ValueError(f"The share of stars lies between 0 and 1, got {prior}")
        prior = {"star": prior, "galaxy": 1 - prior}
    if not isinstance(prior, Mapping):
        kind = ValueError if isinstance(prior, str) else TypeError
        raise kind(
            f"The prior is 'image', 'equal', a share of stars, or a dict such as {{'star': 1, 'galaxy': 3}}, "
            f"got {prior!r:.60}"
        )
    if set(prior) - set(CLASSES) or not {"star", "galaxy"} <= set(prior):
        raise ValueError(
            f"The prior needs star and galaxy and may have artefact, got {sorted(map(str, prior))}"
        )
    values = np.array([float(prior.get(name, np.nan)) for name in CLASSES])
    if np.isnan(values[2]) and "artefact" not in prior:
        values[2] = values[:2].sum() * _EQUAL[-1] / (1 - _EQUAL[-1])
    if not (np.isfinite(values).all() and (values >= 0).all() and values[:2].sum() > 0):
        raise ValueError(f"Shares are finite, not negative and not all zero, got {dict(prior)}")
    star, galaxy, artefact = values / values.sum()
    return np.array([star, *(galaxy * SIZES), artefact])


def image_shares(logits, magnitude):
    """Shares of `SUBCLASSES` at the brightness of each source, estimated from all sources of an image.

    The shares are those under which what the network says of the sources is most likely: expectation
    maximisation (Saerens et al. 2002, Neural Computation 14, 21), here smooth in magnitude, with the sizes of
    galaxies as they are known in general (`SIZES`).

    Parameters
    ----------
    logits : `~numpy.ndarray`
        Calibrated logits at equal shares, shape ``(n, n_subclasses)``.
    magnitude : `~numpy.ndarray`
        Magnitudes of any zero point, shape ``(n,)``.

    Returns
    -------
    shares : `~numpy.ndarray`
        Shape ``(n, n_subclasses)``, rows add to one.
    """
    if len(logits) == 0:
        return np.empty(logits.shape)
    likelihood = np.exp(logits - logits.max(axis=1, keepdims=True))
    likelihood = np.column_stack([likelihood[:, 0], likelihood[:, 1:-1] @ SIZES, likelihood[:, -1]])
    equal = np.array([_EQUAL[0], _EQUAL[1:-1].sum(), _EQUAL[-1]])
    knots = np.arange(magnitude.min(), magnitude.max() + WIDTH / 2, WIDTH / 2)
    near = np.exp(-0.5 * ((magnitude[:, None] - knots) / WIDTH) ** 2)
    # Shares lie on knots, sources between them: what a source gives and gets is the same
    place = (magnitude - knots[0]) / (WIDTH / 2)
    left = np.clip(place.astype(int), 0, max(len(knots) - 2, 0))
    right = np.minimum(left + 1, len(knots) - 1)
    part = (place - left)[:, None]
    at_knots = np.tile(equal, (len(knots), 1))
    for _ in range(_ROUNDS):
        shares = (1 - part) * at_knots[left] + part * at_knots[right]
        posterior = likelihood * shares
        posterior /= posterior.sum(axis=1, keepdims=True)
        whole = posterior.sum(axis=0) + WHOLE * equal
        at_knots = near.T @ posterior + OWN * whole / whole.sum()
        at_knots /= at_knots.sum(axis=1, keepdims=True)
    star, galaxy, artefact = ((1 - part) * at_knots[left] + part * at_knots[right]).T
    return np.column_stack([star, galaxy[:, None] * SIZES, artefact])


def class_probabilities(logits, magnitude, prior="image"):
    """Probabilities of the `CLASSES`.

    Parameters
    ----------
    logits, magnitude
        See `image_shares`; magnitudes that are no numbers count as the faintest.
    prior : "image", "equal", dict or float
        See `checked_prior`.

    Returns
    -------
    probabilities : `~numpy.ndarray`
        Shape ``(n, 3)``; rows add to one, NaN where a logit is no number.
    """
    prior = checked_prior(prior)
    logits = log_softmax(np.asarray(logits, dtype=float), axis=1) if len(logits) else np.empty((0, 6))
    known = np.isfinite(logits).all(axis=1)
    result = np.full((len(logits), len(CLASSES)), np.nan)
    if isinstance(prior, str):
        magnitude = np.asarray(magnitude, dtype=float)[known]
        faintest = np.max(magnitude[np.isfinite(magnitude)], initial=-np.inf)
        magnitude = np.where(np.isfinite(magnitude), magnitude, faintest if np.isfinite(faintest) else 0.0)
        prior = image_shares(logits[known], magnitude)
    with np.errstate(divide="ignore"):
        parts = softmax(logits[known] + np.log(prior), axis=1)
    for i in range(len(CLASSES)):
        result[known, i] = parts[:, [own == i for own in SUBCLASSES]].sum(axis=1)
    return result
