# Licensed under a 3-clause BSD style license - see LICENSE
"""The network of a diffusion model, and what it makes of noise."""

import torch
from torch import nn

from .diffusion import FEATURES
from .unet import MultiResolutionUNet, UNetConfig

__all__ = ["build_network", "draw_noise", "generate", "noisy_batch"]

#: Patches that are made from noise at once: their features fit into the cache of a processor.
CHUNK = 32


def build_network(n_images, n_known, widths):
    """Untrained network; at first it says that nothing is known of the target.

    Parameters
    ----------
    n_images : int
        Noisy images of a patch, all of which it makes clean.
    n_known : int
        Channels of what is known beside them.
    widths : tuple of int
        Feature channels on every level.

    Returns
    -------
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network.
    """
    inputs = (n_images + n_known, *[0] * (len(widths) - 1))
    network = MultiResolutionUNet(
        UNetConfig(inputs=inputs, conditions=FEATURES, widths=tuple(widths), outputs=n_images)
    )
    nn.init.zeros_(network.head.weight)
    nn.init.zeros_(network.head.bias)
    return network


def draw_noise(schedule, images, generator):
    """Noise for images, and its levels.

    Parameters
    ----------
    schedule : `~gammapy_asid.learning.diffusion.Schedule`
        What the levels are of.
    images : `~torch.Tensor`
        Images, shape ``(n, ...)``.
    generator : `~torch.Generator`
        Source of randomness, also on another device than the images.

    Returns
    -------
    noise : `~torch.Tensor`
        Of unit variance, shape of the images.
    level : `~torch.Tensor`
        Standard deviation to give it, shape ``(n,)``.
    """
    there = {"generator": generator, "device": generator.device}
    noise = torch.randn(images.shape, **there)
    # Both ends of the interval are excluded
    share = torch.rand(len(images), **there).clamp(1e-6, 1 - 1e-6)
    return noise.to(images.device), schedule.level(share).to(images.device)


def noisy_batch(schedule, clean, noise, level, known=None):
    """What the network learns from.

    Parameters
    ----------
    schedule : `~gammapy_asid.learning.diffusion.Schedule`
        What the levels are of.
    clean, noise : `~torch.Tensor`
        Images and noise of unit variance, shape ``(n, n_images, ny, nx)``.
    level : `~torch.Tensor`
        Standard deviation of the noise to add, shape ``(n,)``.
    known : `~torch.Tensor`, optional
        What is known, shape ``(n, n_known, ny, nx)``.

    Returns
    -------
    inputs : tuple
        Arguments of the network.
    target : `~torch.Tensor`
        Output of a network that knew the images.
    """
    noisy = clean + level[:, None, None, None] * noise
    scaled, features = schedule.inputs(noisy, level)
    inputs = scaled if known is None else torch.cat([scaled, known], 1)
    return ({0: inputs}, features), schedule.target(clean, noisy, level)


def generate(network, schedule, known, generator):
    """Images of unit variance.

    Parameters
    ----------
    network, schedule
        Trained network in evaluation mode and the schedule of its training.
    known : `~torch.Tensor`
        What is known, shape ``(n, n_known, ny, nx)``; without channels where nothing is.
    generator : `~torch.Generator`
        Source of randomness.

    Returns
    -------
    images : `~torch.Tensor`
        Shape ``(n, n_images, ny, nx)``.
    """
    n_images, parts = network.config.outputs, []
    for channels in known.split(CHUNK):

        def denoise(noisy, level, channels=channels):
            # One level for all: the network then scales its weights in place of every image
            levels = level[None]
            scaled, features = schedule.inputs(noisy, levels)
            output = network({0: torch.cat([scaled, channels], 1)}, features)
            return schedule.denoised(output, noisy, levels)

        n, _, ny, nx = channels.shape
        noise = torch.randn(n, n_images, ny, nx, generator=generator, device=channels.device)
        parts.append(schedule.sample(denoise, noise, generator))
    return torch.cat(parts)
