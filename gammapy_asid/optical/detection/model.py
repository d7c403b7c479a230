# Licensed under a 3-clause BSD style license - see LICENSE
"""A trained detection model for images: card, network, and its run on an image."""

from ...learning.trained import TrainedModel
from ...learning.unet import MultiResolutionUNet, UNetConfig
from .card import OpticalCard

__all__ = ["OpticalDetectionModel"]


class OpticalDetectionModel(TrainedModel):
    """Network with its card, ready to run.

    Parameters
    ----------
    card : `~gammapy_asid.optical.detection.card.OpticalCard`
        Card.
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.
    """

    Card, Network, Config = OpticalCard, MultiResolutionUNet, UNetConfig
