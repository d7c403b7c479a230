# Licensed under a 3-clause BSD style license - see LICENSE
"""From a trained network to a model that ships: calibration, figures, range of the training."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from ...evaluation.metrics import purity_recall
from ...learning.score_calibration import apply_knots, expected_calibration_error, fit_knots
from ...learning.seeds import PATCHES
from ...utils.sky_geometry import CHI2_68
from .candidates import simulated_candidates, simulated_images
from .card import OpticalPoint

__all__ = ["card_fields", "figures", "mask_figures"]

#: Knots of the calibration, and candidates that each needs.
N_KNOTS, PER_KNOT = 30, 10

#: Scores at which the card states purity and completeness.
THRESHOLDS = np.round(np.arange(0.05, 0.96, 0.05), 2)

#: Density of sources a pixel below which the weight of an image in the calibration grows no more.
FEWEST = 0.003

#: Densities of detectable sources a pixel that part the figures.
CROWDS = (0.0, 0.003, 0.01, 0.03, 0.1, 1.0)


def _candidates(network, simulator, n_patches, seed):
    return simulated_candidates(network, simulated_images(simulator, n_patches, seed))


def card_fields(network, simulator, n_patches):
    """Entries of the card of a trained network.

    Parameters
    ----------
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network in evaluation mode.
    simulator : `~gammapy_asid.optical.simulator.OpticalSimulator`
        Simulator of the training.
    n_patches : int
        Images for the calibration, and as many for its test.

    Returns
    -------
    fields : dict
        Entries of the `~gammapy_asid.optical.detection.card.OpticalCard`.

    Raises
    ------
    ValueError
        If there are too few candidates.
    """
    fit, truth, _ = _candidates(network, simulator, n_patches, PATCHES.calibration)
    test, test_truth, masks = _candidates(network, simulator, n_patches, PATCHES.test)
    real = np.isfinite(fit["offset"])
    good = real & (fit["score"] > 0.5)
    n_knots = min(N_KNOTS, len(real) // PER_KNOT)
    if n_knots < 2 or not good.any():
        raise ValueError(
            f"The network finds {len(real)} candidates in {n_patches} simulated images, too few to calibrate "
            "it: train for more epochs, or on more calibration_patches"
        )
    # Crowds have most of the candidates, and would alone decide
    regression = LogisticRegression(C=1e3, max_iter=2000)
    regression.fit(fit["evidence"], real, sample_weight=1 / (fit["crowd"] + FEWEST))
    combined = regression.predict_proba(fit["evidence"])[:, 1]
    knots = fit_knots(combined, real, n_knots)
    pull = (fit["offset"][good] / fit["sigma"][good]) ** 2
    score = apply_knots(regression.predict_proba(test["evidence"])[:, 1], knots)
    return {
        "fwhm": simulator.fwhm,
        "crowd": (0.0, float(np.quantile(truth["crowd"], 0.99))),
        "score_weights": (float(regression.intercept_[0]), *map(float, regression.coef_[0])),
        "calibration": tuple(map(tuple, knots.tolist())),
        "operating_points": _operating_points(score, np.isfinite(test["offset"]), len(test_truth["snr"])),
        "position_scale": float(np.sqrt(np.quantile(pull, 0.68) / CHI2_68)),
        "metrics": figures(score, test, test_truth) | mask_figures(masks),
    }


def _operating_points(score, found, n_true):
    return tuple(
        OpticalPoint(
            threshold=float(threshold),
            purity=float(found[score >= threshold].mean()) if (score >= threshold).any() else 1.0,
            completeness=float(found[score >= threshold].sum() / n_true),
        )
        for threshold in THRESHOLDS
    )


def figures(score, candidates, truth):
    """Purity and completeness at a score of one half, of all and by density, and the calibration error.

    Parameters
    ----------
    score : `~numpy.ndarray`
        Calibrated scores.
    candidates, truth : dict of `~numpy.ndarray`
        Result of `~gammapy_asid.optical.detection.candidates.simulated_candidates`.

    Returns
    -------
    figures : dict
        Figures.
    """
    found = np.isfinite(candidates["offset"])
    curve = purity_recall(score, found, len(truth["snr"]))
    by_crowd = {}
    for low, high in zip(CROWDS[:-1], CROWDS[1:], strict=True):
        own, true = ((c["crowd"] >= low) & (c["crowd"] < high) for c in (candidates, truth))
        above = own & (score >= 0.5)
        if above.any() and true.any():
            purity, completeness = found[above].mean(), found[above].sum() / true.sum()
            by_crowd[f"{low:g}-{high:g}"] = {
                "purity": round(float(purity), 4),
                "completeness": round(float(completeness), 4),
                "n_true": int(true.sum()),
                "expected_calibration_error": round(expected_calibration_error(score[own], found[own]), 4),
            }
    return {
        "average_precision": round(float(curve.average_precision), 4),
        "expected_calibration_error": round(expected_calibration_error(score, found), 4),
        "n_true": len(truth["snr"]),
        "by_crowd": by_crowd,
    }


def mask_figures(masks):
    """Purity of the pixels of cosmic rays and trails where 95 % are found.

    Parameters
    ----------
    masks : dict of `~numpy.ndarray`
        Result of `~gammapy_asid.optical.detection.candidates.simulated_candidates`.

    Returns
    -------
    figures : dict of float
        Figures; without those that no pixel is of.
    """
    figures = {}
    for name, (probability, true) in masks.items():
        if true.any():
            curve = purity_recall(probability, true.astype(bool), int(true.sum()))
            best = max(curve.purity[curve.recall >= 0.95], default=0.0)
            figures[f"{name}_purity_at_recall_0.95"] = round(float(best), 4)
    return figures
