# Licensed under a 3-clause BSD style license - see LICENSE
"""Classes of extension as a learned task."""

from ...learning.task import Task
from .card import ExtensionCard
from .recipe import ExtensionRecipe

__all__ = ["ExtensionTask"]


class ExtensionTask(Task):
    """Classes of extension."""

    name, Card, Recipe = "extension", ExtensionCard, ExtensionRecipe
