# Licensed under a 3-clause BSD style license - see LICENSE
"""Classical classifiers of the same candidates, judged by cross-validation."""

import numpy as np
from scipy.special import softmax
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gammapy_asid.stats.template_spectra import TEMPLATES

__all__ = ["crossed", "curvature_numbers", "forest", "spectral_fit"]

#: Parts that are predicted from all others.
N_PARTS = 5


def crossed(estimator, numbers, target, group):
    """Probabilities of the classes of each candidate, learned from those of other groups.

    Parameters
    ----------
    estimator : object
        Classifier of scikit-learn.
    numbers : `~numpy.ndarray`
        What it sees, shape ``(n, n_numbers)``.
    target : `~numpy.ndarray` of int
        True classes, shape ``(n,)``.
    group : `~numpy.ndarray`
        Candidates of one group, such as those of one source, are never on both sides; shape ``(n,)``.

    Returns
    -------
    probability : `~numpy.ndarray`
        Shape ``(n, n_classes)``.
    """
    parts = GroupKFold(min(N_PARTS, len(np.unique(group))))
    return cross_val_predict(estimator, numbers, target, groups=group, cv=parts, method="predict_proba")


def forest(n_trees=300, seed=0):
    """Random forest (`~sklearn.ensemble.RandomForestClassifier`).

    Parameters
    ----------
    n_trees, seed : int
        Trees and seed.
    """
    return RandomForestClassifier(n_trees, min_samples_leaf=3, random_state=seed)


def spectral_fit():
    """Logistic regression of the numbers of `curvature_numbers` (`~sklearn.pipeline.Pipeline`)."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def curvature_numbers(ts, deviances):
    """Significance of sources and of their curvature, log-parabola against exponential cut-off, and shape.

    Parameters
    ----------
    ts : `~numpy.ndarray`
        Test statistic of the fit, shape ``(n,)``.
    deviances : `~numpy.ndarray`
        Result of `~gammapy_asid.stats.template_spectra.template_deviances`, ``(n, n_templates)``.

    Returns
    -------
    numbers : `~numpy.ndarray`
        Shape ``(n, 7)``: test statistic; chi squared of power laws over that of any curved spectrum, and of
        log-parabolas over that of cut-offs, compressed; the former over the test statistic; index, curvature
        and cut-off of the templates, each as probable as it fits.
    """
    templates = np.array(TEMPLATES)
    curvature, cut = (templates[:, i] > 0 for i in (1, 2))
    power_law, parabola, cut_off = (
        deviances[:, kind].min(axis=1) for kind in (~curvature & ~cut, curvature, cut)
    )
    curved = power_law - np.minimum(parabola, cut_off)
    compressed = np.log(ts + 1), np.arcsinh(curved), np.arcsinh(parabola - cut_off)
    return np.column_stack([*compressed, curved / (ts + 1), softmax(-deviances / 2, axis=1) @ templates])
