# Licensed under a 3-clause BSD style license - see LICENSE
"""Generate counts of patches with their sources: card, recipe, training and model."""

from . import task

__all__ = ["task"]
