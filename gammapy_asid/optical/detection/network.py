# Licensed under a 3-clause BSD style license - see LICENSE
"""The detection network for images."""

import torch
from torch import nn
from torch.nn.functional import pad, pixel_shuffle

from ...learning.unet import MultiResolutionUNet, UNetConfig
from ...utils.devices import inference
from ..bands import FINER
from ..channels import N_CHANNELS, N_CONDITIONS, channels, conditions

__all__ = ["BRIGHTNESS", "MAPS", "MASKS", "build_network", "network_output", "split_output"]

#: Finest pixels along the coarsest one of the network.
BLOCK = 8

#: Maps of finer steps: the five of a detection, then brightness and its error.
MAPS, BRIGHTNESS = 7, 5

#: Maps of the pixels: logits of cosmic rays and of trails; they follow those of finer steps.
MASKS = 2


def split_output(output, n_maps=MAPS):
    """Maps of the network.

    Parameters
    ----------
    output : `~torch.Tensor`
        Output of the network, shape ``(n, MAPS * FINER**2 + MASKS, ny, nx)``.
    n_maps : int
        Maps of finer steps that are needed, the first ones.

    Returns
    -------
    maps : `~torch.Tensor`
        Shape ``(n, n_maps, FINER * ny, FINER * nx)``: logits of centre and match maps, offsets in x and y and
        logarithm of their error in steps, logarithm of the flux in signal units and of its error.
    masks : `~torch.Tensor`
        Shape ``(n, MASKS, ny, nx)``: logits of cosmic rays and of trails.
    """
    fine, needed = (n * FINER**2 for n in (MAPS, n_maps))
    return pixel_shuffle(output[:, :needed], FINER), output[:, fine:]


@inference()
def network_output(network, batch, corner=(0, 0)):
    """Output of a network for images of one shape.

    Parameters
    ----------
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network in evaluation mode.
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        Images.
    corner : tuple of int
        Row and column of their first pixel in the image that they are parts of: each part is put into the
        same blocks.

    Returns
    -------
    output : `~torch.Tensor`
        Float32 on the CPU, shape ``(n, outputs, ny, nx)``, see `split_output`.
    """
    batch = batch.to(next(network.parameters()).device)
    before = [first % BLOCK for first in corner]
    after = [-(n + first) % BLOCK for n, first in zip(batch.shape, before, strict=True)]
    images = pad(channels(batch), (before[1], after[1], before[0], after[0]))
    output = network({0: images.to(memory_format=torch.channels_last)}, conditions(batch))
    rows, columns = (slice(b, b + n) for b, n in zip(before, batch.shape, strict=True))
    return output[..., rows, columns].float().cpu()


def build_network(widths):
    """Untrained network: the U-Net of the library with one resolution.

    Parameters
    ----------
    widths : tuple of int
        Feature channels on every level.
    """
    inputs = (N_CHANNELS, *(0 for _ in widths[1:]))
    config = UNetConfig(
        inputs=inputs, conditions=N_CONDITIONS, widths=tuple(widths), outputs=MAPS * FINER**2 + MASKS
    )
    network = MultiResolutionUNet(config)
    # The maps of probabilities start from small values: all of these are rare
    nn.init.zeros_(network.head.bias)
    nn.init.constant_(network.head.bias[: 2 * FINER**2], -4.0)
    nn.init.constant_(network.head.bias[-MASKS:], -4.0)
    return network
