# Licensed under a 3-clause BSD style license - see LICENSE
"""A trained classifier of extension: card, network, and calibrated predictions."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import ndtr

from ...learning.interval_calibration import apply_quantiles
from ...learning.score_calibration import apply_knots
from ...learning.trained import TrainedModel
from ...utils.devices import inference
from .card import ExtensionCard
from .network import ExtensionConfig, ExtensionNetwork

__all__ = ["ExtensionModel", "Extensions", "LEVELS"]

#: Probabilities of the quantiles of the size.
LEVELS = (0.025, 0.16, 0.5, 0.84, 0.975)

#: Stamps that the network sees at once: they fit into the cache of a processor.
BATCH = 64


@dataclass
class Extensions:
    """Predictions for ``n`` sources.

    Parameters
    ----------
    probability : `~numpy.ndarray`
        Of each class, shape ``(n, n_classes)``.
    extended : `~numpy.ndarray`
        Probability not to be a point, shape ``(n,)``.
    size : `~numpy.ndarray`
        Quantiles `LEVELS` of the size of an extended source in deg, shape ``(n, n_levels)``.
    """

    probability: np.ndarray
    extended: np.ndarray
    size: np.ndarray


class ExtensionModel(TrainedModel):
    """Network with its card, ready to run.

    Parameters
    ----------
    card : `~gammapy_asid.tasks.extension.card.ExtensionCard`
        Card.
    network : `~gammapy_asid.tasks.extension.network.ExtensionNetwork`
        Network.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.
    """

    Card, Network, Config = ExtensionCard, ExtensionNetwork, ExtensionConfig

    @inference()
    def last_layer(self, stamps):
        """Values of the last hidden layer on the CPU, shape ``(n, hidden)``.

        Parameters
        ----------
        stamps : `~gammapy_asid.inputs.stamps.Stamps`
            Stamps, at least one.
        """
        parts = [
            self.network.last_layer(*(v.to(self.device) for v in stamps[i : i + BATCH].tensors)).cpu()
            for i in range(0, len(stamps), BATCH)
        ]
        return torch.cat(parts)

    @inference()
    def output(self, stamps):
        """Raw predictions (`~gammapy_asid.tasks.extension.network.ExtensionOutput`) on the CPU.

        Parameters
        ----------
        stamps : `~gammapy_asid.inputs.stamps.Stamps`
            Stamps, at least one.
        """
        return self.network.split(self.network.head(self.last_layer(stamps).to(self.device)).cpu())

    def predict(self, stamps):
        """Calibrated predictions.

        Parameters
        ----------
        stamps : `~gammapy_asid.inputs.stamps.Stamps`
            Stamps, at least one.

        Returns
        -------
        extensions : `Extensions`
            Predictions.
        """
        return self.calibrated(self.output(stamps), stamps.narrowest)

    def calibrated(self, output, narrowest=None):
        """Calibrated predictions of raw ones.

        Parameters
        ----------
        output : `~gammapy_asid.tasks.extension.network.ExtensionOutput`
            Result of `output`.
        narrowest : `~torch.Tensor`, optional
            Size in deg below which a source counts as a point, shape ``(n,)``; by default none does.

        Returns
        -------
        extensions : `Extensions`
            Predictions.
        """
        logits = output.classes.double() / self.card.temperature + torch.tensor(self.card.bias)
        error = torch.exp(output.log_error).double().numpy()
        shift = apply_quantiles(self.card.size_quantiles, error) * error[:, None]
        size = np.exp(output.log_size.double().numpy()[:, None] + shift)
        extended = apply_knots(torch.sigmoid(output.extended.double()).numpy(), self.card.extended_knots)
        if narrowest is not None:
            extended = extended * _share_above(narrowest.double().numpy(), size)
        return Extensions(torch.softmax(logits, 1).numpy(), extended, size)


def _share_above(value, quantiles):
    """Probability of sizes above a value in deg, of log-normal ones with these quantiles `LEVELS`."""
    _, low, middle, high, _ = np.log(quantiles).T
    spread = np.maximum((high - low) / 2, 1e-3)
    return ndtr((middle - np.log(value)) / spread)
