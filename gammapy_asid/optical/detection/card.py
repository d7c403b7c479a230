# Licensed under a 3-clause BSD style license - see LICENSE
"""Card of a detection model for images."""

from typing import Literal

import numpy as np

from ...learning.card import Card, Probability, Range, StrictCard
from ...learning.score_calibration import apply_knots, combined_score

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
        Range of the number of detectable sources a pixel.
    score_weights : tuple of float
        Weights that make one score of the network's two.
    calibration : tuple of tuple of float
        Knots of the calibration, see `~gammapy_asid.learning.score_calibration.fit_knots`.
    operating_points : tuple of `OpticalPoint`
        Expected purity and completeness at rising thresholds.
    position_scale : float
        Factor on the network's position errors that makes them cover.
    """

    task: Literal["optical"] = "optical"
    units: dict[str, str] = {"fwhm": "pix", "crowd": "1 / pix2"}
    psf_r68: tuple[Range, ...] = ()
    fwhm: Range
    crowd: Range
    score_weights: tuple[float, float, float] = (0.0, 1.0, 0.0)
    calibration: tuple[tuple[float, float], ...]
    operating_points: tuple[OpticalPoint, ...]
    position_scale: float = 1.0

    def score(self, score, height):
        """Calibrated probability of the network's two scores of candidates.

        Parameters
        ----------
        score, height : `~numpy.ndarray`
            See `gammapy_asid.learning.score_calibration.combined_score`.
        """
        return apply_knots(combined_score(score, height, self.score_weights), np.array(self.calibration))
