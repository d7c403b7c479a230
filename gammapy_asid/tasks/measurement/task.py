# Licensed under a 3-clause BSD style license - see LICENSE
"""Positions and fluxes as learned tasks."""

from ...learning.task import Task
from ..detection.recipe import Recipe
from .card import EnsembleCard

__all__ = ["FluxesTask", "PositionsTask"]


class PositionsTask(Task):
    """Positions of the candidates of a detection model."""

    name, Card, Recipe = "position", EnsembleCard, Recipe


class FluxesTask(Task):
    """Fluxes of the candidates of a detection model."""

    name, Card, Recipe = "flux", EnsembleCard, Recipe
