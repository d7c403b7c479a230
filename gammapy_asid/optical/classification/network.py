# Licensed under a 3-clause BSD style license - see LICENSE
"""Network that tells stars from galaxies and both from artefacts."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from .prior import SUBCLASSES
from .stamps import N_CHANNELS, N_NUMBERS, SIZE

__all__ = ["OpticalClassConfig", "OpticalClassNetwork"]


@dataclass(frozen=True)
class OpticalClassConfig:
    """Shape of the network.

    Parameters
    ----------
    widths : tuple of int
        Channels of the three convolutions.
    hidden : int
        Units of the other layers.
    members : int
        Members of the ensemble, which share the convolutions.
    """

    widths: tuple = (8, 16, 24)
    hidden: int = 64
    members: int = 5


class _Layer(nn.Module):
    """A linear layer for every member at once."""

    def __init__(self, members, inputs, outputs, gain=2.0):
        super().__init__()
        # He et al. 2015, ICCV, 1026
        self.weight = nn.Parameter(torch.randn(members, inputs, outputs) * (gain / inputs) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, x):
        return torch.baddbmm(self.bias, x, self.weight)


class OpticalClassNetwork(nn.Module):
    """Logits of the subclasses at equal shares.

    Convolutions see the stamps; what they find goes with the numbers of the fits to an ensemble.

    Parameters
    ----------
    config : `OpticalClassConfig`
        Shape.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        first, second, third = config.widths
        self.convolutions = nn.Sequential(
            nn.Conv2d(N_CHANNELS, first, 3, stride=2, padding=1),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.Conv2d(second, third, 3, padding=1),
            nn.BatchNorm2d(third),
            nn.ReLU(),
        )
        side = (SIZE + 3) // 4
        self.seen = nn.Linear(third * side**2, config.hidden)
        self.norm = nn.BatchNorm1d(N_NUMBERS)
        members, hidden = config.members, config.hidden
        self.numbers = _Layer(members, N_NUMBERS, 2 * hidden)
        self.joined = _Layer(members, 3 * hidden, hidden)
        self.last = _Layer(members, hidden, len(SUBCLASSES), gain=0.05)

    def members(self, pixels, numbers):
        """Logits of each member, shape ``(members, k, n_subclasses)``.

        Parameters
        ----------
        pixels, numbers : `~torch.Tensor`
            See `~gammapy_asid.optical.classification.stamps.ClassStamps`.
        """
        seen = F.silu(self.seen(self.convolutions(pixels).flatten(1)))
        numbers = self.norm(numbers).expand(self.config.members, -1, -1)
        told = F.silu(self.numbers(numbers))
        joined = torch.cat([seen.expand(self.config.members, -1, -1), told], 2)
        return self.last(F.silu(self.joined(joined)))

    def forward(self, pixels, numbers):
        """Mean of the logits of the members, shape ``(k, n_subclasses)``.

        Parameters
        ----------
        pixels, numbers : `~torch.Tensor`
            See `members`.
        """
        return self.members(pixels, numbers).mean(0)
