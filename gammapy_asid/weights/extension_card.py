# Licensed under a 3-clause BSD style license - see LICENSE
"""Card of a classifier of extension."""

from pydantic import model_validator

from ..inputs.bands import Bands
from .card import BandsCard, Range, StrictCard

__all__ = ["ExtensionCard"]


class ExtensionCard(StrictCard):
    """Description of a classifier of extension, kept beside its weights.

    Parameters
    ----------
    name : str
        Name of the model.
    kind : str
        Always ``extension``.
    version : str
        Version of the weights.
    architecture : dict
        See `~gammapy_asid.networks.extension.ExtensionConfig`.
    bands : dict
        See `~gammapy_asid.inputs.Bands`.
    units : dict
        Units of inputs and outputs.
    edges : tuple of float
        Sizes in deg where one class ends and the next begins.
    size_range : tuple of float
        Sizes in deg that it was trained with.
    psf_r68 : tuple of tuple of float
        Range of the 68 % containment radius of each band in deg.
    background : tuple of tuple of float
        Range of the background of each band in counts per pixel.
    temperature : float
        Divides the logits of the classes.
    bias : tuple of float
        Added to them.
    extended_knots : tuple of tuple of float
        Calibration of the probability to be extended, see `gammapy_asid.evaluation.calibration.fit_knots`.
    levels : tuple of float
        Probabilities that the columns of `size_quantiles` belong to.
    size_quantiles : tuple of tuple of float
        Rows of the logarithm of the predicted error and the quantiles of the deviations in units of it, see
        `gammapy_asid.evaluation.uncertainty.fit_quantiles`.
    recipe : dict
        Training recipe.
    recipe_sha256 : str
        SHA-256 of the recipe.
    metrics : dict
        Figures measured on simulations not used in training.
    package_version : str
        Version of this package that trained the model.
    weights_sha256 : str
        SHA-256 of the weight file.
    """

    name: str
    kind: str = "extension"
    version: str
    architecture: dict
    bands: BandsCard
    units: dict[str, str] = {"energy": "GeV", "size": "deg", "psf_r68": "deg", "background": "1/pixel"}
    edges: tuple[float, ...]
    size_range: Range
    psf_r68: tuple[Range, ...]
    background: tuple[Range, ...]
    temperature: float
    bias: tuple[float, ...]
    extended_knots: tuple[tuple[float, float], ...]
    levels: tuple[float, ...]
    size_quantiles: tuple[tuple[float, ...], ...]
    recipe: dict
    recipe_sha256: str
    metrics: dict
    package_version: str
    weights_sha256: str = ""

    @model_validator(mode="after")
    def _consistent(self):
        if len(self.bias) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges need one bias more, got {len(self.bias)}")
        if any(len(row) != 1 + len(self.levels) for row in self.size_quantiles):
            raise ValueError(f"size_quantiles needs rows of {1 + len(self.levels)} values")
        return self

    def to_bands(self):
        """Bands of the model (`~gammapy_asid.inputs.bands.Bands`)."""
        return Bands(**self.bands.model_dump())

    @property
    def classes(self):
        """Names of the classes: C0, C1, ..."""
        return [f"C{i}" for i in range(len(self.edges) + 1)]
