# Licensed under a 3-clause BSD style license - see LICENSE
"""What the estimators share that run a trained model."""

from gammapy.estimators import Estimator

__all__ = ["TrainedEstimator"]


class TrainedEstimator(Estimator):
    """Estimator that runs a trained model.

    Parameters
    ----------
    model : str or path
        Name of a shipped model, or path of weights with their card beside them.
    trained : object
        That model with its card, on the device where it runs.
    """

    def __init__(self, model, trained):
        self.model, self.trained = model, trained

    @property
    def card(self):
        """Card of the weights."""
        return self.trained.card

    @property
    def bands(self):
        """Energy bands of the model (`~gammapy_asid.inputs.bands.Bands`)."""
        return self.card.to_bands()

    @property
    def device(self):
        """Where the model runs (`~torch.device`)."""
        return self.trained.device

    @property
    def config_parameters(self):
        """Configuration, without the networks."""
        return {"model": str(self.model), "device": str(self.device)}
