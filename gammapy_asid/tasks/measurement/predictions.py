# Licensed under a 3-clause BSD style license - see LICENSE
"""What an ensemble predicts for simulated sources, beside the truth."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch

from ...learning.ensembles import Moments, ensemble_moments
from ...utils.devices import inference
from .calibration import (
    FLUX_LEVELS,
    MODES,
    SPREADS,
    WIDE,
    calibration_key,
    flux_quantiles,
    flux_significance,
    flux_variables,
)
from .features import fitted_significance

__all__ = ["FluxPredictions", "position_errors", "predict_fluxes", "significances"]


@inference()
def _predict(ensemble, inputs, chunk=4096):
    """Moments of the predictions, computed in parts."""
    device = next(ensemble.parameters()).device
    parts = [ensemble_moments(*ensemble(part.to(device))) for part in inputs.split(chunk)]
    columns = zip(*(vars(p).values() for p in parts), strict=True)
    return Moments(*(torch.cat(column).cpu() for column in columns))


def position_errors(ensemble, sources):
    """Deviations of refined positions from the truth, and their stated covariance.

    Parameters
    ----------
    ensemble : `~gammapy_asid.learning.ensembles.Ensemble`
        Ensemble for positions.
    sources : `~gammapy_asid.tasks.measurement.simulator.SimulatedSources`
        Sources.

    Returns
    -------
    delta : `~numpy.ndarray`
        True minus refined position in deg, shape ``(n, 2)``.
    covariance : `~numpy.ndarray`
        In deg2, shape ``(n, 2, 2)``.
    variables : tuple of `~numpy.ndarray`
        What the calibration depends on: the predicted error in deg and the significance of the fit.
    """
    moments = _predict(ensemble, sources.features.flat())
    unit = sources.features.scale * sources.pixel_size
    delta = sources.offset * sources.pixel_size[:, None] - moments.mean * unit[:, None]
    covariance = moments.covariance * unit[:, None, None] ** 2
    delta, covariance = delta.double().numpy(), covariance.double().numpy()
    # One image of residuals per band.
    significance = fitted_significance(sources.features, len(sources.features.images)).double().numpy()
    return delta, covariance, (np.linalg.det(covariance) ** 0.25, significance)


@dataclass
class FluxPredictions:
    """Fluxes of sources in one range of energies, as an ensemble predicts them; arrays of shape ``(n,)``.

    Parameters
    ----------
    moments : `~gammapy_asid.learning.ensembles.Moments`
        Predictions on the learned scale.
    start, width, log_unit : `~numpy.ndarray`
        That scale, see `~gammapy_asid.stats.flux_scale.FluxScale`.
    true : `~numpy.ndarray`
        True flux on the scale ``asinh(F / 2 s)``, 0 at empty places.
    wide : `~numpy.ndarray`
        Whether the range of energies is wider than a factor `WIDE`.
    """

    moments: Moments
    start: np.ndarray
    width: np.ndarray
    log_unit: np.ndarray
    true: np.ndarray
    wide: np.ndarray

    def pulls(self, spread):
        """Deviations from the truth.

        Parameters
        ----------
        spread : {"mean-variance", "ensemble"}
            Way to the uncertainty.

        Returns
        -------
        pull : `~numpy.ndarray`
            In units of the predicted spread.
        variables : tuple of `~numpy.ndarray`
            What the calibration depends on, see `~gammapy_asid.tasks.measurement.calibration.flux_variables`.
        """
        variance = self.moments.covariance if spread == SPREADS[0] else self.moments.epistemic
        mean, variance = (v.double().numpy() for v in (self.moments.mean[:, 0], variance[:, 0, 0]))
        centre, sigma = self.start + mean * self.width, np.sqrt(variance) * self.width
        return (self.true - centre) / sigma, flux_variables(centre, sigma, self.log_unit)

    def quantiles(self, calibration, given, spread, zero):
        """Calibrated fluxes, see `~gammapy_asid.tasks.measurement.calibration.flux_quantiles`.

        Parameters
        ----------
        calibration : dict
            Calibration of a card.
        given : `~numpy.ndarray`
            Whether the position was given, bool.
        spread : {"mean-variance", "ensemble"}
            Way to the uncertainty.
        zero : `~numpy.ndarray`
            Whether the intervals of 68 % and of 95 % begin at zero where the position was given, bool of
            shape ``(2, n)``.
        """
        result = np.full((len(self.true), len(FLUX_LEVELS)), np.nan)
        for mode, wide in product(MODES, (False, True)):
            own = (given == (mode == "given")) & (self.wide == wide)
            moments = Moments(*(value[torch.from_numpy(own)] for value in vars(self.moments).values()))
            key = calibration_key(spread, mode, wide)
            scale = (self.start[own], self.width[own], self.log_unit[own])
            of_given = zero[:, own] if mode == "given" else None
            result[own] = flux_quantiles(calibration, key, moments, spread, *scale, zero=of_given)
        return result


def significances(ensemble, sources, responses, chunk=4096):
    """Significances of simulated sources, see `flux_significance`.

    Parameters
    ----------
    ensemble : `~gammapy_asid.learning.ensembles.Ensemble`
        Ensemble for fluxes.
    sources : `~gammapy_asid.tasks.measurement.simulator.SimulatedSources`
        Sources.
    responses : list of `~gammapy_asid.inputs.Response`
        Instruments of the simulation.
    chunk : int
        Sources in a part.

    Returns
    -------
    significance : `~numpy.ndarray`
        Shape ``(n,)``, NaN for detected sources.
    """
    result = np.full(len(sources), np.nan)
    for instrument, response in enumerate(responses):
        own = torch.nonzero(sources.given & (sources.instrument == instrument))[:, 0]
        for part in own.split(chunk):
            features = sources.features.select(part).to(next(ensemble.parameters()).device)
            result[part.numpy()] = flux_significance(ensemble, features, response)
    return result


def predict_fluxes(ensemble, sources, which):
    """Fluxes of an ensemble for simulated sources.

    Parameters
    ----------
    ensemble : `~gammapy_asid.learning.ensembles.Ensemble`
        Ensemble for fluxes.
    sources : `~gammapy_asid.tasks.measurement.simulator.SimulatedSources`
        Sources.
    which : int
        Range of energies.

    Returns
    -------
    predictions : `FluxPredictions`
        Predictions.
    """
    inputs = torch.cat([sources.features.flat(), sources.range_inputs[:, which]], 1)
    start, width, coordinate, log_unit = (
        getattr(sources, f"range_{name}")[:, which].double().numpy()
        for name in ("start", "width", "coordinate", "log_unit")
    )
    true = np.where(sources.empty.numpy(), 0.0, np.maximum(start + coordinate * width, 1e-6))
    energies = sources.range_inputs[:, which, :2].numpy()
    return FluxPredictions(
        _predict(ensemble, inputs),
        start,
        width,
        log_unit,
        true,
        energies[:, 1] - energies[:, 0] > np.log(WIDE),
    )
