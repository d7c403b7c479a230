# Licensed under a 3-clause BSD style license - see LICENSE
"""Training of detection models on simulated patches."""

from .recipe import InstrumentRecipe, OptimiserRecipe, Recipe, read_recipe
from .release import calibrate, release
from .stream import PatchSimulator, PatchStream
from .train import averaged_network, build_network, build_simulator, recipe_responses, train

__all__ = [
    "InstrumentRecipe",
    "OptimiserRecipe",
    "PatchSimulator",
    "PatchStream",
    "Recipe",
    "averaged_network",
    "build_network",
    "build_simulator",
    "calibrate",
    "read_recipe",
    "recipe_responses",
    "release",
    "train",
]
