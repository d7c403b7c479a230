# Licensed under a 3-clause BSD style license - see LICENSE
"""Classifiers of parts of a training: each of its sources is judged by the one that has not seen it."""

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier
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
#: Trees of each part, chosen in the same way; more of them change nothing.
TREES = {"n_estimators": 100, "min_samples_leaf": 5, "max_features": 0.4, "random_state": 0}
#: Smallest probability of one of two classifiers that are multiplied.
PROBABILITY_MIN = 1e-4


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
    names : list of str
        Names of the features.
    values : `~numpy.ndarray`
        Features of the training, shape ``(n, n_features)``.
    copies : `~numpy.ndarray`
        Features of fainter copies of its sources, shape ``(n_copies, n_features)``.
    sources : `~numpy.ndarray`
        Row of the source of each copy.
    classes, fsrq, folds : `~numpy.ndarray`
        Class, whether a quasar, and part of each row of the training, -1 for none.
    """

    def __init__(self, names, values, copies, sources, classes, fsrq, folds):
        self.names = names
        self.covered = [names.index(name) for name in COVERED if name in names]
        trained = values[folds >= 0]
        self.scale = Scale(trained[:, self.covered], largest=np.inf)
        self.coverage = Coverage(self.scale(trained[:, self.covered]))
        self.members = []
        for fold in range(FOLDS):
            rows, own = (folds >= 0) & (folds != fold), folds[sources] != fold
            part = values[rows], classes[rows], fsrq[rows]
            self.members.append(_Member(*part, copies[own], classes[sources[own]]))

    def probabilities(self, values, folds):
        """Probabilities, each of kinds that are equally frequent.

        Parameters
        ----------
        values : `~numpy.ndarray`
            Features, shape ``(n, n_features)``.
        folds : `~numpy.ndarray`
            Part of the training to which each row belongs: judged by the kernel that has not seen it. Rows
            with -1 belong to none: the mean over all parts, kernel and trees together.

        Returns
        -------
        classes : `~numpy.ndarray`
            Of the classes, shape ``(n, n_classes)``.
        fsrq : `~numpy.ndarray`
            Of BL Lac objects and quasars, shape ``(n, 2)``, NaN if there were too few to learn from.
        """
        found = [member.probabilities(values) for member in self.members]
        kernel, trees, fsrq = (np.stack(parts) for parts in zip(*found, strict=True))
        own, rows, new = np.maximum(folds, 0), np.arange(len(values)), (folds < 0)[:, None]
        # Sources of the training are as bright as it is: the copies would not help to tell them
        both = np.sqrt(np.maximum(kernel, PROBABILITY_MIN) * np.maximum(trees, PROBABILITY_MIN))
        both /= both.sum(axis=-1, keepdims=True)
        return (
            np.where(new, both.mean(axis=0), kernel[own, rows]),
            np.where(new, fsrq.mean(axis=0), fsrq[own, rows]),
        )

    def outside(self, values):
        """Whether rows lie outside what the training covered.

        Parameters
        ----------
        values : `~numpy.ndarray`
            Features, shape ``(n, n_features)``.

        Returns
        -------
        outside : `~numpy.ndarray` of bool
            True if so.
        """
        return self.coverage.outside(self.scale(values[:, self.covered]))


class _Member:
    """A kernel for sources as they are, trees for their copies too, and a kernel for quasars."""

    def __init__(self, values, classes, fsrq, copies, copied):
        self.scale = Scale(values)
        scaled = self.scale(values)
        self.kernel = KernelClassifier(*CLASS_KERNEL).fit(scaled, classes)
        both = np.concatenate([classes, copied])
        self.trees = ExtraTreesClassifier(**TREES, class_weight="balanced")
        self.trees.fit(np.concatenate([scaled, self.scale(copies)]), both)
        known = fsrq >= 0
        self.fsrq = None
        if min((fsrq == 0).sum(), (fsrq == 1).sum()) >= FOLDS - 1:
            self.fsrq = KernelClassifier(*FSRQ_KERNEL).fit(scaled[known], fsrq[known])

    def probabilities(self, values):
        scaled = self.scale(values)
        unknown = np.full((len(values), 2), np.nan)
        fsrq = unknown if self.fsrq is None else self.fsrq.probabilities(scaled)
        return self.kernel.probabilities(scaled), self.trees.predict_proba(scaled), fsrq
