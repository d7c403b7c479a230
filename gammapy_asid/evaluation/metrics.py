# Licensed under a 3-clause BSD style license - see LICENSE
"""Purity, recall and offsets of a list of predictions."""

from dataclasses import dataclass

import numpy as np
from astropy.stats import binom_conf_interval

__all__ = ["PurityRecall", "binned_fraction", "binomial_interval", "offset_summary", "purity_recall"]


@dataclass(frozen=True)
class PurityRecall:
    """Purity and recall as the threshold on the score goes down.

    Parameters
    ----------
    threshold : `~numpy.ndarray`
        Distinct scores in decreasing order, shape ``(n,)``.
    purity : `~numpy.ndarray`
        Matched fraction of the predictions at or above each threshold.
    recall : `~numpy.ndarray`
        Found fraction of the true sources.
    """

    threshold: np.ndarray
    purity: np.ndarray
    recall: np.ndarray

    @property
    def average_precision(self):
        """Purity averaged over recall, as a sum over its steps."""
        return float(np.sum(np.diff(self.recall, prepend=0) * self.purity))

    def threshold_at_purity(self, purity):
        """Lowest threshold at which the purity is reached, ``inf`` if at none.

        Parameters
        ----------
        purity : float
            Purity.

        Returns
        -------
        threshold : float
            Score.
        """
        reached = np.flatnonzero(self.purity >= purity)
        return float(self.threshold[reached[-1]]) if len(reached) else np.inf

    def at_threshold(self, threshold):
        """Purity and recall of the predictions at or above a threshold.

        Without any such prediction the purity is NaN and the recall 0.

        Parameters
        ----------
        threshold : float
            Score.

        Returns
        -------
        purity, recall : float
            Shares.
        """
        n_above = np.searchsorted(-self.threshold, -threshold, side="right")
        if n_above == 0:
            return np.nan, 0.0
        return float(self.purity[n_above - 1]), float(self.recall[n_above - 1])


def purity_recall(score, is_matched, n_true):
    """Purity and recall at each distinct score.

    Parameters
    ----------
    score : array-like
        Score of each prediction, shape ``(n_pred,)``.
    is_matched : array-like of bool
        Which predictions are true, shape ``(n_pred,)``.
    n_true : int
        Number of true sources.

    Returns
    -------
    curve : `PurityRecall`
        The curve.

    Raises
    ------
    ValueError
        If a score is not finite or there are no true sources.
    """
    score, is_matched = np.asarray(score, dtype=float), np.asarray(is_matched, dtype=bool)
    if not np.all(np.isfinite(score)):
        raise ValueError("Scores must be finite: drop predictions without a score")
    if n_true <= 0:
        raise ValueError("No true source: the recall is not defined")
    order = np.argsort(-score, kind="stable")
    score, found = score[order], np.cumsum(is_matched[order])
    last = np.flatnonzero(np.diff(score, append=-np.inf))
    return PurityRecall(score[last], found[last] / (last + 1), found[last] / n_true)


def offset_summary(separation):
    """Percentiles of the offsets of matched predictions.

    Parameters
    ----------
    separation : array-like
        Offsets in deg; NaN is left out.

    Returns
    -------
    summary : dict
        ``offset_50``, ``offset_68``, ``offset_95`` in deg and ``within_0p15``, the
        fraction below 0.15 deg; NaN if there is none.
    """
    separation = np.asarray(separation, dtype=float)
    separation = separation[np.isfinite(separation)]
    if len(separation) == 0:
        return dict.fromkeys(["offset_50", "offset_68", "offset_95", "within_0p15"], np.nan)
    percentiles = np.percentile(separation, [50, 68, 95])
    summary = {f"offset_{q}": float(value) for q, value in zip((50, 68, 95), percentiles, strict=True)}
    summary["within_0p15"] = float(np.mean(separation < 0.15))
    return summary


def binomial_interval(n_success, n_total, confidence=0.6827):
    """Wilson interval of a fraction.

    Parameters
    ----------
    n_success, n_total : array-like of int
        Numbers of successes and trials, of one shape.
    confidence : float
        Probability content.

    Returns
    -------
    fraction, low, high : `~numpy.ndarray`
        The fraction and its interval; NaN where there are no trials.
    """
    n_success, n_total = np.atleast_1d(n_success), np.atleast_1d(n_total)
    fraction, low, high = (np.full(n_total.shape, np.nan) for _ in range(3))
    some = n_total > 0
    if some.any():
        fraction[some] = n_success[some] / n_total[some]
        low[some], high[some] = binom_conf_interval(n_success[some], n_total[some], confidence, "wilson")
    return fraction, low, high


def binned_fraction(value, success, edges, confidence=0.6827):
    """Fraction of successes in bins of a quantity, with binomial intervals.

    Parameters
    ----------
    value : array-like
        Quantity of each item, for example the flux, shape ``(n,)``.
    success : array-like of bool
        Whether it is a success, shape ``(n,)``.
    edges : array-like
        Bin edges, shape ``(n_bins + 1,)``.
    confidence : float
        Probability content of the interval.

    Returns
    -------
    fraction, low, high : `~numpy.ndarray`
        See `binomial_interval`, shape ``(n_bins,)``.
    """
    value, success = np.asarray(value, dtype=float), np.asarray(success, dtype=bool)
    total = np.histogram(value, edges)[0]
    return binomial_interval(np.histogram(value[success], edges)[0], total, confidence)
