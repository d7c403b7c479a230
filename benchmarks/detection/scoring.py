# Licensed under a 3-clause BSD style license - see LICENSE
"""Numbers of the benchmark of Panes et al. 2021 (A&A 656, A62) for a list of predictions."""

import numpy as np

from gammapy_asid.evaluation import (
    PurityRecall,
    deduplicate_overlaps,
    match_brightest,
    match_optimal,
    offset_summary,
    purity_recall,
)
from gammapy_asid.evaluation.matching import near_pairs
from gammapy_asid.learning.score_calibration import expected_calibration_error

__all__ = ["BRIGHT", "PURITIES", "cuts", "found_sources", "match", "purity_at", "score_predictions"]

#: Purities at which the recall is given; the last is that of the published network.
PURITIES = (0.95, 0.90, 0.878)

#: Flux S1 in cm-2 s-1 above which offsets are given apart.
BRIGHT = 4.5e-10

#: Largest distance in deg of a double from the source that another prediction claims: the match radius.
DOUBLE_RADIUS = 0.3


def cuts(flux, lat):
    """True sources of each column of the table: name and boolean array."""
    high, low = np.abs(lat) > 20, np.abs(lat) < 5
    return {
        "S1>1e-10": flux > 1e-10,
        "S1>2e-10": flux > 2e-10,
        "S1>4.5e-10": flux > 4.5e-10,
        "abs(b)>20 S1>2e-10": high & (flux > 2e-10),
        "abs(b)<5 S1>1e-9": low & (flux > 1e-9),
    }


def match(sky, table):
    """Matches of predictions with all true sources, as published."""
    return match_brightest(
        table["lon"],
        table["lat"],
        table["score"],
        *(sky.lon, sky.lat, sky.flux),
        pred_group=table["patch"],
        true_group=sky.patch,
    )


def score_predictions(sky, table, patches=None):
    """All numbers of the benchmark for a list of predictions.

    Parameters
    ----------
    sky : `~benchmarks.skies.sky235.Sky`
        The sky.
    table : `~astropy.table.Table`
        Predictions: ``patch``, Galactic ``lon`` and ``lat`` in deg and ``score``, any monotone quantity, a
        probability for the calibration error.
    patches : array-like of int, optional
        Patches that were searched; default is all.

    Returns
    -------
    result : dict
        ``average_precision``, ``calibration_error`` (None for scores that are no
        probability), for each purity and for all predictions (key ``all``) the numbers
        of `_at_threshold`, and the ``curve``.
    """
    patch, lon, lat, score = (np.asarray(table[name]) for name in ("patch", "lon", "lat", "score"))
    searched = np.isin(sky.patch, np.arange(sky.n_patches) if patches is None else patches)
    truth = {name: getattr(sky, name)[searched] for name in ("patch", "lon", "lat", "flux", "true_id")}
    matches = match_brightest(
        lon,
        lat,
        score,
        truth["lon"],
        truth["lat"],
        truth["flux"],
        pred_group=patch,
        true_group=truth["patch"],
    )
    curve = purity_recall(score, matches.is_matched, matches.n_true)
    is_probability = len(score) and score.min() >= 0 and score.max() <= 1
    result = {
        "n_true": matches.n_true,
        "average_precision": curve.average_precision,
        "calibration_error": expected_calibration_error(score, matches.is_matched)
        if is_probability
        else None,
    }
    thresholds = {f"{purity:g}": curve.threshold_at_purity(purity) for purity in PURITIES}
    thresholds["all"] = score.min() if len(score) else np.inf
    for name, threshold in thresholds.items():
        result[name] = _at_threshold(sky, truth, matches, curve, patch, lon, lat, score, threshold)
    result["curve"] = {name: getattr(curve, name).tolist() for name in ("threshold", "purity", "recall")}
    return result


def _at_threshold(sky, truth, matches, curve, patch, lon, lat, score, threshold):
    """Numbers at one threshold: purity, recall, recalls in cuts, offsets, other ways to match."""
    found = matches.true_score(score) >= threshold
    purity, recall = curve.at_threshold(threshold)
    result = {"threshold": float(threshold), "purity": purity, "recall": recall}
    for name, cut in cuts(truth["flux"], truth["lat"]).items():
        result[name] = float(found[cut].mean()) if cut.any() else np.nan
    kept = score >= threshold
    result |= offset_summary(matches.separation[kept])
    claimed = matches.is_matched & kept
    bright = np.flatnonzero(claimed)[truth["flux"][matches.true_index[claimed]] > BRIGHT]
    result |= {f"bright {k}": v for k, v in offset_summary(matches.separation[bright]).items()}

    false = np.flatnonzero(kept & ~matches.is_matched)
    sources = {name: value[found] for name, value in truth.items()}
    result |= _doubles(sky, sources, patch[false], lon[false], lat[false])

    optimal = match_optimal(
        lon[kept], lat[kept], truth["lon"], truth["lat"], pred_group=patch[kept], true_group=truth["patch"]
    )
    result["optimal purity"], result["optimal recall"] = _fractions(optimal)
    once = np.flatnonzero(kept)
    once = once[
        deduplicate_overlaps(lon[kept], lat[kept], score[kept], patch[kept], sky.center_lon, sky.center_lat)
    ]
    _, first = np.unique(truth["true_id"], return_index=True)
    position = truth["lon"][first], truth["lat"][first]
    unique = match_brightest(lon[once], lat[once], score[once], *position, truth["flux"][first])
    result["once purity"], result["once recall"] = _fractions(unique)
    return result


def _doubles(sky, sources, patch, lon, lat):
    """Number of false predictions, share that lies on a found source, and that of their mirror images."""
    x, y = sky.sky_to_pixel(patch, lon, lat)
    last = sky.components.shape[-1] - 1
    places = [(lon, lat)]
    for place in ((last - x, y), (x, last - y), (last - x, last - y)):
        places.append(sky.pixel_to_sky(patch, *place))
    share = []
    for place in places:
        false, _, _ = near_pairs(
            *place, sources["lon"], sources["lat"], DOUBLE_RADIUS, patch, sources["patch"]
        )
        share.append(len(np.unique(false)) / max(len(patch), 1))
    return {"false": len(patch), "doubles": share[0], "doubles by chance": float(np.mean(share[1:]))}


def _fractions(matches):
    """Purity and recall of all predictions."""
    found = matches.is_matched
    return float(found.mean()) if len(found) else np.nan, float(found.sum() / matches.n_true)


def found_sources(sky, table, threshold):
    """Which true sources predictions at or above a threshold find, shape ``(n_true,)``."""
    return match(sky, table).true_score(table["score"]) >= threshold


def purity_at(result, threshold):
    """Purity at a threshold, from the curve of `score_predictions`."""
    curve = PurityRecall(**{name: np.array(value) for name, value in result["curve"].items()})
    return curve.at_threshold(threshold)[0]
