# Licensed under a 3-clause BSD style license - see LICENSE
"""Card of an ensemble for position or flux."""

from typing import Literal

from pydantic import model_validator

from ...learning.card import Card, Probability, Range

__all__ = ["EnsembleCard"]


class EnsembleCard(Card):
    """Description of the ensemble for position or flux of a detection model.

    Parameters
    ----------
    name, task, version, architecture, bands, units, psf_r68, background, recipe, recipe_sha256, metrics, \
    package_version, weights_sha256
        See `~gammapy_asid.learning.card.Card`; the name is that of the detection model.
    pixel_size, exposure, intensity, beyond_bands
        See `~gammapy_asid.tasks.detection.card.DetectionCard`.
    detection_sha256 : str
        SHA-256 of the weights of the detection model whose candidates it was trained on.
    levels : tuple of float
        Probabilities that the columns of the calibration belong to.
    calibration : dict
        For ``detected`` and ``given`` positions, fluxes also for each way to the spread and
        for wide and narrow ranges of energies: rows of the logarithm of the predicted
        standard deviation, and the quantiles of the deviations in units of it; with
        `` significance`` and `` flux`` added to the key, rows of the logarithm of these, and what is
        to be added to the quantiles. See `gammapy_asid.learning.interval_calibration.fit_additive`.
    empty_significance : tuple of float, optional
        Of fluxes: significances up to which the intervals of 68 % and of 95 % of given positions begin at
        zero, see `gammapy_asid.tasks.measurement.calibration.flux_significance`.
    """

    task: Literal["position", "flux"]
    units: dict[str, str] = {"energy": "GeV", "flux": "cm-2 s-1", "position": "deg", "pixel_size": "deg"}
    pixel_size: Range
    exposure: tuple[Range, ...]
    intensity: tuple[Range, ...] = ()
    beyond_bands: Probability = 0.0
    detection_sha256: str
    levels: tuple[Probability, ...]
    calibration: dict[str, tuple[tuple[float, ...], ...]]
    empty_significance: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _one_column_per_level(self):
        for rows in self.calibration.values():
            if not rows or any(len(row) != 1 + len(self.levels) for row in rows):
                raise ValueError(f"calibration needs rows of {1 + len(self.levels)} values")
        return self

    @model_validator(mode="after")
    def _knows_empty_places(self):
        if self.task == "flux" and self.empty_significance is None:
            raise ValueError("the fluxes were not calibrated at empty places: train the ensemble again")
        return self
