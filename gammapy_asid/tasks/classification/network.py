# Licensed under a 3-clause BSD style license - see LICENSE
"""Network of the classes of sources: convolutions over years and sky, beside the numbers of the fit."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ...stats.significance import compress
from ...stats.template_spectra import TEMPLATES
from ..measurement.features import with_expected_error

__all__ = ["ClassConfig", "ClassInputs", "ClassNetwork", "ClassOutput", "class_inputs", "class_numbers"]

#: Numbers of a light curve besides those of its bins: bins, and variability of all, soft and hard bands.
N_VARIABILITY = 4
#: Channels of an image of a band that stay the same in time: source, background, valid pixels.
STILL = 3
#: Channels that change: against the sky without the source, and against the steady model.
MOVING = 2
#: Numbers of a band in a bin of time: deviation from the mean flux, and its error.
CURVE = 2


class ClassInputs(NamedTuple):
    """Tensors that the network sees of ``n`` candidates.

    Parameters
    ----------
    numbers : `~torch.Tensor`
        Of the fit, the spectrum and the variability, shape ``(n, n_numbers)``.
    still : `~torch.Tensor`
        Images of the bands that stay the same, shape ``(n, STILL * n_bands, k, k)``.
    moving : `~torch.Tensor`
        Images in each bin of time, shape ``(n, MOVING * n_bands, n_bins, k, k)``.
    curve : `~torch.Tensor`
        Light curves, shape ``(n, CURVE * n_bands, n_bins)``.
    """

    numbers: torch.Tensor
    still: torch.Tensor
    moving: torch.Tensor
    curve: torch.Tensor


class ClassOutput(NamedTuple):
    """Logits: real against fake ``(n,)``, of the three classes ``(n, 3)``, FSRQ against BL Lac ``(n,)``."""

    real: torch.Tensor
    classes: torch.Tensor
    fsrq: torch.Tensor


def class_inputs(stamps):
    """What the network sees of candidates.

    Parameters
    ----------
    stamps : `~gammapy_asid.tasks.classification.stamps.CandidateStamps`
        Candidates.

    Returns
    -------
    inputs : `ClassInputs`
        Tensors of order one.
    """
    valid, share = stamps.valid.float(), stamps.share[..., None, None]
    expected, own = stamps.expected.float(), stamps.own.float()
    rest = (expected - own).clamp(min=0)
    flux = torch.log1p(own)
    still = torch.stack([flux, torch.log(rest + 0.01) / 2 * valid, valid], 2).flatten(1, 2)
    counts = stamps.counts.float()

    def residual(image):
        model = share * image[:, None]
        return compress((counts - model) / torch.sqrt(model + 0.5) * valid[:, None])

    moving = torch.stack([residual(rest), residual(expected)], 3).flatten(2, 3).movedim(1, 2)
    # The error of a flux that is not seen in a bin is that of a thousandth of a count
    error = torch.rsqrt(stamps.information + 1e-3)
    pull = stamps.excess * error
    curve = torch.stack([compress(pull), -torch.log(error) / 2], -1).flatten(2).movedim(1, 2)
    return ClassInputs(class_numbers(stamps), still, moving, curve)


def class_numbers(stamps):
    """Numbers of the fit, of the spectrum and of the variability of candidates, shape ``(n, n_numbers)``.

    Parameters
    ----------
    stamps : `~gammapy_asid.tasks.classification.stamps.CandidateStamps`
        Candidates.
    """
    spectrum = [compress(torch.sqrt(stamps.deviances)), compress(torch.sqrt(stamps.best))[:, None]]
    return torch.cat([with_expected_error(stamps.scalars), *spectrum, _variability(stamps)], 1)


def _variability(stamps):
    """Whether there is time, and how far light curves are from the fitted flux: all bands, both halves."""
    n, n_bins, n_bands = stamps.excess.shape
    freedom = max(n_bins - 1, 1)
    parts = [torch.full((n,), float(n_bins > 1), device=stamps.excess.device)]
    half = n_bands // 2
    for bands in (slice(None), slice(None, half), slice(half, None)):
        excess, information = (v[..., bands].sum(-1) for v in (stamps.excess, stamps.information))
        chi2 = (excess**2 / (information + 1e-3)).sum(1) / freedom
        # The cube root of chi squared is nearly normal (Wilson & Hilferty 1931, PNAS 17, 684)
        normal = (chi2 ** (1 / 3) - 1 + 2 / (9 * freedom)) / (2 / (9 * freedom)) ** 0.5
        parts.append(compress(normal) * float(n_bins > 1))
    return torch.stack(parts, 1)


@dataclass(frozen=True)
class ClassConfig:
    """Shape of the network.

    Parameters
    ----------
    bands : int
        Energy bands.
    scalars : int
        Numbers of the fit.
    widths : tuple of int
        Channels of the three convolutions.
    hidden : int
        Units of the last layers.
    members : int
        Heads of an ensemble, whose logits are averaged.
    """

    bands: int
    scalars: int
    widths: tuple = (32, 48, 64)
    hidden: int = 256
    members: int = 4

    @property
    def numbers(self):
        """Length of `ClassInputs.numbers`."""
        return self.scalars + len(TEMPLATES) + 1 + N_VARIABILITY


class _Heads(nn.Module):
    """Three layers for every member at once."""

    def __init__(self, members, inputs, hidden, outputs):
        super().__init__()
        sizes = ((inputs, hidden), (hidden, hidden), (hidden, outputs))
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(members, *size)) for size in sizes)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(members, 1, size[1])) for size in sizes)
        # He et al. 2015, ICCV, 1026; outputs start near zero
        for weight, gain in zip(self.weights, (2.0, 2.0, 0.05), strict=True):
            nn.init.normal_(weight, std=(gain / weight.shape[1]) ** 0.5)

    def hidden(self, x):
        """Last hidden layer of each member, shape ``(members, n, hidden)``."""
        x = x.expand(len(self.weights[0]), -1, -1)
        for weight, bias in zip(self.weights[:2], self.biases[:2], strict=True):
            x = F.silu(torch.baddbmm(bias, x, weight))
        return x

    def forward(self, x):
        return torch.baddbmm(self.biases[2], self.hidden(x), self.weights[2])


class ClassNetwork(nn.Module):
    """Logits of candidates (`ClassOutput`).

    Stamps of all bands are channels of convolutions over time and both axes of the sky; what comes out at
    each time goes with the light curve through convolutions over time, and its mean, maximum and scatter
    with the numbers of the fit to the heads.

    Parameters
    ----------
    config : `ClassConfig`
        Shape.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        first, second, third = config.widths
        self.still = nn.Conv2d(STILL * config.bands, first, 3, padding=1)
        self.moving = nn.Conv3d(MOVING * config.bands, first, 3, padding=1)
        self.second = nn.Conv3d(first, second, 3, stride=(1, 2, 2), padding=1)
        self.third = nn.Conv3d(second, third, 3, stride=(1, 2, 2), padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm3d(width) for width in config.widths)
        self.curve = nn.Conv1d(CURVE * config.bands + 2 * third, third, 3, padding=1)
        self.curve_norm = nn.BatchNorm1d(third)
        self.number_norm = nn.BatchNorm1d(config.numbers, affine=False)
        self.heads = _Heads(config.members, config.numbers + 5 * third, config.hidden, 5)
        # Range of the numbers in the training
        self.register_buffer("low", torch.full((config.numbers,), -torch.inf))
        self.register_buffer("high", torch.full((config.numbers,), torch.inf))

    def joined(self, numbers, still, moving, curve):
        """What the heads see, shape ``(n, n_joined)``.

        Parameters
        ----------
        numbers, still, moving, curve : `~torch.Tensor`
            See `ClassInputs`.
        """
        # Nothing counts beyond eight standard deviations, where hardly anything was learned
        numbers = self.number_norm(numbers).clamp(-8, 8)
        x = self.moving(moving.contiguous(memory_format=torch.channels_last_3d))
        x = x + self.still(still.contiguous(memory_format=torch.channels_last))[:, :, None]
        x = F.relu(self.norms[0](x))
        x = F.relu(self.norms[1](self.second(x)))
        x = F.relu(self.norms[2](self.third(x)))
        centre = x[..., x.shape[-2] // 2, x.shape[-1] // 2]
        places = torch.cat([centre, x.mean((-2, -1))], 1)
        t = F.relu(self.curve_norm(self.curve(torch.cat([curve, places], 1))))
        scatter = torch.sqrt(t.var(-1, unbiased=False) + 1e-4)
        return torch.cat([numbers, places.mean(-1), t.mean(-1), t.amax(-1), scatter], 1)

    def last_layer(self, numbers, still, moving, curve):
        """Mean of the last hidden layers of the members, shape ``(n, hidden)``.

        Parameters
        ----------
        numbers, still, moving, curve : `~torch.Tensor`
            See `ClassInputs`.
        """
        return self.heads.hidden(self.joined(numbers, still, moving, curve)).mean(0)

    def members(self, numbers, still, moving, curve):
        """Outputs of the members, shape ``(members, n, 5)``.

        Parameters
        ----------
        numbers, still, moving, curve : `~torch.Tensor`
            See `ClassInputs`.
        """
        return self.heads(self.joined(numbers, still, moving, curve))

    def forward(self, numbers, still, moving, curve):
        """Logits, shape ``(n, 5)``, see `split`.

        Parameters
        ----------
        numbers, still, moving, curve : `~torch.Tensor`
            See `ClassInputs`.
        """
        return self.members(numbers, still, moving, curve).mean(0)

    @staticmethod
    def split(output):
        """Parts of the output (`ClassOutput`).

        Parameters
        ----------
        output : `~torch.Tensor`
            Shape ``(..., 5)``.
        """
        return ClassOutput(output[..., 0], output[..., 1:4], output[..., 4])
