# Licensed under a 3-clause BSD style license - see LICENSE
"""Figures of a classifier on simulated candidates."""

import numpy as np
import torch
from scipy.special import expit

from ...learning.score_calibration import expected_calibration_error
from .loss import FSRQ, FSRQ_ODDS, class_of, training_prior
from .prior import SkyShares, class_probabilities

__all__ = ["class_figures", "kind_probabilities"]

#: Expected significance of what the figures of bright sources count, 5 standard deviations: TS > 25.
BRIGHT = 5.0


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
    *classes, _, real = _known(logits, latitude)
    return np.column_stack([*(real * share for share in classes), 1 - real])


def _known(logits, latitude):
    """Columns of `class_probabilities` under the prior of the training."""
    fsrq = np.full(len(latitude), FSRQ_ODDS / (1 + FSRQ_ODDS))
    return class_probabilities(logits, SkyShares(training_prior(latitude), fsrq)).T


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
    number = np.where(real, class_of(torch.as_tensor(source)).numpy(), 3)
    probability = kind_probabilities(logits, truth["latitude"])
    agn = number == 0
    fsrq = _known(logits, truth["latitude"])[3][agn]
    bright = ~real | (truth["significance"] > BRIGHT)
    predicted = probability.argmax(axis=1)
    figures = {
        "real_area": _area(roc_auc_score, real, logits.real),
        "score_area": _area(roc_auc_score, real, truth["score"]),
        "fsrq_area": _area(roc_auc_score, source[agn] == FSRQ, fsrq),
        "real_calibration_error": expected_calibration_error(expit(logits.real), real),
        "fsrq_calibration_error": expected_calibration_error(fsrq, source[agn] == FSRQ),
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
