# Licensed under a 3-clause BSD style license - see LICENSE
"""Recipe of an ensemble for the fluxes of sources in images."""

from typing import Literal

from pydantic import Field

from ...learning.recipe import Count, Interval, Recipe

__all__ = ["OpticalFluxRecipe"]


class OpticalFluxRecipe(Recipe):
    """Everything that determines the weights of an ensemble for fluxes.

    Parameters
    ----------
    task, name, seed, simulator, start, optimiser
        See `~gammapy_asid.learning.recipe.Recipe`; ``batch_size`` counts sources, of each member.
    fwhm : tuple of float
        Interval of the width of the point spread function in pixels.
    cameras : int
        Number of point spread functions, see `~gammapy_asid.optical.simulator.OpticalSimulator`.
    kinds : tuple of float, optional
        Shares of usual, deep and crowded fields.
    detector : str, optional
        Name or path of the model that finds the sources of most images, see
        `~gammapy_asid.optical.flux.simulator.FluxSimulator`; without, no network finds any.
    patch_size : int
        Side of the images in pixels.
    images, calibration_images, test_images : int
        Images whose sources are learned, calibrate the errors, and test them.
    members, width : int
        Networks of the ensemble, and hidden units of each layer.
    """

    task: Literal["optical-flux"] = "optical-flux"
    fwhm: Interval = (1.1, 6.0)
    cameras: int = Field(384, ge=1, le=10**5)
    kinds: tuple[float, float, float] | None = None
    detector: str | None = "optical"
    patch_size: int = Field(256, ge=64, le=1024, multiple_of=8)
    images: Count = 992
    calibration_images: Count = 248
    test_images: Count = 128
    members: int = Field(8, ge=1, le=100)
    width: int = Field(96, ge=1, le=4096)
