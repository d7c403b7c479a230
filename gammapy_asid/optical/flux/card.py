# Licensed under a 3-clause BSD style license - see LICENSE
"""Card of an ensemble for fluxes, and the intervals that its calibration gives."""

from typing import Literal

import numpy as np
from pydantic import model_validator

from ...learning.card import Card, Probability, Range
from ...learning.interval_calibration import apply_additive, fit_additive

__all__ = ["LEVELS", "OpticalFluxCard", "fit_intervals"]

#: Probabilities below the ends of the interval of 68 %, and below the flux itself.
LEVELS = (0.15866, 0.5, 0.84134)

#: What the calibration depends on: the predicted error, the significance of the fit, the neighbours, light
#: beyond that of a star, density and confusion of the image.
VARIABLES = ("error", "significance", "crowding", "extent", "density", "confusion")


def fit_intervals(pull, variables, weights=None):
    """Calibration of a card, from sources that trained nothing.

    Parameters
    ----------
    pull : `~numpy.ndarray`
        True minus predicted values in units of the predicted error, shape ``(n,)``.
    variables : tuple of `~numpy.ndarray`
        Values of the `VARIABLES`, positive, shape ``(n,)``.
    weights : `~numpy.ndarray`, optional
        Weight of each, by default equal.

    Returns
    -------
    calibration : dict
        Rows of each variable, see `gammapy_asid.learning.interval_calibration.fit_additive`.
    """
    parts = fit_additive(pull, list(variables), LEVELS, weights)
    return {name: tuple(map(tuple, part.tolist())) for name, part in zip(VARIABLES, parts, strict=True)}


class OpticalFluxCard(Card):
    """Description of an ensemble for the fluxes of sources in images.

    Parameters
    ----------
    name, task, version, architecture, bands, units, psf_r68, background, recipe, recipe_sha256, metrics, \
    package_version, weights_sha256
        See `~gammapy_asid.learning.card.Card`.
    fwhm : tuple of float
        Range of the width of the point spread function in pixels.
    significance : tuple of float
        Range of flux over error of the sources that calibrated it.
    levels : tuple of float
        Probabilities that the columns of the calibration belong to.
    calibration : dict
        Rows for each of the `VARIABLES`: its logarithm, and what is added to the quantiles of the deviations
        in units of the predicted error, see `gammapy_asid.learning.interval_calibration.fit_additive`.
    """

    task: Literal["optical-flux"] = "optical-flux"
    units: dict[str, str] = {"fwhm": "pix", "flux": "noise of the sky in a pixel"}
    psf_r68: tuple[Range, ...] = ()
    fwhm: Range
    significance: Range
    levels: tuple[Probability, ...] = LEVELS
    calibration: dict[str, tuple[tuple[float, ...], ...]]

    @model_validator(mode="after")
    def _every_variable_has_columns(self):
        if set(self.calibration) != set(VARIABLES):
            raise ValueError(f"calibration needs rows for {', '.join(VARIABLES)}")
        if any(len(row) != 1 + len(self.levels) for rows in self.calibration.values() for row in rows):
            raise ValueError(f"calibration needs rows of {1 + len(self.levels)} values")
        return self

    def quantiles(self, variables):
        """Quantiles of deviations in units of the predicted error.

        Parameters
        ----------
        variables : tuple of `~numpy.ndarray`
            Values of the `VARIABLES`, shape ``(n,)``.

        Returns
        -------
        quantiles : `~numpy.ndarray`
            Columns as `LEVELS`, rising; shape ``(n, 3)``.
        """
        parts = [self.calibration[name] for name in VARIABLES]
        low, middle, high = np.asarray(apply_additive(parts, list(variables))).T
        # Sums of parts may cross where no source was: no error is a hundredth of the predicted one
        return np.stack([np.minimum(low, middle - 0.01), middle, np.maximum(high, middle + 0.01)], 1)
