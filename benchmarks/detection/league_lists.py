# Licensed under a 3-clause BSD style license - see LICENSE
"""Ranked lists of candidates of the network and of the classical methods in a real field."""

import numpy as np
from gammapy.maps import MapAxis

from gammapy_asid.evaluation import matched_filter_candidates, ts_map_candidates

from ..common import processor_seconds
from .league_matching import NUMBERS

__all__ = ["LOWEST_SCORE", "NETWORK", "PEERS", "SETTINGS", "network_lists", "peer_lists"]

#: Score of the faintest candidates of the network, and significance of those of the classical methods: low,
#: so that lists are long enough.
LOWEST_SCORE, LOWEST_SIGMA = 0.01, 1.0
#: Smallest distance of two peaks. Of .1, .2, .3 and .5 deg it is that with which the matched filter finds
#: most real sources among its first 50 in the four fields that have files of their own.
MIN_DISTANCE = "0.5 deg"
#: Columns of a list that are kept.
COLUMNS = ("glon", "glat", "score")
#: What the lists of the classical methods depend on, in every field.
SETTINGS = {"distance": MIN_DISTANCE, "lowest": LOWEST_SIGMA, "number": max(NUMBERS)}
NETWORK = ("network", "network, counts only")
PEERS = ("TS map, 3-D", "TS map, summed", "matched filter, 3-D", "matched filter, summed")


def network_lists(detector, dataset):
    """Lists of the network by method.

    Parameters
    ----------
    detector : `~gammapy_asid.DLSourceDetector`
        Detector with a threshold of `LOWEST_SCORE`.
    dataset : `~gammapy.datasets.MapDataset`
        Data with a background or models of it.

    Returns
    -------
    lists : dict
        Columns and ``seconds`` of processor time by method.
    """
    counts_only = dataset.copy(name="counts")
    counts_only.background = counts_only.models = None
    methods = dict(zip(NETWORK, (dataset, counts_only), strict=True))
    return {name: _timed(lambda data=data: detector.run(data).table) for name, data in methods.items()}


def peer_lists(dataset, field):
    """Lists of the classical methods by method.

    Peaks in the outermost pixels stay: some are of sources outside of the field, but without them the lists
    find 4 % fewer sources.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data with a background.
    field : `~benchmarks.skies.league_fields.LeagueField`
        Settings.

    Returns
    -------
    lists : dict
        Columns and ``seconds`` of processor time by method.
    """
    grouped = _grouped(dataset, field.bins)

    def found(find, summed):
        # The matched filter has time for all energies
        own = grouped if find is ts_map_candidates else dataset
        return find(own, field.kernel, LOWEST_SIGMA, MIN_DISTANCE, image=summed)

    lists, several = {}, dataset.counts.geom.axes["energy"].nbin > 1
    for method in PEERS:
        find = ts_map_candidates if method.startswith("TS map") else matched_filter_candidates
        summed = method.endswith("summed")
        # In one bin there is nothing to sum
        alike = None if several or not summed else lists[method.replace("summed", "3-D")]
        lists[method] = alike or _timed(lambda find=find, summed=summed: found(find, summed))
    return lists


def _grouped(dataset, bins):
    """Dataset with energies in groups that begin with some of its bins."""
    if bins is None:
        return dataset
    edges = dataset.counts.geom.axes["energy"].edges
    return dataset.resample_energy_axis(MapAxis.from_energy_edges(edges[[*bins, -1]]), name=dataset.name)


def _timed(find):
    """First candidates that a method finds, and its processor time in s."""
    start = processor_seconds()
    table = find()[: max(NUMBERS)]
    columns = {name: np.asarray(getattr(table[name], "value", table[name])).tolist() for name in COLUMNS}
    return columns | {"seconds": processor_seconds() - start}
