# Licensed under a 3-clause BSD style license - see LICENSE
"""Fluxes of simulated spectra."""

import numpy as np
import torch

__all__ = ["differential_flux", "photon_flux"]

# Gauss-Legendre nodes in the logarithm of the energy, as many as a `MockCatalog` takes for its fluxes.
N_NODES = 24


def differential_flux(spectra, energy):
    """Differential flux of log-parabolas with a cut-off.

    Parameters
    ----------
    spectra : dict of `~torch.Tensor`
        ``amplitude`` (1 / (cm2 s GeV)), ``reference`` (GeV), ``index``, ``beta``, ``lambda_`` (1/GeV) and
        ``alpha``, for each energy.
    energy : `~torch.Tensor`
        Energies in GeV.

    Returns
    -------
    flux : `~torch.Tensor`
        1 / (cm2 s GeV), shape of the energies.
    """
    log_x = torch.log(energy / spectra["reference"])
    exponent = -(spectra["index"] + spectra["beta"] * log_x) * log_x
    return spectra["amplitude"] * torch.exp(exponent - (spectra["lambda_"] * energy) ** spectra["alpha"])


def photon_flux(spectra, e_min, e_max):
    """Photon flux of each source between its two energies.

    Parameters
    ----------
    spectra : dict of `~torch.Tensor`
        See `differential_flux`, shape ``(n,)`` each.
    e_min, e_max : `~torch.Tensor`
        Energies in GeV, shape ``(n,)``.

    Returns
    -------
    flux : `~torch.Tensor`
        1 / (cm2 s), float64, shape ``(n,)``.
    """
    nodes, weights = (torch.tensor(v, device=e_min.device) for v in np.polynomial.legendre.leggauss(N_NODES))
    low, high = torch.log(e_min.double())[:, None], torch.log(e_max.double())[:, None]
    energy = torch.exp((low + high) / 2 + (high - low) / 2 * nodes)
    par = {name: value.double()[:, None] for name, value in spectra.items()}
    return (differential_flux(par, energy) * energy * weights).sum(-1) * (high - low)[:, 0] / 2
