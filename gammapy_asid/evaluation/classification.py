# Licensed under a 3-clause BSD style license - see LICENSE
"""How well classes of sources are told apart."""

import numpy as np
from sklearn.metrics import confusion_matrix, recall_score

from ..learning.score_calibration import expected_calibration_error

__all__ = ["accuracy_in_bins", "balanced_accuracy", "balanced_choice", "class_calibration_error", "confusion"]


def confusion(true, predicted, n_classes):
    """Share of each true class (rows) that is called each class (columns).

    Parameters
    ----------
    true, predicted : `~numpy.ndarray`
        Indices of classes, shape ``(n,)``.
    n_classes : int
        Number of classes.

    Returns
    -------
    matrix : `~numpy.ndarray`
        Shape ``(n_classes, n_classes)``; rows of classes without sources are NaN.
    """
    counts = confusion_matrix(true, predicted, labels=np.arange(n_classes)).astype(float)
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)


def balanced_accuracy(true, predicted):
    """Mean over the true classes of the share that is called right, and its statistical error.

    Parameters
    ----------
    true, predicted : `~numpy.ndarray`
        Classes, shape ``(n,)``.

    Returns
    -------
    accuracy, error : float
        Error of binomial numbers.
    """
    labels, number = np.unique(true, return_counts=True)
    recall = recall_score(true, predicted, labels=labels, average=None)
    error = np.sqrt((recall * (1 - recall) / number).sum()) / len(labels)
    return float(recall.mean()), float(error)


def balanced_choice(probability, share):
    """Class with the largest probability over its share of the population.

    The choice with the largest balanced accuracy, which counts all classes alike however common they are.

    Parameters
    ----------
    probability : `~numpy.ndarray`
        Of each class, shape ``(n, n_classes)``.
    share : `~numpy.ndarray`
        Share of each class in the population, shape ``(n_classes,)``.

    Returns
    -------
    predicted : `~numpy.ndarray`
        Index of a class, shape ``(n,)``.
    """
    return np.argmax(probability / np.asarray(share), axis=1)


def accuracy_in_bins(true, predicted, values, edges):
    """Share of right classes in bins of a quantity.

    Parameters
    ----------
    true, predicted : `~numpy.ndarray`
        Classes, shape ``(n,)``.
    values : `~numpy.ndarray`
        Quantity, such as the test statistic or the size, shape ``(n,)``.
    edges : `~numpy.ndarray`
        Edges of the bins.

    Returns
    -------
    accuracy, error, number : `~numpy.ndarray`
        Shape ``(n_bins,)``; NaN in empty bins.
    """
    right = np.asarray(true) == np.asarray(predicted)
    index = np.digitize(values, edges) - 1
    inside = (index >= 0) & (index < len(edges) - 1)
    number = np.bincount(index[inside], minlength=len(edges) - 1)
    hits = np.bincount(index[inside], right[inside], minlength=len(edges) - 1)
    share = np.divide(hits, number, out=np.full(len(number), np.nan), where=number > 0)
    error = np.sqrt(share * (1 - share) / np.maximum(number, 1))
    return share, error, number


def class_calibration_error(probability, true, n_bins=15):
    """Expected calibration error of the probabilities of all classes together.

    Parameters
    ----------
    probability : `~numpy.ndarray`
        Of each class, shape ``(n, n_classes)``.
    true : `~numpy.ndarray`
        Index of the true class, shape ``(n,)``.
    n_bins : int
        Bins of equal count.
    """
    is_class = np.asarray(true)[:, None] == np.arange(probability.shape[1])
    return expected_calibration_error(probability.ravel(), is_class.ravel(), n_bins)
