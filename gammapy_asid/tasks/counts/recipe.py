# Licensed under a 3-clause BSD style license - see LICENSE
"""Recipe of a generator of counts."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from ...learning.recipe import Count, OptimiserRecipe, Recipe, Widths
from ..detection.recipe import DetectionRecipe, InstrumentRecipe

__all__ = ["CountsRecipe"]


class CountsRecipe(Recipe):
    """Everything that determines the weights of a generator of counts.

    Parameters
    ----------
    task, name, seed, simulator, start, optimiser
        See `~gammapy_asid.learning.recipe.Recipe`.
    instrument : `~gammapy_asid.tasks.detection.recipe.InstrumentRecipe`
        The one response whose counts are generated.
    emission : str, optional
        See `~gammapy_asid.tasks.detection.recipe.DetectionRecipe`.
    patch_size : int
        Side of the patches in finest pixels.
    schedule : str
        ``edm`` (Karras et al. 2022) or ``ddpm`` (Ho et al. 2020).
    widths : tuple of int
        Channels of the network.
    reuse : int
        How often simulated patches are used, each time turned or mirrored otherwise.
    scaling_patches : int
        Patches whose brightness generated ones have.
    validation_patches, calibration_patches : int
        Patches on which the training is watched, and those of its test.
    """

    task: Literal["counts"] = "counts"
    instrument: InstrumentRecipe
    emission: str | None = None
    patch_size: int = Field(32, ge=32, le=128, multiple_of=8)
    schedule: Literal["edm", "ddpm"] = "edm"
    widths: Annotated[Widths, Field(max_length=4)] = (32, 64, 96, 128)
    reuse: int = Field(1, ge=1, le=8)
    scaling_patches: Count = 1024
    validation_patches: Count = 128
    calibration_patches: Count = 256
    optimiser: OptimiserRecipe = OptimiserRecipe()

    @field_validator("instrument")
    @classmethod
    def _one(cls, instrument):
        if instrument.copies != 1:
            raise ValueError(f"a generator has one instrument: set copies to 1, not {instrument.copies}")
        return instrument

    @property
    def detection(self):
        """Recipe of a detection whose simulator draws what is learned from."""
        return DetectionRecipe(
            name=self.name,
            seed=self.seed,
            instruments=(self.instrument,),
            emission=self.emission,
            patch_size=self.patch_size,
            background_share=0,
        )
