# Licensed under a 3-clause BSD style license - see LICENSE
"""Card of a detection model."""

from typing import Literal

import numpy as np
from pydantic import field_validator, model_validator

from ...learning.card import Card, Probability, Range, StrictCard
from ...learning.score_calibration import apply_knots, combined_score

__all__ = ["INPUTS", "DetectionCard", "OperatingPoint"]

#: The two ways a model is used, each with a calibration of its own.
INPUTS = ("with_background", "counts_only")


class OperatingPoint(StrictCard):
    """Purity and completeness expected of candidates above a threshold."""

    threshold: Probability
    purity: Probability
    completeness: Probability


class DetectionCard(Card):
    """Description of a detection model, kept beside its weights.

    Parameters
    ----------
    name, task, version, architecture, bands, units, psf_r68, background, recipe, recipe_sha256, metrics, \
    package_version, weights_sha256
        See `~gammapy_asid.learning.card.Card`.
    pixel_size : tuple of float
        Range of the finest pixel size in deg.
    exposure : tuple of tuple of float
        Range of the exposure of each band in cm2 s.
    intensity : tuple of tuple of float
        Range of the intensity of the known sky at the logarithmic centre of each band in
        1/(cm2 s sr GeV): the spectrum.
    beyond_bands : float
        Largest share of the photons in energy bins that reach beyond their band, see
        `gammapy_asid.learning.domain.beyond_bands`.
    score_weights : dict
        For ``with_background`` and ``counts_only``: weights that make one score of the network's
        two, see `gammapy_asid.learning.score_calibration.combined_score`.
    calibration : dict
        For ``with_background`` and ``counts_only``: knots of the calibration, logit of
        the network's score and of the probability, see
        `gammapy_asid.learning.score_calibration.fit_knots`.
    operating_points : dict
        For the same two: expected purity and completeness at rising thresholds.
    position_scale : float
        Factor on the network's position errors that makes them cover.
    """

    later = {"task": "detection", "background": [], "intensity": [], "beyond_bands": 0.0}

    task: Literal["detection"] = "detection"
    units: dict[str, str] = {"energy": "GeV", "exposure": "cm2 s", "psf_r68": "deg", "pixel_size": "deg"}
    pixel_size: Range
    exposure: tuple[Range, ...]
    intensity: tuple[Range, ...] = ()
    beyond_bands: Probability = 0.0
    score_weights: dict[str, tuple[float, float, float]] = dict.fromkeys(INPUTS, (0.0, 1.0, 0.0))
    calibration: dict[str, tuple[tuple[float, float], ...]]
    operating_points: dict[str, tuple[OperatingPoint, ...]]
    position_scale: float = 1.0

    @field_validator("calibration", "operating_points")
    @classmethod
    def _both_inputs(cls, value):
        if set(value) != set(INPUTS):
            raise ValueError(f"needs the entries {' and '.join(INPUTS)}, got {sorted(value)}")
        for entries in value.values():
            first = [entry.threshold if isinstance(entry, OperatingPoint) else entry[0] for entry in entries]
            if len(first) < 2 or not np.all(np.diff(first) > 0):
                raise ValueError("needs at least two entries, their first value rising")
        return value

    @model_validator(mode="after")
    def _one_range_per_band(self):
        n_bands = len(self.to_bands())
        for name in ("psf_r68", "exposure", "background", "intensity"):
            value = getattr(self, name)
            if len(value) != n_bands and (value or name in ("psf_r68", "exposure")):
                raise ValueError(f"{name} needs one range for each of the {n_bands} bands")
        return self

    def knots(self, has_background):
        """Calibration knots, shape ``(n, 2)``.

        Parameters
        ----------
        has_background : bool
            Whether the dataset has a background.
        """
        return np.array(self.calibration[INPUTS[0] if has_background else INPUTS[1]])

    def score(self, score, height, has_background):
        """Calibrated probability of the network's two scores of candidates.

        Parameters
        ----------
        score, height : `~numpy.ndarray`
            See `gammapy_asid.learning.score_calibration.combined_score`.
        has_background : bool
            Whether the dataset has a background.
        """
        weights = self.score_weights[INPUTS[0] if has_background else INPUTS[1]]
        return apply_knots(combined_score(score, height, weights), self.knots(has_background))

    def expected(self, threshold, has_background):
        """Purity and completeness expected of candidates above a threshold.

        Parameters
        ----------
        threshold : float
            Calibrated score.
        has_background : bool
            Whether the dataset has a background.

        Returns
        -------
        purity, completeness : float
            Interpolated between the operating points of the card.
        """
        points = self.operating_points[INPUTS[0] if has_background else INPUTS[1]]
        at = [point.threshold for point in points]
        purity = np.interp(threshold, at, [point.purity for point in points])
        completeness = np.interp(threshold, at, [point.completeness for point in points])
        return float(purity), float(completeness)
