# Licensed under a 3-clause BSD style license - see LICENSE
"""Power laws through the counts of many sources."""

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..utils.devices import Movable

__all__ = ["CURVATURE", "PowerLaws", "counts_at_nodes", "fit_power_laws"]

# Grid of photon indices, and the prior on them: mean and standard deviation.
INDICES = torch.arange(1.0, 4.55, 0.1)

PRIOR = (2.3, 0.4)

# Spectra are no power laws: relative scatter of a band's counts around one.
CURVATURE = 0.2

# Energies per band for the integrals.
N_NODES = 16


@dataclass(kw_only=True)
class PowerLaws(Movable):
    """Power laws, tensors of shape ``(n,)``.

    Parameters
    ----------
    log_amplitude : `~torch.Tensor`
        Logarithm of the differential flux at the reference energy in 1 / (cm2 s GeV).
    index, index_error : `~torch.Tensor`
        Photon index: mean and standard deviation of its posterior.
    counts : `~torch.Tensor`
        Expected counts in each band, shape ``(n, n_bands)``.
    reference : float
        Reference energy in GeV.
    """

    log_amplitude: torch.Tensor
    index: torch.Tensor
    index_error: torch.Tensor
    counts: torch.Tensor
    reference: float

    def select(self, rows):
        """Power laws of some sources.

        Parameters
        ----------
        rows : `~torch.Tensor`
            Index or mask.

        Returns
        -------
        power_laws : `PowerLaws`
            Those.
        """
        return replace(self, **{k: v[rows] for k, v in vars(self).items() if k != "reference"})


def counts_at_nodes(response, index):
    """Counts of power laws of unit amplitude at the reference energy.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.
    index : `~torch.Tensor`
        Photon indices, shape ``(n,)``.

    Returns
    -------
    counts : `~torch.Tensor`
        In the cell of each energy, shape ``(n, n_bands, n_nodes)``.
    middle : `~torch.Tensor`
        Logarithms of the energies in GeV, shape ``(n_bands, n_nodes)``.
    reference : float
        Energy in GeV.
    """
    reference = float(np.sqrt(response.bands.edges[0] * response.bands.edges[-1]))
    edges = np.nan_to_num(response.sub_edges, nan=1.0)
    n_sub = response.exposure.shape[1]
    fine = np.linspace(0, n_sub, N_NODES + 1)
    log_edges = np.array([np.interp(fine, np.arange(n_sub + 1), np.log(e)) for e in edges])
    middle = (log_edges[:, 1:] + log_edges[:, :-1]) / 2
    at = np.linspace(0, n_sub, N_NODES + 1)[:-1] + n_sub / N_NODES / 2
    exposure = np.array([np.interp(at - 0.5, np.arange(n_sub), e) for e in response.exposure])
    weight = exposure * np.diff(log_edges) * np.exp(middle)
    middle, weight = (torch.tensor(v, dtype=torch.float64, device=index.device) for v in (middle, weight))
    counts = torch.exp(-index.double()[:, None, None] * (middle - np.log(reference))) * weight
    return counts, middle, reference


def fit_power_laws(response, counts, error):
    """Power laws through fitted counts: the posterior mean over photon indices.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.
    counts, error : `~torch.Tensor`
        Counts in each band and their errors, shape ``(n, n_bands)``.

    Returns
    -------
    power_laws : `PowerLaws`
        Power laws.
    """
    indices = INDICES.to(counts.device)
    unit, _, reference = counts_at_nodes(response, indices)
    unit = unit.sum(-1)
    share = (unit / unit.sum(-1, keepdim=True))[None]
    present = torch.tensor(response.present, device=counts.device)
    a = counts.double()[:, None]
    total = counts.double().sum(-1).clamp(min=1.0)
    # No count says less than one count.
    variance = error.double().clamp(min=1.0)[:, None] ** 2 + (CURVATURE * total[:, None, None] * share) ** 2
    weight = present / variance
    level = ((a * share * weight).sum(-1) / (share**2 * weight).sum(-1)).clamp(min=0.3)
    chi2 = ((a - level[..., None] * share) ** 2 * weight).sum(-1) + ((indices - PRIOR[0]) / PRIOR[1]) ** 2
    chi2 = chi2 + (torch.log(variance) * present).sum(-1)
    posterior = torch.softmax(-chi2 / 2, -1)
    index = (posterior * indices).sum(-1)
    index_error = torch.sqrt((posterior * (indices - index[:, None]) ** 2).sum(-1))
    log_total = (posterior * torch.log(level)).sum(-1)
    own, _, _ = counts_at_nodes(response, index)
    own = own.sum(-1)
    log_amplitude = log_total - torch.log(own.sum(-1))
    predicted = torch.exp(log_amplitude)[:, None] * own
    return PowerLaws(
        log_amplitude=log_amplitude.float(),
        index=index.float(),
        index_error=index_error.float(),
        counts=predicted.float(),
        reference=reference,
    )
