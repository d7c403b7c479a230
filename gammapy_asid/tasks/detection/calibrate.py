# Licensed under a 3-clause BSD style license - see LICENSE
"""From a finished training to a model that ships: calibration, metrics, card."""

import numpy as np

from ...evaluation.metrics import offset_summary, purity_recall
from ...inputs.psf import psf_radius
from ...learning.domain import beyond_bands, ranges, sky_levels
from ...learning.score_calibration import (
    apply_knots,
    combined_score,
    expected_calibration_error,
    fit_combination,
    fit_knots,
)
from ...learning.seeds import PATCHES, SKY
from ...utils.sky_geometry import CHI2_68
from .card import INPUTS, OperatingPoint
from .simulated_candidates import simulated_candidates

__all__ = ["calibrate", "card_fields"]

# Knots of a calibration, and the candidates that each needs.
N_KNOTS, PER_KNOT = 30, 10

# Calibrated scores at which a card states purity and completeness.
THRESHOLDS = np.round(np.arange(0.05, 0.96, 0.05), 2)


def calibrate(network, simulator, n_patches, batch_size=32):
    """Calibrate score and position error on simulations, and test them on others.

    Parameters
    ----------
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network in evaluation mode.
    simulator : `~gammapy_asid.simulation.patch_simulator.PatchSimulator`
        Simulator of the training.
    n_patches : int
        Patches for the calibration, and as many for the test.
    batch_size : int
        Patches simulated at once.

    Returns
    -------
    fields : dict
        Fields of the `~gammapy_asid.tasks.detection.card.DetectionCard`: ``score_weights``,
        ``calibration``, ``operating_points``, ``position_scale`` and ``metrics``.

    Raises
    ------
    ValueError
        If there are too few candidates.
    """
    n_batches = -(-n_patches // batch_size)

    def candidates(seed):
        draws = (simulator.draw(batch_size, (seed, i)) for i in range(n_batches))
        return simulated_candidates(network, draws)

    fit, _ = candidates(PATCHES.calibration)
    test, n_true = candidates(PATCHES.test)
    number = min(np.sum(c["has_background"] == known) for c in (fit, test) for known in (0, 1))
    good = (fit["score"] > 0.5) & np.isfinite(fit["offset"])
    if number < 2 * PER_KNOT or not good.any():
        raise ValueError(
            f"The network finds {number} candidates in {n_batches * batch_size} simulated patches, too few "
            "to calibrate it: train for more epochs, or on more calibration_patches"
        )
    pull = (fit["offset"][good] / fit["sigma"][good]) ** 2
    fields = {
        "score_weights": {},
        "calibration": {},
        "operating_points": {},
        "position_scale": float(np.sqrt(np.quantile(pull, 0.68) / CHI2_68)),
        "metrics": {},
    }
    for known, name in zip((1, 0), INPUTS, strict=True):
        chosen = fit["has_background"] == known
        n_knots = min(N_KNOTS, chosen.sum() // PER_KNOT)
        real = np.isfinite(fit["offset"][chosen])
        weights = fit_combination(fit["score"][chosen], fit["height"][chosen], real)
        combined = combined_score(fit["score"][chosen], fit["height"][chosen], weights)
        knots = fit_knots(combined, real, n_knots)
        chosen = test["has_background"] == known
        score = apply_knots(combined_score(test["score"][chosen], test["height"][chosen], weights), knots)
        found, offset = np.isfinite(test["offset"][chosen]), test["offset"][chosen]
        curve = purity_recall(score, found, n_true[known])
        fields["score_weights"][name] = weights
        fields["calibration"][name] = tuple(map(tuple, knots.tolist()))
        fields["operating_points"][name] = tuple(
            OperatingPoint(
                threshold=float(threshold),
                purity=float(found[score >= threshold].mean()) if (score >= threshold).any() else 1.0,
                completeness=float(found[score >= threshold].sum() / n_true[known]),
            )
            for threshold in THRESHOLDS
        )
        fields["metrics"][name] = {
            "average_precision": round(float(curve.average_precision), 4),
            "recall_at_purity_0.95": round(float(max(curve.recall[curve.purity >= 0.95], default=0)), 4),
            "recall_at_purity_0.90": round(float(max(curve.recall[curve.purity >= 0.90], default=0)), 4),
            "expected_calibration_error": round(expected_calibration_error(score, found), 4),
            "n_true": int(n_true[known]),
            **{key: round(value, 4) for key, value in offset_summary(offset[score > 0.5]).items()},
        }
    return fields


def card_fields(network, simulator, n_patches):
    """Entries of the card of a trained network: its calibration, and the range of its training.

    Parameters
    ----------
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network in evaluation mode.
    simulator : `~gammapy_asid.simulation.patch_simulator.PatchSimulator`
        Simulator of the training.
    n_patches : int
        Patches for the calibration, and as many for the test.

    Returns
    -------
    fields : dict
        Entries of the `~gammapy_asid.tasks.detection.card.DetectionCard`.
    """
    responses = simulator.bank.responses
    exposure = np.array([np.where(r.present, r.exposure.mean(axis=1), np.nan) for r in responses])
    pixel_size = [response.pixel_size for response in responses]
    return {
        "pixel_size": (min(pixel_size), max(pixel_size)),
        "psf_r68": ranges(np.array([psf_radius(response) for response in responses])),
        "exposure": ranges(exposure),
        **_sky_ranges(simulator),
        "beyond_bands": max(beyond_bands(response) for response in responses),
        **calibrate(network, simulator, n_patches),
    }


def _sky_ranges(simulator, n_patches=2048, batch_size=32):
    """Fields ``background`` and ``intensity`` of the card: ranges of the known sky that a simulator draws."""
    parts = []
    for i in range(-(-n_patches // batch_size)):
        patches = simulator.draw(batch_size, (SKY, i))
        levels = sky_levels(
            patches.batch, simulator.bank.responses, patches.instrument.numpy(), part=simulator.size
        )
        parts.append([values[..., 0, 0] for values in levels])
    background, intensity = (np.concatenate(values) for values in zip(*parts, strict=True))
    return {"background": ranges(background), "intensity": ranges(intensity)}
