# Licensed under a 3-clause BSD style license - see LICENSE
"""Card of a classifier of optical sources."""

from typing import Literal

from pydantic import field_validator

from ...learning.card import Card, Range
from .prior import SUBCLASSES

__all__ = ["OpticalClassCard"]


class OpticalClassCard(Card):
    """Description of a classifier of stars and galaxies, kept beside its weights.

    Parameters
    ----------
    name, task, version, architecture, bands, units, psf_r68, background, recipe, recipe_sha256, metrics, \
    package_version, weights_sha256
        See `~gammapy_asid.learning.card.Card`.
    fwhm : tuple of float
        Range of the width of the point spread function in pixels.
    psf_error : tuple of float
        Range of the relative error of the measured width in the training.
    snr : tuple of float
        Range of the significance of candidates, of which 98 % lie inside.
    temperature : float
        Divides the logits.
    bias : tuple of float
        Added to them.
    """

    task: Literal["optical-classification"] = "optical-classification"
    units: dict[str, str] = {"fwhm": "pix"}
    psf_r68: tuple[Range, ...] = ()
    fwhm: Range
    psf_error: Range
    snr: Range
    temperature: float = 1.0
    bias: tuple[float, ...] = (0.0,) * len(SUBCLASSES)

    @field_validator("bias")
    @classmethod
    def _one_each(cls, value):
        if len(value) != len(SUBCLASSES):
            raise ValueError(f"needs a value for each of {len(SUBCLASSES)} subclasses, got {len(value)}")
        return value
