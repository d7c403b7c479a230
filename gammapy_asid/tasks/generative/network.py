# Licensed under a 3-clause BSD style license - see LICENSE
"""The network of the generator, and what it makes of noise."""

import torch
from torch import nn

from ...learning.diffusion import FEATURES
from ...learning.unet import MultiResolutionUNet, UNetConfig

__all__ = ["build_network", "generate"]

#: Patches that are made from noise at once: their features fit into the cache of a processor.
CHUNK = 32


def build_network(n_known, widths):
    """Untrained network; at first it says that nothing is known of the target.

    Parameters
    ----------
    n_known : int
        Channels of what is known beside the noisy structure.
    widths : tuple of int
        Feature channels on every level.

    Returns
    -------
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network.
    """
    inputs = (1 + n_known, *[0] * (len(widths) - 1))
    network = MultiResolutionUNet(
        UNetConfig(inputs=inputs, conditions=FEATURES, widths=tuple(widths), outputs=1)
    )
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    return network


def generate(network, schedule, channels, generator):
    """Structure in units of its expected strength.

    Parameters
    ----------
    network, schedule
        Trained network in evaluation mode and the schedule of its training.
    channels : `~torch.Tensor`
        What is known, shape ``(n, n_channels, ny, nx)``.
    generator : `~torch.Generator`
        Source of randomness.

    Returns
    -------
    structure : `~torch.Tensor`
        Shape ``(n, ny, nx)``.
    """
    parts = []
    for known in channels.split(CHUNK):

        def denoise(noisy, level, known=known):
            # One level for all: the network then scales its weights in place of every image
            levels = level[None]
            scaled, features = schedule.inputs(noisy, levels)
            output = network({0: torch.cat([scaled, known], 1)}, features)[:, 0]
            return schedule.denoised(output, noisy, levels)

        noise = torch.randn(known[:, 0].shape, generator=generator, device=known.device)
        parts.append(schedule.sample(denoise, noise, generator))
    return torch.cat(parts)
