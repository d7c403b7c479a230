# Licensed under a 3-clause BSD style license - see LICENSE
"""From simulated sources to ensembles that ship: training, calibration, metrics, card."""

from itertools import product

import numpy as np

from ...learning.interval_calibration import fit_additive, mahalanobis2
from .calibration import (
    EMPTY_LEVELS,
    FLUX_LEVELS,
    MODES,
    PARTS,
    POSITION_LEVELS,
    SPREADS,
    calibrated_quantiles,
    calibration_key,
)
from .predictions import position_errors, predict_fluxes, significances
from .training import flux_weights

__all__ = ["calibrate_flux", "calibrate_position"]


def calibrate_position(ensemble, calibration, test, responses):
    """Calibration of the position ellipses, and how they do on other simulations.

    Parameters
    ----------
    ensemble : `~gammapy_asid.learning.ensembles.Ensemble`
        Ensemble for positions.
    calibration, test : `~gammapy_asid.tasks.measurement.simulator.SimulatedSources`
        Sources for either.
    responses : list of `~gammapy_asid.inputs.Response`
        Instruments of the simulation.

    Returns
    -------
    fields : dict
        Fields ``levels``, ``calibration`` and ``metrics`` of the card.
    """
    calibration, test = (sources.select(~sources.given) for sources in (calibration, test))

    delta, covariance, variables = position_errors(ensemble, calibration)
    fitted = fit_additive(mahalanobis2(delta, covariance), variables, POSITION_LEVELS)
    rows = _named_rows("detected", fitted)
    delta, covariance, variables = position_errors(ensemble, test)
    inside = mahalanobis2(delta, covariance)[:, None] <= calibrated_quantiles(rows, "detected", variables)
    offset = np.linalg.norm(delta, axis=1)
    metrics = {
        f"coverage_{100 * level:.0f}": round(float(v), 4)
        for level, v in zip(POSITION_LEVELS, inside.mean(0), strict=True)
    }
    metrics |= {"offset_median_deg": round(float(np.median(offset)), 4), "n": len(offset)}
    return {"levels": POSITION_LEVELS, "calibration": rows, "metrics": metrics}


def calibrate_flux(ensemble, calibration, test, responses):
    """Calibration of the flux intervals, and how they do on other simulations.

    Parameters
    ----------
    ensemble : `~gammapy_asid.learning.ensembles.Ensemble`
        Ensemble for fluxes.
    calibration, test : `~gammapy_asid.tasks.measurement.simulator.SimulatedSources`
        Sources for either.
    responses : list of `~gammapy_asid.inputs.Response`
        Instruments of the simulation.

    Returns
    -------
    fields : dict
        Fields ``levels``, ``calibration``, ``empty_significance`` and ``metrics`` of the card.
    """
    nothing = significances(ensemble, calibration.select(calibration.empty), responses)
    if not len(nothing):
        raise ValueError("No empty place was simulated: simulate more patches")
    largest = np.quantile(nothing, EMPTY_LEVELS).round(4)
    rows = _flux_rows(ensemble, calibration.select(~calibration.empty))
    zero = significances(ensemble, test, responses) <= largest[:, None]
    return {
        "levels": FLUX_LEVELS,
        "calibration": rows,
        "empty_significance": tuple(largest.tolist()),
        "metrics": _flux_coverage(ensemble, rows, test, zero),
    }


def _flux_rows(ensemble, sources):
    """Entries of a card's calibration for each spread, mode and width of the range of energies."""
    fit = [predict_fluxes(ensemble, sources, i) for i in range(sources.range_coordinate.shape[1])]
    weight = flux_weights(sources.significance, sources.given).numpy()
    calibration = {}
    for spread, mode, wide in product(SPREADS, MODES, (False, True)):
        chosen = [(sources.given.numpy() == (mode == "given")) & (p.wide == wide) for p in fit]
        pulls, variables = zip(*(p.pulls(spread) for p in fit), strict=True)
        pull = _chosen(pulls, chosen)
        variables = [_chosen(columns, chosen) for columns in zip(*variables, strict=True)]
        parts = fit_additive(pull, variables, FLUX_LEVELS[:-1])
        middle = fit_additive(pull, variables, FLUX_LEVELS[-1:], weights=_chosen([weight] * len(fit), chosen))
        rows = [np.column_stack([part, extra[:, 1]]) for part, extra in zip(parts, middle, strict=True)]
        calibration |= _named_rows(calibration_key(spread, mode, wide), rows)
    return calibration


def _flux_coverage(ensemble, calibration, sources, zero):
    """Coverage of the intervals for each entry of a calibration."""
    check = [predict_fluxes(ensemble, sources, i) for i in range(sources.range_coordinate.shape[1])]
    given, metrics = sources.given.numpy(), {}
    for spread in SPREADS:
        quantiles = [p.quantiles(calibration, given, spread, zero) for p in check]
        for mode, wide in product(MODES, (False, True)):
            chosen = [(given == (mode == "given")) & (p.wide == wide) for p in check]
            own, true = _chosen(quantiles, chosen), _chosen([p.true for p in check], chosen)
            inside68, inside95 = (
                (true >= own[:, low]) & (true <= own[:, high]) for low, high in ((1, 2), (0, 3))
            )
            # Empty places apart: how many there are among the given positions is up to the user.
            for name, some in (("", true > 0), (" empty", true == 0)):
                if some.any():
                    metrics[calibration_key(spread, mode, wide) + name] = {
                        "coverage_68": round(float(inside68[some].mean()), 4),
                        "coverage_95": round(float(inside95[some].mean()), 4),
                        "n": int(some.sum()),
                    }
    return metrics


def _chosen(columns, chosen):
    """Rows of arrays, one array per range of energies."""
    return np.concatenate([column[own] for column, own in zip(columns, chosen, strict=True)])


def _named_rows(key, parts):
    """Entries of a card's calibration."""
    return {
        key + part: tuple(tuple(round(float(v), 5) for v in row) for row in rows)
        for part, rows in zip(PARTS, parts, strict=False)
    }
