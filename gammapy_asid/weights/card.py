# Licensed under a 3-clause BSD style license - see LICENSE
"""Model cards: what a set of weights is, what it was trained for and how well it does."""

import hashlib
import json
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from ..evaluation.calibration import apply_knots, combined_score
from ..inputs.bands import Bands

__all__ = ["BandsCard", "EnsembleCard", "ModelCard", "OperatingPoint", "Range", "StrictCard"]

Range = Annotated[tuple[float, float], Field(description="lowest and highest value")]
Probability = Annotated[float, Field(ge=0, le=1)]

#: The two ways a model is used, each with a calibration of its own.
INPUTS = ("with_background", "counts_only")


class StrictCard(BaseModel):
    """A part of a card; unknown entries are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BandsCard(StrictCard):
    """Bands of a model: edges in GeV, resolution levels, nominal pixel size and extents in deg."""

    edges: tuple[float, ...]
    levels: tuple[int, ...]
    pixel_size: float = 0.1
    extents: tuple[float, ...] = ()


class OperatingPoint(StrictCard):
    """Purity and completeness expected of candidates above a threshold."""

    threshold: Probability
    purity: Probability
    completeness: Probability


class ModelCard(StrictCard):
    """Description of a trained model, kept beside its weights.

    Parameters
    ----------
    name : str
        Name of the model.
    version : str
        Version of the weights.
    architecture : dict
        Configuration that builds the network.
    bands : dict
        Band edges in GeV, resolution levels, nominal pixel size and extents in deg, see
        `~gammapy_asid.inputs.bands.Bands`.
    units : dict
        Units of inputs and outputs.
    pixel_size : tuple of float
        Range of the finest pixel size in deg.
    psf_r68 : tuple of tuple of float
        Range of the 68 % containment radius of each band in deg.
    exposure : tuple of tuple of float
        Range of the exposure of each band in cm2 s.
    background : tuple of tuple of float
        Range of the known sky of each band in counts per pixel; empty in older cards.
    intensity : tuple of tuple of float
        Range of its intensity at the logarithmic centre of each band in 1/(cm2 s sr GeV): the spectrum.
    beyond_bands : float
        Largest share of the photons in energy bins that reach beyond their band, see
        `gammapy_asid.networks.domain.beyond_bands`.
    recipe : dict
        Training recipe.
    recipe_sha256 : str
        SHA-256 of the recipe.
    metrics : dict
        Figures measured on simulations not used in training.
    score_weights : dict
        For ``with_background`` and ``counts_only``: weights that make one score of the network's
        two, see `gammapy_asid.evaluation.calibration.combined_score`.
    calibration : dict
        For ``with_background`` and ``counts_only``: knots of the calibration, logit of
        the network's score and of the probability, see
        `gammapy_asid.evaluation.calibration.fit_knots`.
    operating_points : dict
        For the same two: expected purity and completeness at rising thresholds.
    position_scale : float
        Factor on the network's position errors that makes them cover.
    package_version : str
        Version of this package that trained the model.
    weights_sha256 : str
        SHA-256 of the weight file.
    """

    name: str
    version: str
    architecture: dict
    bands: BandsCard
    units: dict[str, str] = {"energy": "GeV", "exposure": "cm2 s", "psf_r68": "deg", "pixel_size": "deg"}
    pixel_size: Range
    psf_r68: tuple[Range, ...]
    exposure: tuple[Range, ...]
    background: tuple[Range, ...] = ()
    intensity: tuple[Range, ...] = ()
    beyond_bands: Probability = 0.0
    recipe: dict
    recipe_sha256: str
    metrics: dict
    score_weights: dict[str, tuple[float, float, float]] = dict.fromkeys(INPUTS, (0.0, 1.0, 0.0))
    calibration: dict[str, tuple[tuple[float, float], ...]]
    operating_points: dict[str, tuple[OperatingPoint, ...]]
    position_scale: float = 1.0
    package_version: str
    weights_sha256: str = ""

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

    @property
    def sha256(self):
        """SHA-256 of the card itself, which candidates state."""
        # Cards without these entries are older, and keep their hash.
        later = {"background": [], "intensity": [], "beyond_bands": 0.0}
        values = self.model_dump(mode="json")
        values = {key: value for key, value in values.items() if key not in later or value != later[key]}
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_bands(self):
        """Bands of the model (`~gammapy_asid.inputs.bands.Bands`)."""
        return Bands(**self.bands.model_dump())

    def knots(self, has_background):
        """Calibration knots, shape ``(n, 2)``."""
        return np.array(self.calibration[INPUTS[0] if has_background else INPUTS[1]])

    def score(self, score, height, has_background):
        """Calibrated probability of the network's two scores of candidates.

        Parameters
        ----------
        score, height : `~numpy.ndarray`
            See `gammapy_asid.evaluation.calibration.combined_score`.
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


