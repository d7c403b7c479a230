# Licensed under a 3-clause BSD style license - see LICENSE
"""How well typical spectra of gamma-ray sources fit the counts of many sources."""

import numpy as np
import torch

from .spectral_fit import counts_at_nodes

__all__ = ["TEMPLATES", "template_deviances"]

#: (index, curvature, inverse cut-off energy): differential fluxes proportional to
#: ``E^-(index + curvature ln E) exp(-(E x inverse cut-off)^(2/3))``, E in units of `REFERENCE` GeV.
#: Power laws and log-parabolas as those of AGN, nebulae and remnants, and cut-off spectra as those of pulsars
#: (4FGL's exponent), so that each class of 4FGL has a neighbour within its scatter.
TEMPLATES = (
    *((index, 0.0, 0.0) for index in (1.5, 1.8, 2.1, 2.4, 2.7, 3.1)),
    *((index, 0.12, 0.0) for index in (1.6, 2.0, 2.4)),
    *((index, 0.3, 0.0) for index in (1.5, 2.0, 2.5)),
    *((index, 0.0, cut) for index in (0.6, 1.1, 1.6) for cut in (0.3, 1.0, 3.0)),
)

#: Energy in GeV in units of which spectra are written for data of the LAT; it moves with the energy range.
REFERENCE = 1.0
#: Geometric mean of the LAT's energy range in GeV, for which these spectra are.
LAT_MIDDLE = float(np.sqrt(0.3 * 1000.0))


def _shares(response, device):
    """Counts in each band of the templates, each of total one, shape ``(n_templates, n_bands)``."""
    index, curvature, cut = torch.tensor(TEMPLATES, dtype=torch.float64, device=device).T
    counts, middle, reference = counts_at_nodes(response, torch.zeros(1, device=device))
    log_e = middle - np.log(REFERENCE * reference / LAT_MIDDLE)
    shape = (slice(None), None, None)
    exponent = -(index[shape] + curvature[shape] * log_e) * log_e
    exponent = exponent - (cut[shape] * torch.exp(log_e)) ** (2 / 3)
    total = (counts * torch.exp(exponent)).sum(-1)
    return total / total.sum(-1, keepdim=True)


def template_deviances(response, counts, error):
    """Chi squared of each of the `TEMPLATES`, its amplitude free, beyond that of the best one.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.
    counts, error : `~torch.Tensor`
        Counts in each band and their errors, shape ``(n, n_bands)``.

    Returns
    -------
    deviance : `~torch.Tensor`
        Shape ``(n, n_templates)``, its smallest value in each row 0.
    best : `~torch.Tensor`
        Chi squared of the best one, shape ``(n,)``.
    """
    share = _shares(response, counts.device)[None]
    present = torch.tensor(response.present, device=counts.device)
    # No count says less than one count
    weight = (present / error.double().clamp(min=1.0) ** 2)[:, None]
    a = counts.double()[:, None]
    level = ((a * share * weight).sum(-1) / (share**2 * weight).sum(-1).clamp(min=1e-30)).clamp(min=0)
    chi2 = ((a - level[..., None] * share) ** 2 * weight).sum(-1)
    best = chi2.amin(-1)
    return (chi2 - best[:, None]).float(), best.float()
