# Licensed under a 3-clause BSD style license - see LICENSE
"""The detection network for images."""

from torch import nn

from ...learning.unet import MultiResolutionUNet, UNetConfig
from ..channels import N_CHANNELS, N_CONDITIONS

__all__ = ["COSMIC", "OUTPUTS", "TRAIL", "build_network"]

#: Output maps: the five of a detection, then logits of cosmic rays and of trails.
COSMIC, TRAIL, OUTPUTS = 5, 6, 7


def build_network(widths):
    """Untrained network: the U-Net of the library with one resolution.

    Parameters
    ----------
    widths : tuple of int
        Feature channels on every level.
    """
    inputs = (N_CHANNELS, *(0 for _ in widths[1:]))
    config = UNetConfig(inputs=inputs, conditions=N_CONDITIONS, widths=tuple(widths), outputs=OUTPUTS)
    network = MultiResolutionUNet(config)
    # Cosmic rays and trails are rare, too
    nn.init.constant_(network.head.bias[COSMIC:], -4.0)
    return network
