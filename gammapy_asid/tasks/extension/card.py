# Licensed under a 3-clause BSD style license - see LICENSE
"""Card of a classifier of extension."""

from typing import Literal

from pydantic import model_validator

from ...learning.card import Card, Range

__all__ = ["ExtensionCard"]


class ExtensionCard(Card):
    """Description of a classifier of extension, kept beside its weights.

    Parameters
    ----------
    name, task, version, architecture, bands, units, psf_r68, background, recipe, recipe_sha256, metrics, \
    package_version, weights_sha256
        See `~gammapy_asid.learning.card.Card`.
    edges : tuple of float
        Sizes in deg where one class ends and the next begins.
    size_range : tuple of float
        Sizes in deg that it was trained with.
    temperature : float
        Divides the logits of the classes.
    bias : tuple of float
        Added to them.
    extended_knots : tuple of tuple of float
        Calibration of the probability to be extended, see
        `gammapy_asid.learning.score_calibration.fit_knots`.
    levels : tuple of float
        Probabilities that the columns of `size_quantiles` belong to.
    size_quantiles : tuple of tuple of float
        Rows of the logarithm of the predicted error and the quantiles of the deviations in units of it, see
        `gammapy_asid.learning.interval_calibration.fit_quantiles`.
    """

    task: Literal["extension"] = "extension"
    units: dict[str, str] = {"energy": "GeV", "size": "deg", "psf_r68": "deg", "background": "1/pixel"}
    edges: tuple[float, ...]
    size_range: Range
    background: tuple[Range, ...]
    temperature: float
    bias: tuple[float, ...]
    extended_knots: tuple[tuple[float, float], ...]
    levels: tuple[float, ...]
    size_quantiles: tuple[tuple[float, ...], ...]

    @model_validator(mode="after")
    def _consistent(self):
        if len(self.bias) != len(self.edges) + 1:
            raise ValueError(f"{len(self.edges)} edges need one bias more, got {len(self.bias)}")
        if any(len(row) != 1 + len(self.levels) for row in self.size_quantiles):
            raise ValueError(f"size_quantiles needs rows of {1 + len(self.levels)} values")
        return self

    @property
    def classes(self):
        """Names of the classes: C0, C1, ..."""
        return [f"C{i}" for i in range(len(self.edges) + 1)]