class EnsembleCard(StrictCard):
    """Description of the ensemble for position or flux of a detection model.

    Parameters
    ----------
    name : str
        Name of the detection model.
    kind : str
        What the ensemble predicts.
    version : str
        Version of the weights.
    architecture : dict
        See `~gammapy_asid.networks.ensembles.EnsembleConfig`.
    bands, units, pixel_size, psf_r68, exposure, background, intensity, beyond_bands
        See `ModelCard`.
    detection_sha256 : str
        SHA-256 of the weights of the detection model whose candidates it was trained on.
    recipe : dict
        Training recipe.
    recipe_sha256 : str
        SHA-256 of the recipe.
    levels : tuple of float
        Probabilities that the columns of the calibration belong to.
    calibration : dict
        For ``detected`` and ``given`` positions, fluxes also for each way to the spread and
        for wide and narrow ranges of energies: rows of the logarithm of the predicted
        standard deviation, and the quantiles of the deviations in units of it; with
        `` significance`` and `` flux`` added to the key, rows of the logarithm of these, and what is
        to be added to the quantiles. See `gammapy_asid.evaluation.uncertainty.fit_additive`.
    empty_significance : tuple of float, optional
        Of fluxes: significances up to which the intervals of 68 % and of 95 % of given positions begin at
        zero, see `gammapy_asid.networks.source_model.flux_significance`.
    metrics : dict
        Figures measured on simulations not used in training.
    package_version : str
        Version of this package that trained the ensemble.
    weights_sha256 : str
        SHA-256 of the weight file.
    """

    name: str
    kind: Literal["position", "flux"]
    version: str
    architecture: dict
    bands: BandsCard
    units: dict[str, str] = {"energy": "GeV", "flux": "cm-2 s-1", "position": "deg", "pixel_size": "deg"}
    pixel_size: Range
    psf_r68: tuple[Range, ...]
    exposure: tuple[Range, ...]
    background: tuple[Range, ...] = ()
    intensity: tuple[Range, ...] = ()
    beyond_bands: Probability = 0.0
    detection_sha256: str
    recipe: dict
    recipe_sha256: str
    levels: tuple[Probability, ...]
    calibration: dict[str, tuple[tuple[float, ...], ...]]
    empty_significance: tuple[float, float] | None = None
    metrics: dict
    package_version: str
    weights_sha256: str = ""

    def to_bands(self):
        """Bands of the model (`~gammapy_asid.inputs.bands.Bands`)."""
        return Bands(**self.bands.model_dump())

    @model_validator(mode="after")
    def _one_column_per_level(self):
        for rows in self.calibration.values():
            if not rows or any(len(row) != 1 + len(self.levels) for row in rows):
                raise ValueError(f"calibration needs rows of {1 + len(self.levels)} values")
        return self

    @model_validator(mode="after")
    def _knows_empty_places(self):
        if self.kind == "flux" and self.empty_significance is None:
            raise ValueError("the fluxes were not calibrated at empty places: train the ensemble again")
        return self
