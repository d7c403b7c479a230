# Licensed under a 3-clause BSD style license - see LICENSE
"""Calibration of the score: of candidates at score s a fraction s is real."""

import numpy as np
from scipy.special import expit, logit

__all__ = [
    "apply_knots",
    "combined_score",
    "expected_calibration_error",
    "fit_combination",
    "fit_knots",
    "reliability",
]

#: Scores of 0 and 1 have no logit: they count as this far from the ends.
SCORE_MARGIN = 1e-6


def _equal_count_slices(n, n_bins):
    edges = np.linspace(0, n, min(n_bins, n) + 1).astype(int)
    return [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]


def reliability(score, is_matched, n_bins=15):
    """Mean score and matched fraction in bins of equal count.

    Parameters
    ----------
    score : array-like
        Score of each prediction, 0 to 1, shape ``(n,)``.
    is_matched : array-like of bool
        Which are true, shape ``(n,)``.
    n_bins : int
        Number of bins.

    Returns
    -------
    mean_score, fraction, number : `~numpy.ndarray`
        Shape ``(n_bins,)``, fewer if there are fewer predictions.
    """
    score, is_matched = np.asarray(score, dtype=float), np.asarray(is_matched, dtype=float)
    order = np.argsort(score, kind="stable")
    score, is_matched = score[order], is_matched[order]
    bins = _equal_count_slices(len(score), n_bins)
    return (
        np.array([score[b].mean() for b in bins]),
        np.array([is_matched[b].mean() for b in bins]),
        np.array([b.stop - b.start for b in bins]),
    )


def expected_calibration_error(score, is_matched, n_bins=15):
    """Mean distance of score and matched fraction over bins of equal count.

    Parameters
    ----------
    score, is_matched, n_bins
        See `reliability`.

    Returns
    -------
    error : float
        Expected calibration error; NaN without predictions.
    """
    mean_score, fraction, number = reliability(score, is_matched, n_bins)
    if len(number) == 0:
        return np.nan
    return float(np.average(np.abs(mean_score - fraction), weights=number))


def fit_knots(score, is_matched, n_knots=30):
    """Monotone calibration of a score, as a few knots.

    An isotonic regression, averaged over bins whose width is set by the variance of
    the outcome: knots lie where the matched fraction changes and not where all
    predictions are false.

    Parameters
    ----------
    score : array-like
        Scores of predictions on simulations held out from training, 0 to 1.
    is_matched : array-like of bool
        Which are true.
    n_knots : int
        Largest number of knots.

    Returns
    -------
    knots : `~numpy.ndarray`
        Logit of the score and of the calibrated score, shape ``(n, 2)`` with
        ``n <= n_knots``, the first column strictly increasing.

    Raises
    ------
    ValueError
        If there are fewer than 10 predictions for each knot.
    """
    from sklearn.isotonic import IsotonicRegression

    score, is_matched = np.asarray(score, dtype=float), np.asarray(is_matched, dtype=float)
    if len(score) < 10 * n_knots:
        raise ValueError(
            f"{len(score)} predictions are too few for {n_knots} knots: simulate more or ask for fewer"
        )
    order = np.argsort(score, kind="stable")
    x = logit(np.clip(score[order], SCORE_MARGIN, 1 - SCORE_MARGIN))
    y = IsotonicRegression().fit_transform(x, is_matched[order])

    # A little everywhere: where all predictions are false there is no variance
    weight = np.cumsum(y * (1 - y) + 1e-3)
    bins = np.minimum((weight / weight[-1] * n_knots).astype(int), n_knots - 1)
    number = np.bincount(bins, minlength=n_knots)
    used = number > 0
    number = number[used]
    mean_x = np.bincount(bins, x, minlength=n_knots)[used] / number
    # Half a success and half a failure more: a bin with none has no logit
    mean_y = (np.bincount(bins, y, minlength=n_knots)[used] + 0.5) / (number + 1)
    knots = np.column_stack([mean_x, np.maximum.accumulate(logit(mean_y))])
    return knots[np.diff(knots[:, 0], prepend=-np.inf) > 1e-9]


def apply_knots(score, knots):
    """Calibrated score: linear between knots in logit of the score.

    Beyond the outer knots the logit keeps its distance to theirs, so the order of
    predictions is kept there too.

    Parameters
    ----------
    score : array-like
        Scores, 0 to 1.
    knots : array-like
        Knots of `fit_knots`, shape ``(n, 2)``.

    Returns
    -------
    calibrated : `~numpy.ndarray`
        Calibrated scores, of the shape of `score`.
    """
    x = logit(np.clip(np.asarray(score, dtype=float), SCORE_MARGIN, 1 - SCORE_MARGIN))
    knots = np.asarray(knots, dtype=float)
    beyond = x - np.clip(x, knots[0, 0], knots[-1, 0])
    return expit(np.interp(x, knots[:, 0], knots[:, 1]) + beyond)


def combined_score(score, height, weights):
    """One score of the two that the network gives for a candidate.

    Parameters
    ----------
    score : array-like
        Probability of a source within the match radius, 0 to 1.
    height : array-like
        Height of the peak in the centre map, above 0.
    weights : tuple of float
        Constant, weight of the logit of the score and of the logarithm of the height.

    Returns
    -------
    combined : `~numpy.ndarray`
        Between 0 and 1.
    """
    constant, *slopes = weights
    return expit(constant + _columns(score, height) @ np.array(slopes))


def fit_combination(score, height, is_matched):
    """Weights of `combined_score` by logistic regression.

    The score alone counts faint sources that happen to be near; a peak has a height only where
    the data show a place.

    Parameters
    ----------
    score, height : array-like
        See `combined_score`.
    is_matched : array-like of bool
        Which candidates are true.

    Returns
    -------
    weights : tuple of float
        Weights.
    """
    from sklearn.linear_model import LogisticRegression

    # Three weights of many candidates need no penalty to speak of
    fit = LogisticRegression(C=1e3, max_iter=1000).fit(_columns(score, height), is_matched)
    return tuple(float(v) for v in (fit.intercept_[0], *fit.coef_[0]))


def _columns(score, height):
    """Logit of the score and logarithm of the height, shape ``(n, 2)``."""
    logit_score = logit(np.clip(np.asarray(score, dtype=float), SCORE_MARGIN, 1 - SCORE_MARGIN))
    return np.column_stack([logit_score, np.log(np.clip(height, SCORE_MARGIN, None))])
