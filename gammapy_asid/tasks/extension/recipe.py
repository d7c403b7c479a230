# Licensed under a 3-clause BSD style license - see LICENSE
"""Recipe of a classifier of extension."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from ...learning.recipe import Count, LargeCount, OptimiserRecipe, Recipe, StrictRecipe, Widths
from ...simulation.scenes import Scene

__all__ = ["ExtensionRecipe", "OtherTelescopes"]


class OtherTelescopes(StrictRecipe):
    """Places of telescopes with other point spread functions, see `other_telescope`.

    Parameters
    ----------
    places : int
        Number of places.
    width, background : tuple of float
        Intervals of the width of the point spread function in deg, and of the background over that of the
        recipe's own places.
    """

    places: int = Field(ge=1)
    width: tuple[float, float]
    background: tuple[float, float]


#: Numbers in scenes are smaller.
LARGEST_NUMBER = 1e6


class ExtensionRecipe(Recipe):
    """Everything that determines the weights of a classifier of extension.

    Parameters
    ----------
    task, name, seed, simulator, start, optimiser
        See `~gammapy_asid.learning.recipe.Recipe`.
    irfs : tuple of str
        Instrument responses, see `~gammapy_asid.simulation.imaging.IRF_FILES`; empty if the
        instrument is that of a dataset.
    places : int
        Places in fields of pointings, drawn once.
    others : `OtherTelescopes`, optional
        Places of other telescopes, for the scenes that ask for them.
    max_offset : float
        Largest offset from a pointing in deg.
    pointings : int
        Largest number of pointings that see a place.
    size : int
        Side of the stamps in pixels, a multiple of 8.
    edges : tuple of float
        Sizes in deg where one class ends and the next begins.
    scenes : tuple of `~gammapy_asid.simulation.scenes.Scene`
        What is simulated.
    shares : tuple of float
        Share of each scene; by default equal.
    widths : tuple of int
        Channels of the network.
    hidden : int
        Units of its last layers.
    validation_stamps, calibration_stamps : int
        Stamps of each scene on which the training is watched, and on which the probabilities are
        calibrated; as many test them.
    """

    task: Literal["extension"] = "extension"
    irfs: tuple[str, ...] = ()
    places: int = Field(192, ge=1, le=10000)
    others: OtherTelescopes | None = None
    max_offset: float = Field(3.0, ge=0, le=90)
    pointings: int = Field(4, ge=1, le=1000)
    size: int = Field(72, ge=32, le=512, multiple_of=8)
    edges: Annotated[tuple[float, ...], Field(min_length=1, max_length=50)] = (0.1, 0.3)
    scenes: Annotated[tuple[Scene, ...], Field(min_length=1, max_length=100)]
    shares: tuple[float, ...] | None = None
    widths: Widths = (16, 32, 48, 64)
    hidden: int = Field(160, ge=1, le=4096)
    validation_stamps: Count = 1024
    calibration_stamps: LargeCount = 6000
    optimiser: OptimiserRecipe = OptimiserRecipe(batch_size=64, batches_per_epoch=250, epochs=24)

    @model_validator(mode="after")
    def _consistent(self):
        if not np.all(np.diff((0, *self.edges)) > 0):
            raise ValueError(f"edges must increase from above 0, got {self.edges}")
        if self.shares is not None and len(self.shares) != len(self.scenes):
            raise ValueError(f"{len(self.scenes)} scenes need as many shares, got {len(self.shares)}")
        for scene in self.scenes:
            numbers = np.hstack([value for value in vars(scene).values() if value is not None]).astype(float)
            if not np.all(np.abs(numbers) <= LARGEST_NUMBER):
                raise ValueError(f"a scene has a number beyond {LARGEST_NUMBER:g}, or none: {scene}")
            if not 0 <= scene.neighbours <= 100:
                raise ValueError(f"neighbours are from 0 to 100 in a stamp, got {scene.neighbours:g}")
        if self.others is None and any(scene.other for scene in self.scenes):
            raise ValueError("a scene asks for other telescopes: set others")
        return self

    def for_datasets(self):
        if self.irfs:
            raise ValueError(
                f"Recipe {self.name!r} has instrument responses (entry irfs), and fluxes that suit these: "
                "leave out the dataset, or take the recipe 'extension', whose fluxes are counted from what a "
                "dataset detects"
            )
        return self
