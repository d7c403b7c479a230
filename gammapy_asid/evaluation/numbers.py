# Licensed under a 3-clause BSD style license - see LICENSE
"""Numbers of an evaluation, as JSON holds them."""

import numpy as np

from .metrics import binned_fraction, binomial_interval, offset_summary

__all__ = ["LATITUDE_EDGES", "LATITUDE_RANGES", "list_numbers", "plain"]

#: Edges in the absolute value of the Galactic latitude, deg.
LATITUDE_EDGES = (0, 2, 5, 10, 20, 40, 60, 90)
#: Ranges in which quantities are also given against flux, deg.
LATITUDE_RANGES = ((0, 5), (5, 20), (20, 90))


def list_numbers(evaluation, result):
    """Numbers of one list.

    Parameters
    ----------
    evaluation : `~gammapy_asid.evaluation.Evaluation`
        Evaluation.
    result : `~gammapy_asid.evaluation.ListResult`
        One of its results.

    Returns
    -------
    numbers : dict
        See `~gammapy_asid.evaluation.Evaluation.metrics`.
    """
    listed, matches, kept, found = result.candidates, result.matches, result.kept, result.found
    whole = _at(matches.is_matched, len(evaluation.truth))
    working = _at(matches.is_matched[kept], len(evaluation.truth)) | {
        "threshold": result.threshold if len(listed) else None,
        "reaches_purity": result.reaches_purity,
        "optimal_purity": _ratio(result.optimal.is_matched.sum(), kept.sum()),
        "optimal_completeness": _ratio(result.optimal.is_matched.sum(), len(evaluation.truth)),
        **offset_summary(matches.separation[kept]),
        "fakes_near_faint_sources": result.n_faint_matches,
    }
    metrics = {
        "candidates": len(listed),
        "left_out": result.n_left_out,
        "chance": result.chance,
        "whole_list": whole,
        "working_threshold": working,
        "average_precision": result.curve.average_precision,
        "average_precision_optimal": result.optimal_curve.average_precision,
        "calibration_error": result.calibration_error,
        "faint": dict(
            zip(("gained", "fakes"), result.faint.at_threshold(result.threshold), strict=True),
            true=result.faint.n_true,
        ),
        "completeness_by_flux": _binned(evaluation.truth.flux, found, evaluation.edges),
        "completeness_by_latitude": _binned(np.abs(evaluation.truth.lat), found, LATITUDE_EDGES),
        "purity_by_latitude": _binned(np.abs(listed.lat[kept]), matches.is_matched[kept], LATITUDE_EDGES),
        "positions": _coverage(evaluation.position_pit(result), {"inside_68": 0.68, "inside_95": 0.95}),
        "fluxes": _fluxes(evaluation, result),
    }
    flux = evaluation.candidate_flux(result)
    if flux is not None:
        metrics["purity_by_flux"] = _binned(flux[kept], matches.is_matched[kept], evaluation.edges)
    for name, curve in {"curve": result.curve, "optimal_curve": result.optimal_curve}.items():
        metrics[name] = {key: getattr(curve, key) for key in ("threshold", "purity", "recall")}
    metrics["faint_curve"] = {key: getattr(result.faint, key) for key in ("threshold", "gained", "fakes")}
    return metrics


def _fluxes(evaluation, result):
    """Numbers of the measured fluxes, None without any."""
    pairs, pull = evaluation.flux_pairs(result), evaluation.flux_pull(result)
    if pairs is None or len(pairs["flux"]) == 0:
        return None
    low, middle, high = np.quantile(np.log(pairs["flux"] / pairs["true"]), [0.16, 0.5, 0.84])
    return {
        "number": len(pairs["flux"]),
        "energy_range": pairs["energy_range"],
        "median_ratio": np.exp(middle),
        "log_scatter_68": (high - low) / 2,
        "pull_number": len(pull),
        "pull_mean": pull.mean() if len(pull) else None,
        "pull_std": pull.std() if len(pull) else None,
        "inside_68": np.mean(np.abs(pull) < 1) if len(pull) else None,
    }


def _at(is_matched, n_true):
    """Purity and completeness of some candidates, with 68 % intervals."""
    n_matched = int(np.sum(is_matched))
    values = {"candidates": len(is_matched), "real": n_matched}
    return values | _share("purity", n_matched, len(is_matched)) | _share("completeness", n_matched, n_true)


def _share(name, number, total):
    """A share and its 68 % interval."""
    fraction, low, high = (float(value[0]) for value in binomial_interval(number, total))
    return {name: fraction, f"{name}_low": low, f"{name}_high": high}


def _ratio(number, total):
    return number / total if total else np.nan


def _binned(value, success, edges):
    fraction, low, high = binned_fraction(value, success, edges)
    number = np.histogram(value, edges)[0]
    return {"edges": edges, "fraction": fraction, "low": low, "high": high, "number": number}


def _coverage(pit, levels):
    """Share of truths inside stated regions, with 68 % intervals; None without any."""
    if len(pit) == 0:
        return None
    values = {"number": len(pit)}
    for name, level in levels.items():
        values |= _share(name, int(np.sum(pit < level)), len(pit))
    return values


def plain(value):
    """Numbers and lists of Python; NaN and infinity, which JSON does not have, are None.

    Parameters
    ----------
    value : object
        Numbers, texts, arrays, and dicts, lists and tuples of them.

    Returns
    -------
    value : object
        What JSON holds.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
