# Licensed under a 3-clause BSD style license - see LICENSE
"""What power laws through the counts say of a range of energies: its flux, and the errors of that."""

from dataclasses import dataclass

import numpy as np
import torch

from .spectral_fit import CURVATURE, counts_at_nodes

__all__ = ["FluxScale", "flux_bound", "flux_scale"]

# Relative error of the brightest fluxes.
SYSTEMATIC = 0.02

# Standard deviations of index and curvature among sources.
SHAPE_PRIOR = (0.3, 0.1)


@dataclass
class FluxScale:
    """Flux of power laws in a range of energies, and the scale on which it is learned; shape ``(n,)``.

    A flux ``F`` is learned as ``asinh(F / 2 s)``, ``s`` the flux that the counts measure with one
    standard deviation: linear for faint sources, logarithmic for bright ones (Lupton et al. 1999,
    AJ 118, 1406). The flux of the fit is the zero point, its error the unit.

    Parameters
    ----------
    log_flux : `~torch.Tensor`
        Logarithm of the photon flux of the fit in 1 / (cm2 s).
    log_unit : `~torch.Tensor`
        Logarithm of ``s``.
    predicted, observed : `~torch.Tensor`
        Counts in the range of the power law, and those fitted.
    energies : `~torch.Tensor`
        Logarithms of the range over the reference energy, shape ``(n, 2)``.
    """

    log_flux: torch.Tensor
    log_unit: torch.Tensor
    predicted: torch.Tensor
    observed: torch.Tensor
    energies: torch.Tensor

    @property
    def start(self):
        """Coordinate of the flux of the fit."""
        return torch.asinh(0.5 * torch.exp(self.log_flux - self.log_unit))

    @property
    def width(self):
        """Unit of the learned coordinate."""
        return torch.hypot(0.5 / torch.cosh(self.start), torch.full_like(self.start, SYSTEMATIC))

    def coordinate(self, flux):
        """Learned coordinate of fluxes in 1 / (cm2 s).

        Parameters
        ----------
        flux : `~torch.Tensor`
            Shape ``(n,)``.

        Returns
        -------
        coordinate : `~torch.Tensor`
            Shape ``(n,)``.
        """
        ratio = (flux.double() * torch.exp(-self.log_unit.double())).float()
        return (torch.asinh(0.5 * ratio) - self.start) / self.width

    def flux(self, coordinate):
        """Fluxes in 1 / (cm2 s) of learned coordinates, at least 0; float64.

        Parameters
        ----------
        coordinate : `~torch.Tensor`
            Shape ``(n,)``.

        Returns
        -------
        flux : `~torch.Tensor`
            Shape ``(n,)``.
        """
        value = (self.start + coordinate * self.width).double().clamp(min=0)
        return 2 * torch.sinh(value) * torch.exp(self.log_unit.double())

    def inputs(self):
        """What the network is told of the range, shape ``(n, 6)``."""
        columns = [
            self.start,
            torch.log1p(self.predicted),
            torch.log1p(self.observed),
            torch.asinh((self.observed - self.predicted) / torch.sqrt(self.predicted + 1)),
        ]
        return torch.cat([self.energies, torch.stack(columns, -1)], 1)


def _width(middle):
    """Logarithmic width of the cells that nodes stand for, shape ``(n_bands, 1)``."""
    return (middle[:, 1:2] - middle[:, :1]).clamp(min=1e-9)


def _covered(middle, low, high):
    """Share of the cell of each node between the logarithms of two energies."""
    width = _width(middle)
    inside = torch.minimum(high, middle + width / 2) - torch.maximum(low, middle - width / 2)
    return (inside / width).clamp(0, 1)


