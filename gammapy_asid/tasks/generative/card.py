# Licensed under a 3-clause BSD style license - see LICENSE
"""Card of a generator of fine emission."""

from typing import Literal

from ...learning.card import Card

__all__ = ["GenerativeCard"]


class GenerativeCard(Card):
    """Description of a generator of fine emission, kept beside its weights.

    Parameters
    ----------
    name, task, version, architecture, bands, units, psf_r68, background, recipe, recipe_sha256, metrics, \
    package_version, weights_sha256
        See `~gammapy_asid.learning.card.Card`.
    amplitude : tuple of float
        Coefficients of the logarithm of the strength of the structure, see
        `~gammapy_asid.tasks.generative.sky.EmissionSky`.
    """

    task: Literal["generative"] = "generative"
    units: dict[str, str] = {"energy": "GeV", "structure": "logarithm of fine over coarse emission"}
    amplitude: tuple[float, ...]
