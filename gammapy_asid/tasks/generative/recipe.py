# Licensed under a 3-clause BSD style license - see LICENSE
"""Recipe of a generator of fine emission."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ...learning.recipe import Count, OptimiserRecipe, Recipe, Widths

__all__ = ["GenerativeRecipe"]


class GenerativeRecipe(Recipe):
    """Everything that determines the weights of a generator of fine emission.

    Parameters
    ----------
    task, name, seed, simulator, start, optimiser
        See `~gammapy_asid.learning.recipe.Recipe`.
    emission : str
        Emission to learn from: an `~gammapy_asid.simulation.EmissionBank`, or a FITS cube of the whole sky as
        `~gammapy_asid.simulation.EmissionModel` reads it. Environment variables are expanded, as in the
        other files.
    model : str
        Model of a bank.
    isotropic : str, optional
        Text file of an isotropic spectrum that is added.
    tracers : tuple of str
        Column densities of gas and dust, Galactic HEALPix maps in FITS files.
    size : int
        Side of the patches in pixels of 0.25 deg, a multiple of 8: 48 hold twice the largest scale of the
        structure, 5 deg.
    plane_share : float
        Share of the patches centred within 10 deg of the Galactic plane beyond the isotropic share.
    schedule : str
        ``edm`` (Karras et al. 2022) or ``ddpm`` (Ho et al. 2020).
    widths : tuple of int
        Channels of the network.
    validation_patches, calibration_patches : int
        Patches on which the training is watched, and those of its test.
    """

    task: Literal["generative"] = "generative"
    emission: str
    model: str = "v07"
    isotropic: str | None = None
    tracers: Annotated[tuple[str, ...], Field(max_length=10)] = ()
    size: int = Field(48, ge=16, le=256, multiple_of=8)
    plane_share: float = Field(0.3, ge=0, le=1)
    schedule: Literal["edm", "ddpm"] = "edm"
    widths: Annotated[Widths, Field(max_length=4)] = (32, 64, 96, 128)
    validation_patches: Count = 128
    calibration_patches: Count = 256
    optimiser: OptimiserRecipe = OptimiserRecipe()

    @property
    def emission_path(self):
        """Path of the emission with environment variables expanded."""
        return Path(os.path.expandvars(self.emission))
