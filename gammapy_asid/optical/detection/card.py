# Licensed under a 3-clause BSD style license - see LICENSE
"""Card of a detection model for images."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator
from scipy.special import expit

from ...learning.card import Card, Probability, Range, StrictCard
from ...learning.score_calibration import apply_knots
from .centres import N_EVIDENCE, RANGE, evidence
from .hidden import N_HIDDEN

__all__ = ["OpticalCard", "OpticalPoint"]


class OpticalPoint(StrictCard):
    """Purity and completeness expected of candidates above a threshold, on the skies of the training."""

    threshold: Probability
    purity: Probability
    completeness: Probability


class OpticalCard(Card):
    """Description of a detection model for images, kept beside its weights.

    Parameters
    ----------
    name, task, version, architecture, bands, units, psf_r68, background, recipe, recipe_sha256, metrics, \
    package_version, weights_sha256
        See `~gammapy_asid.learning.card.Card`; sizes in ``bands`` are in tenths of a pixel.
    fwhm : tuple of float
        Range of the width of the point spread function in pixels.
    crowd : tuple of float
        Range of the density of sources a pixel that the network expects.
    score_weights : tuple of float
        Constant and weights of the columns of `~gammapy_asid.optical.detection.centres.evidence`, whose sum
        is the logit of the score; by default the network's own.
    calibration : tuple of tuple of float
        Knots of the calibration, see `~gammapy_asid.learning.score_calibration.fit_knots`.
    operating_points : tuple of `OpticalPoint`
        Expected purity and completeness at rising thresholds.
    position_scale : float
        Factor on the network's position errors that makes them cover.
    hidden_weights : tuple of float
        Weights of the evidence for stars that the network did not find, see
        `~gammapy_asid.optical.detection.hidden_score.hidden_score`; empty where the training saw no crowds.
    """

    task: Literal["optical"] = "optical"
    units: dict[str, str] = {"fwhm": "pix", "crowd": "1 / pix2"}
    psf_r68: tuple[Range, ...] = ()
    fwhm: Range
    crowd: Range
    score_weights: Annotated[
        tuple[float, ...], Field(min_length=N_EVIDENCE + 1, max_length=N_EVIDENCE + 1)
    ] = (
        0.0,
        RANGE,
        *(0.0,) * (N_EVIDENCE - 1),
    )
    calibration: tuple[tuple[float, float], ...]
    operating_points: tuple[OpticalPoint, ...]
    position_scale: float = 1.0
    hidden_weights: tuple[float, ...] = ()

    @field_validator("hidden_weights")
    @classmethod
    def _one_weight_each(cls, weights):
        n = 1 + N_HIDDEN * (N_HIDDEN + 3) // 2
        if len(weights) not in (0, n):
            raise ValueError(f"{n} weights are needed, or none")
        return weights

    def score(self, peaks, crowd):
        """Calibrated probability of candidates.

        Parameters
        ----------
        peaks, crowd
            Result of `~gammapy_asid.optical.detection.centres.find_peaks`.

        Returns
        -------
        score : `~numpy.ndarray`
            Shape ``(n_peaks,)``.
        """
        constant, *slopes = self.score_weights
        combined = expit(constant + evidence(peaks, crowd) @ np.array(slopes))
        return apply_knots(combined, np.array(self.calibration))
