# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidate lists judged against one truth."""

import numpy as np

from ..utils.arguments import check_kind, check_number
from .lists import CandidateList
from .matching import Matches, match_brightest, match_optimal
from .metrics import purity_recall
from .region import chance_share, describe_sample, on_valid_data
from .results import Evaluation, ListResult
from .thresholds import optimal_matched, threshold_curve
from .truth import FLUX_4FGL, RANGE_4FGL, Truth

__all__ = ["evaluate_lists"]


def evaluate_lists(
    truth, lists, datasets=None, radius=0.3, purity=0.9, flux_min=0.0, faint=None, latitude=(0.0, 90.0)
):
    """Judge candidate lists against a truth.

    Sources outside the region are left out. Candidates outside it are, too, unless they are real by a
    source inside; and candidates inside that are real by a source beyond the edge: they tell neither of
    purity nor of completeness. A candidate near a source that is too faint to count is a fake.

    Parameters
    ----------
    truth : `~gammapy_asid.evaluation.Truth`
        True sources.
    lists : sequence of `~gammapy_asid.evaluation.CandidateList`
        Candidates, of labels that differ.
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`, optional
        Data that were searched: the region is where they are valid. By default all of the tables.
    radius : float
        Largest distance of a candidate from its source in deg.
    purity : float
        Working threshold of each list: the lowest where this purity is reached; 0 for the whole list.
    flux_min : float
        Flux in cm-2 s-1 below which true sources do not count.
    faint : tuple of float, optional
        Range of flux of the sources called faint; by default below the threshold of 4FGL-DR4, or
        below the median where fluxes are not 1-100 GeV.
    latitude : tuple of float
        Range of the absolute value of the Galactic latitude in deg.

    Returns
    -------
    evaluation : `Evaluation`
        Numbers and matches.

    Raises
    ------
    ValueError
        If there is no true source in the region, or settings or labels make no sense.
    """
    check_kind("truth", truth, Truth)
    check_kind("lists", lists, (list, tuple))
    for listed in lists:
        check_kind("Each of lists", listed, CandidateList)
    _check_settings(lists, radius, purity, flux_min, faint, latitude)

    def inside(rows):
        own = (np.abs(rows.lat) >= latitude[0]) & (np.abs(rows.lat) <= latitude[1])
        return own if datasets is None else own & on_valid_data(datasets, rows.positions)

    in_region = inside(truth)
    counts = in_region & (truth.flux >= flux_min)
    if not counts.any():
        raise ValueError(_no_truth(truth, in_region))
    sample = truth.select(counts)
    if faint is None:
        is_4fgl = np.allclose(truth.energy_range, RANGE_4FGL)
        faint = (0.0, FLUX_4FGL if is_4fgl else float(np.median(sample.flux)))
    beyond, too_faint = truth.select(~in_region), truth.select(in_region & ~counts)
    results = []
    for listed in lists:
        chosen = listed.select(np.argsort(-listed.score, kind="stable"))
        matches = _match(chosen, sample, radius)
        # At the edge either of a candidate and its source may be beyond: these tell of neither
        # purity nor completeness, unless the source counts.
        keep = matches.is_matched | (inside(chosen) & ~_match(chosen, beyond, radius).is_matched)
        if not keep.all():
            chosen = chosen.select(keep)
            matches = Matches(matches.true_index[keep], matches.separation[keep], matches.n_true)
        n_left_out = len(listed) - len(chosen)
        results.append(
            _judge(chosen, matches, sample, too_faint, radius, purity, faint, n_left_out, datasets, latitude)
        )
    settings = {
        "radius_deg": radius,
        "purity": purity,
        "flux_min": flux_min,
        "faint": tuple(faint),
        "latitude": tuple(latitude),
        "energy_range": truth.energy_range,
    }
    return Evaluation(sample, results, settings, describe_sample(truth, counts, in_region, datasets))


def _judge(chosen, matches, sample, too_faint, radius, purity, faint, n_left_out, datasets, latitude):
    curve = purity_recall(chosen.score, matches.is_matched, len(sample))
    matched = optimal_matched(
        chosen.lon, chosen.lat, chosen.score, sample.lon, sample.lat, radius, *_groups(chosen, sample)
    )
    threshold = curve.threshold_at_purity(purity)
    reaches_purity = bool(np.isfinite(threshold))
    if not reaches_purity and len(chosen):
        threshold = float(chosen.score.min())
    kept = chosen.select(chosen.score >= threshold)
    fakes = chosen.select((chosen.score >= threshold) & ~matches.is_matched)
    return ListResult(
        candidates=chosen,
        matches=matches,
        optimal=match_optimal(kept.lon, kept.lat, sample.lon, sample.lat, radius, *_groups(kept, sample)),
        curve=curve,
        optimal_curve=purity_recall(chosen.score, matched, len(sample)),
        faint=threshold_curve(chosen.score, matches, sample.flux, faint),
        threshold=threshold,
        reaches_purity=reaches_purity,
        n_left_out=n_left_out,
        n_faint_matches=int(_match(fakes, too_faint, radius).is_matched.sum()),
        chance=chance_share(chosen, sample, radius, datasets, latitude),
    )


def _check_settings(lists, radius, purity, flux_min, faint, latitude):
    labels = [listed.label for listed in lists]
    if not labels:
        raise ValueError("There is no candidate list to judge: give one or more")
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ValueError(f"Candidate lists have the label {twice!r} twice: name them apart as NAME=FILE")
    for name, value in (("matching radius", radius), ("purity", purity), ("smallest flux", flux_min)):
        check_number(f"The {name}", value)
    if not 0 < radius < 90:
        raise ValueError(f"The matching radius must be above 0 and below 90 deg, got {radius:g}")
    if not 0 <= purity <= 1:
        raise ValueError(f"The purity must be between 0 and 1, got {purity:g}")
    if flux_min < 0:
        raise ValueError(f"The smallest flux must not be negative, got {flux_min:g}")
    for name, bounds in (("faint sources", faint), ("latitudes", latitude)):
        if bounds is not None and np.shape(bounds) != (2,):
            raise ValueError(f"The range of {name} must be two numbers, got {bounds}")
        if bounds is not None and not 0 <= bounds[0] < bounds[1]:
            raise ValueError(f"The range of {name} must rise, got {bounds[0]:g} to {bounds[1]:g}")


def _no_truth(truth, in_region):
    if len(truth) == 0:
        return "The truth has no source: nothing can be judged"
    if not in_region.any():
        return f"None of the {len(truth)} true sources is in the region: check dataset and latitudes"
    return (
        f"None of the {in_region.sum()} true sources in the region is bright enough: lower the smallest flux"
    )


def _groups(candidates, truth):
    return candidates.group, truth.group


def _match(candidates, truth, radius):
    return match_brightest(
        candidates.lon,
        candidates.lat,
        candidates.score,
        truth.lon,
        truth.lat,
        truth.flux,
        radius,
        *_groups(candidates, truth),
    )
