# Licensed under a 3-clause BSD style license - see LICENSE
"""How frequent the classes are among the sources that are classified."""

from collections.abc import Mapping

import numpy as np

from .groups import CLASSES

__all__ = ["checked_prior", "estimated_prior", "with_prior"]

#: Steps of the expectation maximisation; it changes in the fourth digit only after a hundred.
STEPS = 300


def checked_prior(prior):
    """Shares of the classes that a user states, in the order of `CLASSES`.

    Parameters
    ----------
    prior : dict
        Shares by class; they need not add up to one.

    Returns
    -------
    shares : `~numpy.ndarray`
        Shares that do.

    Raises
    ------
    TypeError, ValueError
        If it is something else.
    """
    if not isinstance(prior, Mapping):
        raise TypeError(f'prior must be "estimated" or a dict of the shares of {CLASSES}, got {prior!r}')
    if set(prior) != set(CLASSES):
        raise ValueError(
            f"prior must have the classes {', '.join(CLASSES)}, got {', '.join(map(str, prior))}"
        )
    shares = np.array([prior[name] for name in CLASSES], dtype=float)
    if not (np.isfinite(shares).all() and (shares > 0).all()):
        raise ValueError(f"prior must have shares above 0, got {dict(prior)}")
    return shares / shares.sum()


def with_prior(probabilities, shares):
    """Probabilities of equally frequent classes as those of classes with given shares.

    Parameters
    ----------
    probabilities : `~numpy.ndarray`
        Shape ``(n, n_classes)``.
    shares : `~numpy.ndarray`
        Shares, one a class, or one a row and class.
    """
    values = probabilities * shares
    return values / values.sum(axis=1, keepdims=True)


def estimated_prior(probabilities):
    """Shares of the classes with which sources are most likely (Saerens et al. 2002, Neural Comput. 14, 21).

    Parameters
    ----------
    probabilities : `~numpy.ndarray`
        Of equally frequent classes, shape ``(n, n_classes)``; rows with NaN do not count.

    Returns
    -------
    shares : `~numpy.ndarray`
        Shares; half a source of each class is added, so that none vanishes.
    """
    probabilities = probabilities[np.isfinite(probabilities).all(axis=1)]
    shares = np.full(probabilities.shape[1], 1 / probabilities.shape[1])
    for _ in range(STEPS):
        expected = with_prior(probabilities, shares).sum(axis=0) + 0.5
        shares = expected / expected.sum()
    return shares
