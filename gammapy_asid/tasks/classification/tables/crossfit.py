# Licensed under a 3-clause BSD style license - see LICENSE
"""Classifiers of parts of a training: each of its sources is judged by the one that has not seen it."""

import numpy as np
from sklearn.model_selection import StratifiedKFold

from .coverage import Coverage
from .features import COVERED
from .kernel import KernelClassifier, Scale

__all__ = ["FOLDS", "CrossFitted", "fold_of_rows"]

#: Parts of the training sources.
FOLDS = 5
#: Width of the kernel and strength of the regression, by cross-validation of sources of 4FGL that 3FGL had
#: not classified; both may be twice or half that.
CLASS_KERNEL, FSRQ_KERNEL = (0.1, 10.0), (0.3, 1.0)


def fold_of_rows(classes, fsrq):
    """Part of the training to which each row belongs, at random with the classes in the same shares.

    Parameters
    ----------
    classes : `~numpy.ndarray`
        Index of the class of each row, -1 for those without one.
    fsrq : `~numpy.ndarray`
        Whether a row is a quasar, -1 where that is not known.

    Returns
    -------
    folds : `~numpy.ndarray`
        Part, -1 for rows without a class.
    """
    folds = np.full(len(classes), -1)
    rows = np.flatnonzero(classes >= 0)
    kinds = 3 * classes[rows] + fsrq[rows]
    if np.unique(kinds, return_counts=True)[1].min() < FOLDS:
        kinds = classes[rows]
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(rows, kinds)
    for fold, (_, part) in enumerate(splits):
        folds[rows[part]] = fold
    return folds


class CrossFitted:
    """Classifiers of AGN, pulsars and nebulae, and of quasars among AGN, one of each a part that it lacks.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Features of the training, shape ``(n, n_features)``.
    names : list of str
        Their names.
    classes, fsrq, folds : `~numpy.ndarray`
        Class, whether a quasar, and part of each row of the training.
    """

    def __init__(self, values, names, classes, fsrq, folds):
        self.names = names
        self.covered = [names.index(name) for name in COVERED if name in names]
        trained = values[folds >= 0]
        self.scale = Scale(trained[:, self.covered], largest=np.inf)
        self.coverage = Coverage(self.scale(trained[:, self.covered]))
        self.members = [
            _trained(values, np.where(folds == fold, -1, classes), np.where(folds == fold, -1, fsrq))
            for fold in range(FOLDS)
        ]

    def probabilities(self, values, folds):
        """Probabilities, each of kinds that are equally frequent.

        Parameters
        ----------
        values : `~numpy.ndarray`
            Features, shape ``(n, n_features)``.
        folds : `~numpy.ndarray`
            Part of the training to which each row belongs, -1 for none: the mean of all classifiers.

        Returns
        -------
        classes : `~numpy.ndarray`
            Of the classes, shape ``(n, n_classes)``.
        fsrq : `~numpy.ndarray`
            Of BL Lac objects and quasars, shape ``(n, 2)``, NaN if there were too few to learn from.
        """
        classes, fsrq = (np.stack(parts) for parts in zip(*(m(values) for m in self.members), strict=True))
        own, rows = np.maximum(folds, 0), np.arange(len(values))
        new = (folds < 0)[:, None]
        return (
            np.where(new, classes.mean(axis=0), classes[own, rows]),
            np.where(new, fsrq.mean(axis=0), fsrq[own, rows]),
        )

    def outside(self, values):
        """Whether rows lie outside what the training covered.

        Parameters
        ----------
        values : `~numpy.ndarray`
            Features, shape ``(n, n_features)``.
        """
        return self.coverage.outside(self.scale(values[:, self.covered]))


def _trained(values, classes, fsrq):
    """Function that gives both kinds of probabilities."""
    scale = Scale(values[classes >= 0])
    scaled = scale(values)

    def fitted(kernel, kinds):
        return KernelClassifier(*kernel).fit(scaled[kinds >= 0], kinds[kinds >= 0])

    of_class = fitted(CLASS_KERNEL, classes)
    of_fsrq = fitted(FSRQ_KERNEL, fsrq) if min((fsrq == 0).sum(), (fsrq == 1).sum()) >= FOLDS - 1 else None

    def probabilities(values):
        scaled = scale(values)
        unknown = np.full((len(values), 2), np.nan)
        return of_class.probabilities(scaled), unknown if of_fsrq is None else of_fsrq.probabilities(scaled)

    return probabilities
