# Licensed under a 3-clause BSD style license - see LICENSE
"""Recipe of a detection model for images."""

from typing import Annotated, Literal

from pydantic import Field

from ...learning.recipe import Count, Interval, LargeCount, Recipe, Widths

__all__ = ["OpticalRecipe"]


class OpticalRecipe(Recipe):
    """Everything that determines the weights of a detection model for images.

    Parameters
    ----------
    task, name, seed, simulator, start, optimiser
        See `~gammapy_asid.learning.recipe.Recipe`; a model to start from has the same widths.
    fwhm : tuple of float
        Interval of the width of the point spread function in pixels.
    cameras : int
        Number of point spread functions, see `~gammapy_asid.optical.simulator.OpticalSimulator`.
    kinds : tuple of float, optional
        Shares of usual, deep and crowded fields.
    patch_size : int
        Side of the images in pixels.
    widths : tuple of int
        Feature channels of the network on every level.
    validation_patches : int
        Images on which the training is watched.
    calibration_patches : int
        Images for the calibration of the score, and as many for its test.
    reuse : int
        How often simulated images are used, each time turned or mirrored otherwise.
    """

    task: Literal["optical"] = "optical"
    fwhm: Interval = (1.1, 6.0)
    cameras: int = Field(384, ge=1, le=10**5)
    kinds: Annotated[tuple[float, float, float] | None, Field()] = None
    patch_size: int = Field(128, ge=64, le=1024, multiple_of=8)
    widths: Widths = (16, 32, 64, 96)
    validation_patches: Count = 64
    calibration_patches: LargeCount = 768
    reuse: int = Field(2, ge=1, le=8)
