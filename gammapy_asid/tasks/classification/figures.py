# Licensed under a 3-clause BSD style license - see LICENSE
"""Figures of a classifier on simulated candidates."""

import numpy as np
from scipy.special import expit, softmax

from ...learning.score_calibration import expected_calibration_error
from ...simulation.mock_catalog import SOURCE_CLASSES
from .loss import FSRQ_ODDS, training_prior

__all__ = ["class_figures", "kind_probabilities"]

#: Expected significance of what the figures of bright sources count, 5 standard deviations: TS > 25.
BRIGHT = 5.0
_NUMBER = np.array([{"bll": 0, "fsrq": 0, "psr": 1}.get(name, 2) for name in SOURCE_CLASSES])
_FSRQ = SOURCE_CLASSES.index("fsrq")


def kind_probabilities(logits, latitude):
    """Probabilities of AGN, PSR, PWN-SNR and fake under the prior of the training.

    Parameters
    ----------
    logits : `~gammapy_asid.tasks.classification.model.ClassLogits`
        Logits of ``n`` candidates.
    latitude : `~numpy.ndarray`
        Galactic latitude in deg, shape ``(n,)``.

    Returns
    -------
    probability : `~numpy.ndarray`
        Shape ``(n, 4)``.
    """
    real = expit(logits.real)[:, None]
    classes = softmax(logits.classes + np.log(training_prior(latitude)), axis=1)
    return np.concatenate([real * classes, 1 - real], axis=1)


def class_figures(truth, logits):
    """Figures on simulated candidates as they are in the sky of the training.

    Parameters
    ----------
    truth : dict of `~numpy.ndarray`
        ``source_class``, ``latitude``, ``significance`` and ``score`` of each candidate.
    logits : `~gammapy_asid.tasks.classification.model.ClassLogits`
        Calibrated logits.

    Returns
    -------
    figures : dict of float
        Areas under curves, calibration errors, and accuracy and macro-F1 of AGN, PSR, PWN-SNR and fake among
        fakes and sources of TS > 25.
    """
    from sklearn.metrics import f1_score, roc_auc_score

    source = truth["source_class"]
    real = source >= 0
    number = np.where(real, _NUMBER[source], 3)
    probability = kind_probabilities(logits, truth["latitude"])
    agn = number == 0
    fsrq = expit(logits.fsrq[agn] + np.log(FSRQ_ODDS))
    bright = ~real | (truth["significance"] > BRIGHT)
    predicted = probability.argmax(axis=1)
    figures = {
        "real_area": _area(roc_auc_score, real, logits.real),
        "score_area": _area(roc_auc_score, real, truth["score"]),
        "fsrq_area": _area(roc_auc_score, source[agn] == _FSRQ, fsrq),
        "real_calibration_error": expected_calibration_error(expit(logits.real), real),
        "fsrq_calibration_error": expected_calibration_error(fsrq, source[agn] == _FSRQ),
        "accuracy_ts25": float(np.mean(predicted[bright] == number[bright])) if bright.any() else np.nan,
        "macro_f1_ts25": float(f1_score(number[bright], predicted[bright], average="macro", zero_division=0)),
    }
    for i, name in enumerate(("agn", "psr", "pwn_snr")):
        figures[f"{name}_calibration_error"] = expected_calibration_error(probability[:, i], number == i)
        figures[f"{name}_area"] = _area(roc_auc_score, number[real] == i, probability[real, i])
    return {name: round(float(value), 4) for name, value in figures.items()} | {"n": len(source)}


def _area(area, target, score):
    """Area under the curve, NaN where there is one class only."""
    return area(target, score) if 0 < np.sum(target) < len(target) else np.nan
