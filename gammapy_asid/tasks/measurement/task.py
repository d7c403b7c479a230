# Licensed under a 3-clause BSD style license - see LICENSE
"""Positions and fluxes as learned tasks, which follow the detection of sources."""

from ...learning.model_files import model_files
from ...learning.task import FollowingTask
from ..detection.model import DetectionModel
from ..detection.recipe import DetectionRecipe
from .card import EnsembleCard
from .model import SourceEnsemble
from .release import release_sources

__all__ = ["FluxTask", "MeasurementTask", "PositionTask"]


class MeasurementTask(FollowingTask):
    """An ensemble that learns from the candidates of a detection model, in steps of its own.

    Means and spreads are trained one after the other on features of sources that were simulated before, see
    `~gammapy_asid.tasks.measurement.training.train_ensemble`.
    """

    Recipe, Card, Model = DetectionRecipe, EnsembleCard, SourceEnsemble
    after = "detection"
    summary_note = "Coverage is the share of simulated sources inside their interval of 68 %."

    def files(self, recipe, output):
        weights, _ = super().files(recipe, output)
        return model_files(weights.with_name(f"{weights.stem}-{self.name}.safetensors"))

    def follow(self, weights, recipe, simulator, output, progress=True, device=None):
        model = DetectionModel.load(weights, device)
        release_sources(
            model, weights, recipe, simulator, output, True, progress, kinds=(self.name,), device=device
        )

    def summary(self, card):
        figures = card.metrics if self.name == "position" else next(iter(card.metrics.values()), {})
        return {"Coverage": f"{figures.get('coverage_68', float('nan')):.2f}"}


class PositionTask(MeasurementTask):
    """Positions of the candidates of a detection model."""

    name = "position"


class FluxTask(MeasurementTask):
    """Fluxes of the candidates of a detection model."""

    name = "flux"