def flux_scale(response, power_laws, counts, error, e_min, e_max):
    """Flux of power laws between two energies, and its unit.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.
    power_laws : `PowerLaws`
        Power laws.
    counts, error : `~torch.Tensor`
        Counts in each band and their errors, shape ``(n, n_bands)``.
    e_min, e_max : `~torch.Tensor`
        Range of energies of each source in GeV, shape ``(n,)``.

    Returns
    -------
    scale : `FluxScale`
        Flux and unit.
    """
    nodes, middle, _ = counts_at_nodes(response, power_laws.index)
    nodes = nodes * torch.exp(power_laws.log_amplitude.double())[:, None, None]
    low, high = torch.log(e_min.double())[:, None, None], torch.log(e_max.double())[:, None, None]
    inside = nodes * _covered(middle, low, high)
    share = inside.sum(-1) / nodes.sum(-1).clamp(min=1e-30)
    predicted = inside.sum((1, 2)).clamp(min=1e-9)
    observed = (share * counts.double()).sum(-1)
    sigma = torch.sqrt((share**2 * error.double().clamp(min=1.0) ** 2).sum(-1)).clamp(min=0.1)
    one = 1 - power_laws.index.double()
    one = torch.where(one.abs() < 1e-3, torch.full_like(one, -1e-3), one)
    x0, x1 = low[:, 0, 0] - np.log(power_laws.reference), high[:, 0, 0] - np.log(power_laws.reference)
    integral = (torch.exp(one * x1) - torch.exp(one * x0)) / one * power_laws.reference
    log_flux = power_laws.log_amplitude.double() + torch.log(integral.clamp(min=1e-30))
    log_unit = log_flux + torch.log(sigma) - torch.log(predicted)
    # Where the counts say more than the power law, the flux is theirs.
    expected_scatter = (CURVATURE * predicted) ** 2
    excess = (observed / predicted - 1) * expected_scatter / (expected_scatter + sigma**2)
    log_flux = log_flux + torch.log((1 + excess).clamp(min=0.05))
    energies = torch.stack([x0, x1], -1)
    return FluxScale(*(v.float() for v in (log_flux, log_unit, predicted, observed, energies)))


def flux_bound(information, response, spectra, e_min, e_max):
    """Relative error of the flux between two energies that the photons allow.

    The bound of Cramer and Rao with amplitude, index and curvature of the spectrum unknown, and the
    last two as uncertain beforehand as they are among the sources of the sky (van Trees 1968).

    Parameters
    ----------
    information : `~torch.Tensor`
        Fisher information of the relative amplitude of each band, shape ``(n, n_bands)``.
    response : `~gammapy_asid.inputs.Response`
        Instrument response.
    spectra : dict of `~torch.Tensor`
        True spectra, see `~gammapy_asid.simulation.spectra.differential_flux`.
    e_min, e_max : `~torch.Tensor`
        Range of energies of each source in GeV, shape ``(n,)``.

    Returns
    -------
    error : `~torch.Tensor`
        Shape ``(n,)``.
    """
    index = spectra["index"].clamp(1, 4)
    nodes, middle, reference = counts_at_nodes(response, index)
    # Of the local slope of each band: derivatives of the logarithm of counts and flux.
    log_x = (middle - np.log(reference)).expand_as(nodes)
    weight = nodes / nodes.sum(-1, keepdim=True).clamp(min=1e-30)

    def derivatives(share):
        return torch.stack([share.sum(-1), -(share * log_x).sum(-1), -(share * log_x**2).sum(-1)], -1)

    bands = derivatives(weight)
    low, high = (torch.log(e.double())[:, None, None] for e in (e_min, e_max))
    # Photon flux of each node: the counts over the exposure fall out of the shares of a band.
    photons = torch.exp(middle * (1 - index.double()[:, None, None]))
    present = torch.tensor(response.present, device=index.device)[:, None]
    photons = photons * _covered(middle, low, high) * _width(middle) * present
    photons = photons / photons.sum((1, 2), keepdim=True)
    flux = derivatives(photons).sum(1)
    total = torch.einsum("nb,nbi,nbj->nij", information.double(), bands, bands)
    prior = torch.tensor([0.0, *(1 / width**2 for width in SHAPE_PRIOR)]).to(total)
    covariance = torch.linalg.inv(total + torch.diag(prior) + 1e-9 * torch.eye(3).to(total))
    return torch.sqrt(torch.einsum("ni,nij,nj->n", flux, covariance, flux)).float()
