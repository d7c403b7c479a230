# Licensed under a 3-clause BSD style license - see LICENSE
"""Recipe of a classifier of sources."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ...learning.recipe import Count, LargeCount, OptimiserRecipe, Recipe, Widths

__all__ = ["ClassRecipe"]


class ClassRecipe(Recipe):
    """Everything that determines the weights of a classifier of sources.

    Parameters
    ----------
    task, name, seed, simulator, start, optimiser
        See `~gammapy_asid.learning.recipe.Recipe`.
    detector : str
        Detection model whose candidates are classified, name or weight file; its recipe says which
        instruments see them.
    emission : str, optional
        File of an `~gammapy_asid.simulation.EmissionBank`; environment variables are expanded. By default
        the analytic emission.
    faulty_share : float
        Share of the patches on which the emission or the sources are not as the prediction or the detector
        takes them, see `~gammapy_asid.simulation.faulty_patches.FaultyLatSimulator`.
    candidates : int
        Simulated candidates that it learns from.
    calibration_candidates : int
        Candidates that calibrate it, and as many test it.
    no_time : float
        Share of the batches without time.
    widths : tuple of int
        Channels of the three convolutions.
    hidden, members : int
        Units of the last layers, and how many of these an ensemble has.
    """

    task: Literal["classification"] = "classification"
    detector: str = "lat"
    emission: str | None = None
    faulty_share: float = Field(0.6, ge=0, le=1)
    candidates: LargeCount = 300_000
    calibration_candidates: LargeCount = 40_000
    no_time: float = Field(0.3, ge=0, le=1)
    widths: Annotated[Widths, Field(min_length=3, max_length=3)] = (32, 48, 64)
    hidden: int = Field(256, ge=1, le=4096)
    members: Count = 4
    # Gradients of three-dimensional convolutions in half precision are at times no numbers on processors
    optimiser: OptimiserRecipe = OptimiserRecipe(
        batch_size=256, batches_per_epoch=250, epochs=24, precision="32-true"
    )

    @property
    def emission_path(self):
        """Path of the emission bank with environment variables expanded, or None."""
        return None if self.emission is None else Path(os.path.expandvars(self.emission))
