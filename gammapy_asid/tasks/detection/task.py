# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection of sources as a learned task."""

from ...learning.task import Task
from .card import DetectionCard
from .recipe import Recipe

__all__ = ["DetectionTask"]


class DetectionTask(Task):
    """Detection of sources."""

    name, Card, Recipe = "detection", DetectionCard, Recipe
