# Licensed under a 3-clause BSD style license - see LICENSE
"""Calibrated quantiles of positions and fluxes."""

import numpy as np
import torch

from ...learning.ensembles import ensemble_moments
from ...learning.interval_calibration import apply_additive
from ...stats.flux_scale import flux_scale
from ...stats.spectral_fit import fit_power_laws
from ...utils.devices import inference
from .features import fitted_counts

__all__ = [
    "EMPTY_LEVELS",
    "FLUX_LEVELS",
    "POSITION_LEVELS",
    "SPREADS",
    "WIDE",
    "calibrated_quantiles",
    "calibration_key",
    "flux_quantiles",
    "flux_significance",
    "flux_variables",
]

#: Sources that were detected, and positions that were given.
MODES = ("detected", "given")
#: Ways to the spread of a flux: two-step mean-variance estimation, or the scatter of the means alone.
SPREADS = ("mean-variance", "ensemble")

#: Probabilities of the position ellipses.
POSITION_LEVELS = (0.68, 0.95)

#: Quantiles of the flux: both ends of the 95 % and the 68 % interval, the upper limit, and the estimate. The
#: first are those of the simulated sky, where faint sources are many; the estimate is the median with all
#: fluxes equally likely, so that it is right for sources of a given true flux.
FLUX_LEVELS = (0.025, 0.16, 0.84, 0.975, 0.95, 0.5)

#: Shares of the empty places whose intervals of 68 % and of 95 % hold zero.
EMPTY_LEVELS = (0.68, 0.975)

#: Ranges of energies wider than this factor are calibrated apart from narrower ones.
WIDE = 12.0

#: What is added to the key of a calibration by the predicted spread, for those of other variables.
PARTS = ("", " significance", " flux")

# Lowest coordinate of a flux that has a significance, of limits and estimates.
FAINTEST_COORDINATE = 0.02


def _range_moments(ensemble, features, response, power_laws, counts, error, energies):
    """Scale of the flux of sources in a range of energies, and the predictions of the ensemble on it."""
    ends = (torch.full_like(features.scale, float(e)) for e in energies)
    scale = flux_scale(response, power_laws, counts, error, *ends)
    return scale, ensemble_moments(*ensemble(torch.cat([features.flat(), scale.inputs()], 1)))


@inference()
def flux_significance(ensemble, features, response):
    """How far the flux of sources is above zero, in the band or the whole range where it is farthest.

    Faint sources are seen in some bands only, empty places in none. The errors are those that the ensemble
    predicts, so that it takes account of a background that is not known well.

    Parameters
    ----------
    ensemble : `~gammapy_asid.learning.ensembles.Ensemble`
        Ensemble for fluxes.
    features : `~gammapy_asid.tasks.measurement.features.SourceFeatures`
        Features of sources of one instrument.
    response : `~gammapy_asid.inputs.Response`
        Instrument response.

    Returns
    -------
    significance : `~numpy.ndarray`
        In standard deviations of the learned scale, shape ``(n,)``.
    """
    counts, error = fitted_counts(features, len(response.bands))
    power_laws = fit_power_laws(response, counts, error)
    present = np.flatnonzero(response.present)
    ranges = [(np.nanmin(response.e_min), np.nanmax(response.e_max))]
    ranges += [(response.e_min[band], response.e_max[band]) for band in present]
    significance = []
    for energies in ranges:
        scale, moments = _range_moments(ensemble, features, response, power_laws, counts, error, energies)
        centre = scale.start + moments.mean[:, 0] * scale.width
        significance.append(centre / (torch.sqrt(moments.covariance[:, 0, 0]) * scale.width))
    return torch.stack(significance).amax(0).double().cpu().numpy()


def flux_variables(coordinate, spread, log_unit):
    """Variables of the calibration of fluxes: predicted error, significance, flux.

    Parameters
    ----------
    coordinate, spread : `~numpy.ndarray`
        Predicted ``asinh(F / 2 s)`` and its standard deviation, shape ``(n,)``.
    log_unit : `~numpy.ndarray`
        Logarithm of ``s``.
    """
    significance = 2 * np.sinh(np.maximum(coordinate, FAINTEST_COORDINATE))
    return spread, significance, significance * np.exp(log_unit)


def calibrated_quantiles(calibration, key, variables):
    """Quantiles of the deviations in units of the predicted spread.

    Parameters
    ----------
    calibration : dict
        Calibration of a card.
    key : str
        Key of the part that depends on the predicted spread; the others are those of `PARTS`.
    variables : sequence of `~numpy.ndarray`
        Predicted spread, significance and flux, or the first of them; each of shape ``(n,)``.

    Returns
    -------
    quantiles : `~numpy.ndarray`
        Shape ``(n, n_levels)``.
    """
    parts = [
        (calibration[key + part], variable)
        for part, variable in zip(PARTS, variables, strict=False)
        if key + part in calibration
    ]
    return apply_additive(*zip(*parts, strict=True))


def flux_quantiles(calibration, key, moments, spread, start, width, log_unit, zero=None):
    """Calibrated fluxes on the scale ``asinh(F / 2 s)``.

    Parameters
    ----------
    calibration, key
        See `calibrated_quantiles`.
    moments : `~gammapy_asid.learning.ensembles.Moments`
        Predictions of the ensemble.
    spread : {"mean-variance", "ensemble"}
        Way to the uncertainty.
    start, width, log_unit : `~numpy.ndarray`
        Of the `~gammapy_asid.stats.flux_scale.FluxScale` of the sources, shape ``(n,)``.
    zero : `~numpy.ndarray`, optional
        Whether the intervals of 68 % and of 95 % begin at zero, as at places that could be empty, bool of
        shape ``(2, n)``; by default none: detected sources are taken to be there.

    Returns
    -------
    coordinates : `~numpy.ndarray`
        Columns as `FLUX_LEVELS`, shape ``(n, 6)``; the estimate is inside the interval of 68 %. Lower ends
        are at least 0, all else is above.
    """
    variance = moments.covariance if spread == SPREADS[0] else moments.epistemic
    mean, variance = (v.double().cpu().numpy() for v in (moments.mean[:, 0], variance[:, 0, 0]))
    centre, sigma = start + mean * width, np.sqrt(variance) * width
    quantiles = calibrated_quantiles(calibration, key, flux_variables(centre, sigma, log_unit))
    coordinates = centre[:, None] + quantiles * sigma[:, None]
    coordinates[:, :2] = np.maximum(coordinates[:, :2], 0)
    coordinates[:, 2:] = np.maximum(coordinates[:, 2:], FAINTEST_COORDINATE)
    coordinates[:, 5] = np.clip(coordinates[:, 5], coordinates[:, 1], coordinates[:, 2])
    if zero is not None:
        zero68, zero95 = zero
        coordinates[zero68, 1], coordinates[zero95, 0] = 0, 0
    return coordinates


def calibration_key(spread, mode, wide):
    """Name of the calibration of fluxes.

    Parameters
    ----------
    spread : {"mean-variance", "ensemble"}
        Way to the uncertainty.
    mode : {"detected", "given"}
        Where the positions are from.
    wide : bool
        Whether the range of energies is wider than a factor `WIDE`.
    """
    return f"{spread} {mode} {'wide' if wide else 'narrow'}"
