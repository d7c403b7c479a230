# Licensed under a 3-clause BSD style license - see LICENSE
"""Photon fluxes of simulated spectra."""

import numpy as np
import torch

__all__ = ["photon_flux"]

N_NODES = 24


def photon_flux(spectra, e_min, e_max):
    """Photon flux of each source between its two energies.

    Parameters
    ----------
    spectra : dict of `~torch.Tensor`
        See `~gammapy_asid.simulation.sky.source_counts`, shape ``(n,)`` each.
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
    log_x = torch.log(energy / par["reference"])
    exponent = -(par["index"] + par["beta"] * log_x) * log_x - (par["lambda_"] * energy) ** par["alpha"]
    return (par["amplitude"] * torch.exp(exponent) * energy * weights).sum(-1) * (high - low)[:, 0] / 2
