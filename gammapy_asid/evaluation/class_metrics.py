# Licensed under a 3-clause BSD style license - see LICENSE
"""Figures of merit of classes for many weightings of the same sources at once, as a bootstrap needs them."""

import numpy as np

__all__ = [
    "RankedClass",
    "called_figures",
    "calibration_by_chance",
    "weighted_calibration_error",
    "weighted_confusion",
]

#: Numbers held at once.
CHUNK = 4_000_000


def weighted_confusion(true, called, weights, n_classes):
    """Weight of each true class (rows) that is called each class (columns).

    Parameters
    ----------
    true, called : `~numpy.ndarray` of int
        Classes, shape ``(n,)``.
    weights : `~numpy.ndarray`
        Weights of the sources, shape ``(n_weightings, n)``.
    n_classes : int
        Number of classes.

    Returns
    -------
    matrix : `~numpy.ndarray`
        Shape ``(n_weightings, n_classes, n_classes)``.
    """
    is_pair = np.eye(n_classes**2, dtype=weights.dtype)[true * n_classes + called]
    return (weights @ is_pair).astype(float).reshape(-1, n_classes, n_classes)


def called_figures(matrix):
    """Figures of merit of the classes that sources are called.

    Parameters
    ----------
    matrix : `~numpy.ndarray`
        Weights of `weighted_confusion`, shape ``(n_weightings, n_classes, n_classes)``.

    Returns
    -------
    figures : dict of str to `~numpy.ndarray`
        ``recall``, ``precision`` and ``f1`` of each class, shape ``(n_weightings, n_classes)``; ``accuracy``,
        ``balanced_accuracy`` and ``macro_f1``, shape ``(n_weightings, 1)``, the latter two as means over the
        classes that have sources. NaN where there is nothing to divide by; F1 is 0 for a class that is never
        called.
    """
    right = np.diagonal(matrix, axis1=1, axis2=2)
    own, called = matrix.sum(axis=2), matrix.sum(axis=1)
    recall = _ratio(right, own)
    f1 = np.where(own > 0, _ratio(2 * right, own + called), np.nan)
    return {
        "recall": recall,
        "precision": _ratio(right, called),
        "f1": f1,
        "accuracy": _ratio(right.sum(axis=1, keepdims=True), own.sum(axis=1, keepdims=True)),
        "balanced_accuracy": np.nanmean(recall, axis=1, keepdims=True),
        "macro_f1": np.nanmean(f1, axis=1, keepdims=True),
    }


def _ratio(part, whole):
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)


class RankedClass:
    """Sources in the order of their probability of one class, from the most probable one.

    Parameters
    ----------
    probability : `~numpy.ndarray`
        Probability of the class, shape ``(n,)``.
    is_class : `~numpy.ndarray` of bool
        Which sources are of it.
    """

    def __init__(self, probability, is_class):
        self._order = np.argsort(-probability, kind="stable")
        ordered = probability[self._order]
        #: Last source of each distinct probability: thresholds part only what differs.
        self._last = np.flatnonzero(np.diff(ordered, append=-np.inf))
        self._is_class = np.asarray(is_class, dtype=bool)[self._order]
        self.threshold = ordered[self._last]

    def found(self, weights):
        """Weight of the sources at or above each threshold, those of the class and the others.

        Parameters
        ----------
        weights : `~numpy.ndarray`
            Weights of the sources, shape ``(n_weightings, n)``.

        Returns
        -------
        right, wrong : `~numpy.ndarray`
            Shape ``(n_weightings, n_thresholds)``.
        """
        ordered = weights[:, self._order].astype(float)
        total = np.cumsum(ordered, axis=1)
        right = np.cumsum(ordered * self._is_class, axis=1)
        return right[:, self._last], (total - right)[:, self._last]

    def figures(self, weights, precision):
        """Area under the receiver operating characteristic, average precision, recall at a precision.

        Parameters
        ----------
        weights : `~numpy.ndarray`
            Weights of the sources, shape ``(n_weightings, n)``.
        precision : float
            Precision that is asked for. The threshold is the best of each weighting: with few sources this is
            kinder than a threshold chosen before.

        Returns
        -------
        figures : dict of str to `~numpy.ndarray`
            ``roc_area``, ``average_precision``, ``recall_at_precision``, each of shape ``(n_weightings,)``;
            NaN without sources of the class, or (the area) without others.
        """
        parts = [_ranked_figures(*self.found(own), precision) for (own,) in _blocks(weights)]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _ranked_figures(right, wrong, precision):
    recall = _ratio(right, np.broadcast_to(right[:, -1:], right.shape))
    false_rate = _ratio(wrong, np.broadcast_to(wrong[:, -1:], wrong.shape))
    pure = _ratio(right, right + wrong)
    gained = np.diff(recall, axis=1, prepend=0)
    middle = recall - gained / 2
    at_precision = np.where(pure >= precision, recall, 0).max(axis=1)
    return {
        "roc_area": (np.diff(false_rate, axis=1, prepend=0) * middle).sum(axis=1),
        "average_precision": (gained * pure).sum(axis=1),
        "recall_at_precision": np.where(np.isfinite(recall[:, -1]), at_precision, np.nan),
    }


def weighted_calibration_error(probability, is_class, weights, n_bins=15):
    """Expected calibration error of one class, in bins of equal numbers of sources.

    Parameters
    ----------
    probability : `~numpy.ndarray`
        Probability of the class, shape ``(n,)``.
    is_class : `~numpy.ndarray` of bool
        Which sources are of it, shape ``(n,)`` or ``(n_weightings, n)``.
    weights : `~numpy.ndarray`
        Weights of the sources, shape ``(n_weightings, n)`` or ``(1, n)``.
    n_bins : int
        Bins.

    Returns
    -------
    error : `~numpy.ndarray`
        Shape ``(n_weightings,)``.
    """
    order = np.argsort(probability, kind="stable")
    n_bins = min(n_bins, len(probability))
    first = np.linspace(0, len(probability), n_bins, endpoint=False).astype(int)
    gap = [
        np.abs(np.add.reduceat(((probability - true) * own)[:, order], first, axis=1)).sum(axis=1)
        for true, own in _blocks(np.atleast_2d(is_class), weights)
    ]
    return np.concatenate(gap) / weights.sum(axis=1, dtype=float)


def _blocks(*arrays):
    """Rows of arrays, as many as are held at once; an array of one row is there for all."""
    n_rows, step = max(map(len, arrays)), max(1, CHUNK // max(1, arrays[0].shape[1]))
    for i in range(0, n_rows, step):
        yield tuple(array if len(array) == 1 else array[i : i + step] for array in arrays)


def calibration_by_chance(probability, weights, n_bins=15, n_draws=1000, seed=0):
    """Calibration errors of probabilities that are exactly true, for classes drawn from them.

    Parameters
    ----------
    probability : `~numpy.ndarray`
        Probability of the class, shape ``(n,)``.
    weights : `~numpy.ndarray`
        Weights of the sources, shape ``(n,)``.
    n_bins : int
        Bins of equal numbers of sources.
    n_draws : int
        How often the classes are drawn.
    seed : int
        Seed.

    Returns
    -------
    errors : `~numpy.ndarray`
        Shape ``(n_draws,)``.
    """
    drawn = np.random.default_rng(seed).random((n_draws, len(probability)), dtype=np.float32) < probability
    return weighted_calibration_error(probability, drawn, weights[None], n_bins)
