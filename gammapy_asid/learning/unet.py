# Licensed under a 3-clause BSD style license - see LICENSE
"""The multi-resolution U-Net."""

from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F

__all__ = ["MultiResolutionUNet", "UNetConfig"]


@dataclass(frozen=True)
class UNetConfig:
    """Configuration of `MultiResolutionUNet`.

    Parameters
    ----------
    inputs : tuple of int
        Number of input channels on every resolution level, finest first.
    conditions : int
        Length of the instrument description.
    widths : tuple of int
        Number of feature channels on every level.
    outputs : int
        Number of output maps on the finest level.
    embedding : int
        Width of the conditioning network.
    """

    inputs: tuple = (13, 3, 3, 3)
    conditions: int = 32
    widths: tuple = (24, 48, 96, 128)
    outputs: int = 5
    embedding: int = 48


class Block(nn.Module):
    """Two convolutions; the instrument scales and shifts the features between them.

    Feature-wise modulation after Perez et al. 2018 (AAAI 32, 3942).
    """

    def __init__(self, n_in, n_out, embedding):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(n_out)
        self.film = nn.Linear(embedding, 2 * n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_out)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x, embedding):
        scale, shift = self.film(embedding)[:, :, None, None].chunk(2, 1)
        if len(embedding) == 1 and not self.training:
            x = _merged(x, self.conv1, self.norm1, 1 + scale.flatten(), shift.flatten())
            return _merged(x, self.conv2, self.norm2)
        x = F.relu(self.norm1(self.conv1(x)) * (1 + scale) + shift)
        return F.relu(self.norm2(self.conv2(x)))


def _merged(x, conv, norm, scale=1.0, shift=0.0):
    """Convolution, normalisation and modulation as one convolution, in two thirds of the time, and ReLU."""
    factor = scale * norm.weight / torch.sqrt(norm.running_var + norm.eps)
    bias = shift + scale * norm.bias - factor * norm.running_mean
    return F.conv2d(x, conv.weight * factor[:, None, None, None], bias, padding=1).relu_()


class MultiResolutionUNet(nn.Module):
    """U-Net into which each band enters at the level whose pixels are its own.

    U-Net after Ronneberger et al. 2015 (arXiv:1505.04597); several inputs after
    the detection network of the AutoSourceID pipeline (Panes et al. 2021,
    A&A 656, A62). Normalisation uses statistics of the training, none of the
    field: what a pixel gets depends on its surroundings only, and fields can be
    cut in tiles.

    Parameters
    ----------
    config : `UNetConfig`
        Configuration.
    """

    def __init__(self, config=None):
        super().__init__()
        self.config = config = config or UNetConfig()
        widths, emb = config.widths, config.embedding
        self.embed = nn.Sequential(
            nn.Linear(config.conditions, emb), nn.ReLU(), nn.Linear(emb, emb), nn.ReLU()
        )
        below = (0, *widths[:-1])
        self.down = nn.ModuleList(
            Block(b + i, w, emb) for b, i, w in zip(below, config.inputs, widths, strict=True)
        )
        self.reduce = nn.ModuleList(
            nn.Conv2d(deep, w, 1) for w, deep in zip(widths[:-1], widths[1:], strict=True)
        )
        self.up = nn.ModuleList(Block(2 * w, w, emb) for w in widths[:-1])
        self.head = nn.Conv2d(widths[0], config.outputs, 1)
        # Sources are rare: start from a small probability in the first two maps.
        nn.init.constant_(self.head.bias[:2], -4.0)

    def forward(self, inputs, conditions):
        """Evaluate the network.

        Parameters
        ----------
        inputs : dict of int to `~torch.Tensor`
            Channels of each level, shape ``(n, inputs[level], ny / 2**level, nx / 2**level)``.
        conditions : `~torch.Tensor`
            Instrument description, shape ``(n, conditions)``.

        Returns
        -------
        output : `~torch.Tensor`
            Shape ``(n, outputs, ny, nx)``.
        """
        embedding = self.embed(conditions)
        x, skips = None, []
        for level, block in enumerate(self.down):
            # Where no band enters, the level has no input of its own.
            own = [inputs[level]] if level in inputs else []
            own += [F.max_pool2d(x, 2)] if level else []
            x = block(torch.cat(own, 1) if len(own) > 1 else own[0], embedding)
            skips.append(x)
        for level in range(len(self.up) - 1, -1, -1):
            x = F.interpolate(self.reduce[level](x), scale_factor=2, mode="nearest")
            x = self.up[level](torch.cat([skips[level], x], 1), embedding)
        return self.head(x)
