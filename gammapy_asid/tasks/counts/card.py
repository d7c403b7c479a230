# Licensed under a 3-clause BSD style license - see LICENSE
"""Card of a generator of counts."""

from typing import Literal

from ...learning.card import Card

__all__ = ["CountsCard"]


class CountsCard(Card):
    """Description of a generator of counts, kept beside its weights.

    Parameters
    ----------
    name, task, version, architecture, bands, units, psf_r68, background, recipe, recipe_sha256, metrics, \
    package_version, weights_sha256
        See `~gammapy_asid.learning.card.Card`.
    pixel_size : float
        Of the finest pixels in deg.
    exposure : tuple of float
        Mean exposure of each band in cm2 s, 0 where it is absent.
    brightness : tuple of tuple of float
        Mean of the stabilised counts of each band, then standard deviations, of simulated patches: generated
        ones have these.
    marks : tuple of float
        Mean and standard deviation of the image of sources.
    """

    task: Literal["counts"] = "counts"
    units: dict[str, str] = {"energy": "GeV", "exposure": "cm2 s"}
    pixel_size: float
    exposure: tuple[float, ...]
    brightness: tuple[tuple[float, ...], ...]
    marks: tuple[float, float]
