# Licensed under a 3-clause BSD style license - see LICENSE
"""What the estimators share that run a trained model."""

from os import PathLike
from typing import Any

import torch
from gammapy.estimators import Estimator

from ..inputs.bands import Bands
from ..learning.trained import TrainedModel

__all__ = ["TrainedEstimator"]


class TrainedEstimator(Estimator):
    """Estimator that runs a trained model.

    Parameters
    ----------
    model : str or path
        Name of a shipped model, or path of weights with their card beside them.
    trained : `~gammapy_asid.learning.trained.TrainedModel`
        That model with its card, on the device where it runs.
    """

    def __init__(self, model: str | PathLike[str], trained: TrainedModel) -> None:
        self.model, self.trained = model, trained

    @property
    def card(self) -> Any:
        """Card of the weights."""
        return self.trained.card

    @property
    def bands(self) -> Bands:
        """Energy bands of the model (`~gammapy_asid.inputs.bands.Bands`)."""
        return self.trained.bands

    @property
    def device(self) -> torch.device:
        """Where the model runs (`~torch.device`)."""
        return self.trained.device

    @property
    def config_parameters(self) -> dict[str, Any]:
        """Configuration, without the networks."""
        return {"model": str(self.model), "device": str(self.device)}
