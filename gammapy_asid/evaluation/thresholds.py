# Licensed under a 3-clause BSD style license - see LICENSE
"""What is won and lost as the threshold goes down, and how near two sources can be."""

from dataclasses import dataclass

import numpy as np

from .matching import near_pairs
from .metrics import binned_fraction, binomial_interval

__all__ = [
    "ThresholdCurve",
    "found_again",
    "neighbour_pairs",
    "optimal_matched",
    "separation_curve",
    "threshold_curve",
]


@dataclass(frozen=True)
class ThresholdCurve:
    """True sources gained and fakes as the threshold on the score goes down.

    Parameters
    ----------
    threshold : `~numpy.ndarray`
        Distinct scores in decreasing order, shape ``(n,)``.
    gained : `~numpy.ndarray` of int
        True sources of the range that are found at or above each threshold.
    fakes : `~numpy.ndarray` of int
        Predictions at or above it that match no true source.
    n_true : int
        True sources of the range.
    """

    threshold: np.ndarray
    gained: np.ndarray
    fakes: np.ndarray
    n_true: int

    def at_threshold(self, threshold):
        """Numbers of gained sources and fakes at or above a threshold.

        Parameters
        ----------
        threshold : float
            Score.

        Returns
        -------
        gained, fakes : int
            Numbers.
        """
        n_above = np.searchsorted(-self.threshold, -threshold, side="right")
        return (int(self.gained[n_above - 1]), int(self.fakes[n_above - 1])) if n_above else (0, 0)


def threshold_curve(score, matches, value, value_range=(-np.inf, np.inf)):
    """True sources of a range of flux or significance gained, and fakes, against threshold.

    Parameters
    ----------
    score : array-like
        Score of each prediction, shape ``(n_pred,)``.
    matches : `~gammapy_asid.evaluation.Matches`
        Matches of the predictions with all true sources, also those of other values.
    value : array-like
        Flux or significance of each true source, shape ``(n_true,)``.
    value_range : tuple of float
        Smallest value, and the value below which the others lie.

    Returns
    -------
    curve : `ThresholdCurve`
        The curve.
    """
    score, value = np.asarray(score, dtype=float), np.asarray(value, dtype=float)
    in_range = (value >= value_range[0]) & (value < value_range[1])
    order = np.argsort(-score, kind="stable")
    claimed = matches.true_index[order]
    gained = np.cumsum(in_range[claimed] & (claimed >= 0)) if len(value) else np.zeros(len(score), int)
    fakes = np.cumsum(claimed < 0)
    last = np.flatnonzero(np.diff(score[order], append=-np.inf))
    return ThresholdCurve(score[order][last], gained[last], fakes[last], int(in_range.sum()))


def optimal_matched(
    pred_lon, pred_lat, score, true_lon, true_lat, radius=0.3, pred_group=None, true_group=None
):
    """Which predictions are matched by the assignments that match most at every threshold.

    Predictions enter in order of decreasing score and the largest matching grows by augmenting paths
    (Kuhn 1955, Nav. Res. Logist. Q. 2, 83). A matched prediction stays so, hence one pass serves all
    thresholds: above each the number is that of `match_optimal` of the predictions above it.

    Parameters
    ----------
    pred_lon, pred_lat, score, true_lon, true_lat, radius, pred_group, true_group
        See `match_brightest`.

    Returns
    -------
    is_matched : `~numpy.ndarray` of bool
        Shape ``(n_pred,)``.
    """
    i, j, _ = near_pairs(pred_lon, pred_lat, true_lon, true_lat, radius, pred_group, true_group)
    near = {}
    for pred, true in zip(i.tolist(), j.tolist(), strict=True):
        near.setdefault(pred, []).append(true)
    owner = {}
    is_matched = np.zeros(len(pred_lon), dtype=bool)
    for pred in np.argsort(-np.asarray(score, dtype=float), kind="stable").tolist():
        is_matched[pred] = pred in near and _augment(pred, near, owner)
    return is_matched


def _augment(start, near, owner):
    """Give a prediction a true source; earlier ones move to another of theirs where they must."""
    # The chain of predictions that wait for a source, each with the sources it has not tried.
    chain, seen = [(start, iter(near[start]))], set()
    taken = []
    while chain:
        true = next((t for t in chain[-1][1] if t not in seen), None)
        if true is None:
            chain.pop()
            taken = taken[:-1]
            continue
        seen.add(true)
        taken.append(true)
        if true not in owner:
            owner.update({t: pred for t, (pred, _) in zip(taken, chain, strict=True)})
            return True
        chain.append((owner[true], iter(near[owner[true]])))
    return False


def neighbour_pairs(lon, lat, max_distance, group=None):
    """Pairs of sources that are near each other.

    Parameters
    ----------
    lon, lat : array-like
        Positions in deg, shape ``(n,)``.
    max_distance : float
        Largest distance in deg.
    group : array-like, optional
        Field of each source: pairs stay within a field.

    Returns
    -------
    first, second : `~numpy.ndarray` of int
        Indices, each pair once, shape ``(n_pairs,)``.
    distance : `~numpy.ndarray`
        Distance in deg.
    """
    first, second, distance = near_pairs(lon, lat, lon, lat, max_distance, group, group)
    once = first < second
    return first[once], second[once], distance[once]


def separation_curve(distance, is_separated, edges, confidence=0.6827):
    """Probability that two neighbours are found as two, against their distance.

    Parameters
    ----------
    distance : array-like
        Distance of each pair in deg, see `neighbour_pairs`; shape ``(n_pairs,)``.
    is_separated : array-like of bool
        Whether both of the pair are found, each by its own prediction.
    edges : array-like
        Bin edges in deg.
    confidence : float
        Probability content of the interval.

    Returns
    -------
    fraction, low, high : `~numpy.ndarray`
        Share with its binomial interval, shape ``(n_bins,)``; NaN in bins without pairs.
    """
    return binned_fraction(distance, is_separated, edges, confidence)


def found_again(found, again, confidence=0.6827):
    """Share of the sources found in one case that another case finds as well.

    Parameters
    ----------
    found, again : array-like of bool
        Which true sources the first and the second case find, shape ``(n_true,)``.
    confidence : float
        Probability content of the interval.

    Returns
    -------
    fraction, low, high : float
        Share with its binomial interval; NaN if the first case finds none.
    """
    found, again = np.asarray(found, dtype=bool), np.asarray(again, dtype=bool)
    values = binomial_interval(np.sum(found & again), np.sum(found), confidence)
    return tuple(float(value[0]) for value in values)
