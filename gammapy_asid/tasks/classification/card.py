# Licensed under a 3-clause BSD style license - see LICENSE
"""Card of a classifier of sources."""

from typing import Literal

from pydantic import field_validator

from ...learning.card import Card, Probability, Range, StrictCard

__all__ = ["MODES", "ClassCalibration", "ClassCard", "mode_of"]

#: The ways a model is used, each with a calibration of its own: with bins of time or without, candidates of
#: the detector or positions that are given.
MODES = ("time_detected", "time_given", "whole_detected", "whole_given")


def mode_of(n_bins, given):
    """Which calibration holds.

    Parameters
    ----------
    n_bins : int
        Bins of time.
    given : bool
        Whether positions were given.
    """
    return f"{'time' if n_bins > 1 else 'whole'}_{'given' if given else 'detected'}"


class ClassCalibration(StrictCard):
    """What makes the logits of one mode true.

    Parameters
    ----------
    real_knots : tuple of tuple of float
        Of real against fake, see `gammapy_asid.learning.score_calibration.fit_knots`.
    temperature, fsrq_temperature : float
        Divide the logits of the classes, and of FSRQ against BL Lac.
    bias : tuple of float
        Added to those of the classes.
    fsrq_bias : float
        Added to that of FSRQ against BL Lac.
    """

    real_knots: tuple[tuple[float, float], ...] = ((-1.0, -1.0), (1.0, 1.0))
    temperature: float = 1.0
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)
    fsrq_temperature: float = 1.0
    fsrq_bias: float = 0.0


class ClassCard(Card):
    """Description of a classifier of sources, kept beside its weights.

    Parameters
    ----------
    name, task, version, architecture, bands, units, psf_r68, background, recipe, recipe_sha256, metrics, \
    package_version, weights_sha256
        See `~gammapy_asid.learning.card.Card`.
    detector_sha256 : str
        SHA-256 of the card of the detector whose candidates it has seen.
    exposure : tuple of tuple of float
        Range of the exposure of each band in cm2 s.
    intensity : tuple of tuple of float
        Range of the intensity of the known sky, and
    beyond_bands : float
        largest share of the photons that reach beyond their band: see
        `~gammapy_asid.tasks.detection.card.DetectionCard`.
    pixel_size : tuple of float
        Range of the finest pixel size in deg.
    time_bins : tuple of int
        Fewest and most bins of time of the training.
    real_share : float
        Share of real sources among the candidates of the training.
    calibration : dict
        `ClassCalibration` for each of the `MODES`.
    """

    task: Literal["classification"] = "classification"
    units: dict[str, str] = {"energy": "GeV", "exposure": "cm2 s", "psf_r68": "deg", "pixel_size": "deg"}
    detector_sha256: str
    exposure: tuple[Range, ...]
    intensity: tuple[Range, ...] = ()
    beyond_bands: Probability = 0.0
    pixel_size: Range
    time_bins: tuple[int, int]
    real_share: float
    calibration: dict[str, ClassCalibration]

    @field_validator("calibration")
    @classmethod
    def _all_modes(cls, value):
        if set(value) != set(MODES):
            raise ValueError(f"needs the entries {', '.join(MODES)}, got {sorted(value)}")
        return value
