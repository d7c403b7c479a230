# Licensed under a 3-clause BSD style license - see LICENSE
"""Deep ensembles as one batched network, and the moments of their predictions."""

from dataclasses import dataclass

import torch
from torch import nn

__all__ = ["Ensemble", "EnsembleConfig", "Moments", "ensemble_moments"]


@dataclass(frozen=True)
class EnsembleConfig:
    """Shape of an ensemble.

    Parameters
    ----------
    inputs : int
        Length of the input.
    targets : int
        Number of values that are predicted, each of their own mean.
    members : int
        Number of networks.
    width : int
        Hidden units of each layer.
    """

    inputs: int
    targets: int
    members: int = 15
    width: int = 128

    @property
    def spreads(self):
        """Parameters of the covariance: logarithms of the widths, then the correlations."""
        return self.targets * (self.targets + 1) // 2


class _Layers(nn.Module):
    """Two hidden layers and an output for every member at once."""

    def __init__(self, members, inputs, width, outputs):
        super().__init__()
        sizes = ((inputs, width), (width, width), (width, outputs))
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(members, *size)) for size in sizes)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(members, 1, size[1])) for size in sizes)
        # He et al. 2015, ICCV, 1026; outputs start near zero
        for weight, gain in zip(self.weights, (2.0, 2.0, 0.02), strict=True):
            nn.init.normal_(weight, std=(gain / weight.shape[1]) ** 0.5)

    def forward(self, x):
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            x = nn.functional.silu(x) if i < 2 else x
        return x


class Ensemble(nn.Module):
    """Networks that predict mean and covariance, evaluated together.

    The mean has layers of its own, so that it can be trained first and then kept while the
    covariance is trained (two-step mean-variance estimation: Nix & Weigend 1994, ICNN, 55;
    Sluijterman et al. 2024, Neurocomputing 597, 127929).

    Parameters
    ----------
    config : `EnsembleConfig`
        Shape.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.mean = _Layers(config.members, config.inputs, config.width, config.targets)
        self.spread = _Layers(config.members, config.inputs, config.width, config.spreads)
        self.register_buffer("input_mean", torch.zeros(config.inputs))
        self.register_buffer("input_scale", torch.ones(config.inputs))

    def standardise(self, inputs):
        """Set the zero point and scale of the inputs from a sample.

        Parameters
        ----------
        inputs : `~torch.Tensor`
            Sample, shape ``(n, inputs)``.
        """
        self.input_mean.copy_(inputs.mean(0))
        # Inputs that hardly vary in the sample are not blown up
        self.input_scale.copy_(1 / inputs.std(0).clamp(min=1e-2))

    def prepare(self, inputs):
        """Standardised inputs of every member, shape ``(members, n, inputs)``.

        Parameters
        ----------
        inputs : `~torch.Tensor`
            See `forward`.
        """
        # Nothing counts beyond six standard deviations, where hardly anything was learned
        inputs = ((inputs - self.input_mean) * self.input_scale).clamp(-6, 6)
        return inputs.expand(self.config.members, -1, -1) if inputs.dim() == 2 else inputs

    def forward(self, inputs):
        """Mean and Cholesky factor of the inverse covariance of each member.

        Parameters
        ----------
        inputs : `~torch.Tensor`
            Shape ``(n, inputs)``, or ``(members, n, inputs)`` if each has its own.

        Returns
        -------
        mean : `~torch.Tensor`
            Shape ``(members, n, targets)``.
        factor : `~torch.Tensor`
            Lower triangular ``L`` with ``L @ L.T`` the inverse covariance, shape
            ``(members, n, targets, targets)``.
        """
        inputs = self.prepare(inputs)
        return self.mean(inputs), self.factor(self.spread(inputs))

    def factor(self, parameters):
        """Cholesky factor of the inverse covariance, see `forward`.

        Parameters
        ----------
        parameters : `~torch.Tensor`
            Outputs of the layers ``spread``, shape ``(members, n, spreads)``.
        """
        k = self.config.targets
        # Bounded, so that no source pulls without limit
        diagonal = torch.exp(-parameters[..., :k].clamp(-5, 4))
        factor = torch.diag_embed(diagonal)
        rows, columns = torch.tril_indices(k, k, -1, device=parameters.device)
        factor[..., rows, columns] = parameters[..., k:] * diagonal[..., rows]
        return factor


@dataclass
class Moments:
    """Mean and covariances of the predictions for ``n`` sources.

    Parameters
    ----------
    mean : `~torch.Tensor`
        Shape ``(n, targets)``.
    aleatoric : `~torch.Tensor`
        Mean of the members' covariances: the noise in the data, shape ``(n, targets, targets)``.
    epistemic : `~torch.Tensor`
        Covariance of the members' means: what training left open, shape ``(n, targets, targets)``.
    """

    mean: torch.Tensor
    aleatoric: torch.Tensor
    epistemic: torch.Tensor

    @property
    def covariance(self):
        """Sum of both (law of total variance)."""
        return self.aleatoric + self.epistemic


def ensemble_moments(mean, factor):
    """Moments of the equal mixture of the members (Lakshminarayanan et al. 2017, NeurIPS 30).

    Parameters
    ----------
    mean, factor : `~torch.Tensor`
        Result of an `Ensemble`.

    Returns
    -------
    moments : `Moments`
        Moments.
    """
    inverse = torch.linalg.solve_triangular(
        factor, torch.eye(factor.shape[-1], device=factor.device).expand_as(factor), upper=False
    )
    aleatoric = (inverse.transpose(-1, -2) @ inverse).mean(0)
    centre = mean.mean(0)
    delta = (mean - centre)[..., None]
    return Moments(centre, aleatoric, (delta @ delta.transpose(-1, -2)).mean(0))
