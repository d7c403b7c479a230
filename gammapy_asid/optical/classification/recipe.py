# Licensed under a 3-clause BSD style license - see LICENSE
"""Recipe of a classifier of optical sources."""

from typing import Annotated, Literal

from pydantic import Field

from ...learning.recipe import Count, Interval, LargeCount, OptimiserRecipe, Recipe, Widths

__all__ = ["OpticalClassRecipe"]


class OpticalClassRecipe(Recipe):
    """Everything that determines the weights of a classifier of stars and galaxies.

    Parameters
    ----------
    task, name, seed, simulator, start, optimiser
        See `~gammapy_asid.learning.recipe.Recipe`; the batch size counts images.
    fwhm : tuple of float
        Interval of the width of the point spread function in pixels.
    psf_error : tuple of float
        Interval of the relative error of its measured width.
    cameras : int
        Number of point spread functions, see `~gammapy_asid.optical.simulator.OpticalSimulator`.
    kinds : tuple of float
        Shares of usual, deep and crowded fields.
    patch_size : int
        Side of the images in pixels.
    lowest_snr : float
        Expected significance from which a true source is learned.
    kept_batches : int
        Batches of images that are drawn; they are used again and again, turned or mirrored at random.
    calibration_images : int
        Simulated images that calibrate it, and as many test it.
    widths : tuple of int
        Channels of the three convolutions.
    hidden, members : int
        Units of the last layers, and how many of these an ensemble has.
    """

    task: Literal["optical-classification"] = "optical-classification"
    fwhm: Interval = (1.1, 6.0)
    psf_error: Interval = (0.002, 0.03)
    cameras: int = Field(160, ge=1, le=10**5)
    # Crowds cost time, and hold few galaxies
    kinds: tuple[float, float, float] = (0.45, 0.5, 0.05)
    patch_size: int = Field(128, ge=64, le=1024, multiple_of=8)
    lowest_snr: float = Field(3.0, gt=0)
    kept_batches: Count = 64
    calibration_images: LargeCount = 192
    widths: Annotated[Widths, Field(min_length=3, max_length=3)] = (8, 16, 24)
    hidden: int = Field(64, ge=1, le=4096)
    members: Count = 5
    optimiser: OptimiserRecipe = OptimiserRecipe(
        batch_size=16, batches_per_epoch=100, epochs=10, precision="32-true"
    )
