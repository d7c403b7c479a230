# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection in fields of the CTAO Galactic Plane Survey, beside Gammapy's TS map and a matched filter.

The fields are those of `benchmarks.skies.gps_fields`.
"""

from functools import partial
from pathlib import Path

import astropy.units as u
import numpy as np
import torch
from astropy.coordinates import SkyCoord
from astropy.table import QTable, vstack
from gammapy.maps import MapAxis
from gammapy.modeling.models import Models

from gammapy_asid import DLSourceDetector
from gammapy_asid.evaluation import (
    binned_fraction,
    match_brightest,
    matched_filter_candidates,
    offset_summary,
    purity_recall,
    ts_map_candidates,
)
from gammapy_asid.inputs import Bands
from gammapy_asid.learning.targets import match_radius
from gammapy_asid.plots import plot_field

from ..common import arguments, kept, processor_seconds, rows_to_markdown, write
from ..skies.gps_fields import FIELDS, emission_model, load_field

__all__ = ["CRAB", "EXTENDED", "PURITIES", "find_all", "score_lists"]

NEEDS = "data and the fields of benchmarks.skies.gps_fields, an hour"

#: Photon flux of the Crab nebula above 1 TeV in 1 / (cm2 s), that of the survey's sky model.
CRAB = 2.1e-11
#: Edges of the bins of flux in thousandths of the Crab's; smallest width in deg of an extended source.
EDGES, EXTENDED = (0.5, 1, 2, 5, 10, 100), 0.05
#: True sources are those that the data could show: smallest expected significance of each alone.
VISIBLE = 2.0
PURITIES = (0.95, 0.9, 0.8)
#: Field of the picture.
SHOWN = -28
#: Sources nearer than this in deg count as one.
SAME = 0.04
#: Edges in TeV of the bins of the classical methods, which test all energies together.
CLASSICAL_EDGES = (0.03, 0.1, 0.3, 1.0, 10.0, 100.0)
#: Their sources: width, that of the kernel, and smallest distance of peaks.
POINT = {"sigma": None, "kernel_width": "0.6 deg", "min_distance": "0.1 deg"}
WIDE = {"sigma": "0.2 deg", "kernel_width": "1.2 deg", "min_distance": "0.3 deg"}
#: Classical methods, functions of a dataset.
CLASSICAL = {
    "TS map, point": partial(ts_map_candidates, image=False, **POINT),
    "TS map, 0.2 deg": partial(ts_map_candidates, image=False, **WIDE),
    "matched filter, point": partial(matched_filter_candidates, **POINT),
    "matched filter, 0.2 deg": partial(matched_filter_candidates, **WIDE),
}


def network_list(dataset, model):
    """Candidates of the network and the processor time in s."""
    detector = DLSourceDetector(model=model, threshold=0.02, refine=False)
    start = processor_seconds()
    table = detector.run(dataset).table["glon", "glat", "score"]
    return table, processor_seconds() - start


def classical_list(dataset, method):
    """Peaks of one of `CLASSICAL` and the processor time in s; energies are joined to few bins before."""
    edges = dataset.counts.geom.axes["energy"].edges
    wanted = [edge for edge in CLASSICAL_EDGES if np.any(np.isclose(edges.to_value("TeV"), edge))] * u.TeV
    binned = dataset.resample_energy_axis(MapAxis.from_energy_edges(wanted))
    binned.models = dataset.models
    start = processor_seconds()
    table = CLASSICAL[method](binned, threshold=3)
    return table["glon", "glat", "score"], processor_seconds() - start


def find_all(dataset, model):
    """Lists of candidates of the network and of the classical methods, and the time of each in s.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data; its models are the known sky.
    model : str or path
        Detection model.

    Returns
    -------
    lists : dict of `~astropy.table.QTable`
        Columns ``glon``, ``glat`` and ``score``.
    seconds : dict of float
        Processor times.
    """
    found = {"network": network_list(dataset, model)}
    found |= {method: classical_list(dataset, method) for method in CLASSICAL}
    return ({k: v[0] for k, v in found.items()}, {k: v[1] for k, v in found.items()})


def score_lists(lists, truths):
    """Purity and completeness of the lists of one method in all fields.

    Parameters
    ----------
    lists, truths : list of `~astropy.table.QTable`
        Candidates and true sources of each field, the latter as of `benchmarks.skies.gps_fields`.

    Returns
    -------
    result : dict
        Number of true sources, average precision; at each purity threshold, completeness in bins of flux of
        points and of extended sources, numbers in them, offsets.
    """
    bands = Bands((30.0, 1e5), (0,), 0.04)
    pred = vstack([QTable(t, copy=True) for t in lists], metadata_conflicts="silent")
    pred_field = np.repeat(np.arange(len(lists)), [len(t) for t in lists])
    truths = [_distinct(t[t["significance"] >= VISIBLE]) for t in truths]
    true = vstack(truths, metadata_conflicts="silent")
    true_field = np.repeat(np.arange(len(truths)), [len(t) for t in truths])
    width = np.nan_to_num(true["width"].to_value("deg")).astype(float)
    flux = true["flux"].to_value("cm-2 s-1") / CRAB * 1e3
    score = np.asarray(pred["score"], float)
    matches = match_brightest(
        *(pred[name].to_value("deg") for name in ("glon", "glat")),
        score,
        *(true[name].to_value("deg") for name in ("glon", "glat")),
        flux,
        match_radius(bands, torch.tensor(width)).numpy(),
        pred_field,
        true_field,
    )
    curve = purity_recall(score, matches.is_matched, matches.n_true)
    result = {
        "n_true": matches.n_true,
        "n_candidates": len(score),
        "average_precision": float(curve.average_precision),
        "curve": {name: getattr(curve, name).tolist() for name in ("threshold", "purity", "recall")},
    }
    extended = width >= EXTENDED
    for purity in PURITIES:
        threshold = curve.threshold_at_purity(purity)
        found = matches.true_score(score) >= threshold
        entry = {"threshold": float(threshold), "completeness": float(found.mean())}
        entry["significant"] = _share(found, true["significance"] > 5)
        for name, kind in (("point", ~extended), ("extended", extended)):
            entry[name] = [v.tolist() for v in binned_fraction(flux[kind], found[kind], EDGES)]
            entry[f"{name} number"] = np.histogram(flux[kind], EDGES)[0].tolist()
            entry[f"{name} significant"] = _share(found, kind & (true["significance"] > 5))
            used = matches.pred_index[found & kind]
            entry[f"{name} offset"] = offset_summary(matches.separation[used])
        result[f"{purity:g}"] = entry
    return result


def _distinct(truth):
    """Sources without those that lie on a more significant one: a nebula in its shell is one source."""
    truth = truth[np.argsort(-truth["significance"])]
    position = SkyCoord(truth["glon"], truth["glat"], frame="galactic")
    near = position[:, None].separation(position).deg < SAME
    keep = np.ones(len(truth), dtype=bool)
    for i in range(len(truth)):
        keep[i] = not np.any(near[i, :i] & keep[:i])
    return truth[keep]


def _share(found, kind):
    """Found and number of a kind of sources."""
    return [int(np.sum(found & kind)), int(np.sum(kind))]


def table_of(results, purity="0.9"):
    """Table of completeness at one purity, a row for each method and kind of source."""
    rows = []
    for method, result in results.items():
        entry = result[purity]
        for kind in ("point", "extended"):
            row = {
                "method": method,
                "sources": kind,
                "average precision": f"{result['average_precision']:.3f}",
            }
            bins = zip(EDGES[:-1], EDGES[1:], entry[kind][0], entry[f"{kind} number"], strict=True)
            row |= {f"{low:g}-{high:g} mCrab": f"{share:.2f} of {n}" for low, high, share, n in bins}
            row["above 5 sigma"] = "{} of {}".format(*entry[f"{kind} significant"])
            row["offset 50/68 %"] = "{offset_50:.3f}/{offset_68:.3f}°".format(**entry[f"{kind} offset"])
            rows.append(row)
    return rows_to_markdown(list(rows[0]), [list(row.values()) for row in rows])


def draw_field(dataset, truth, model):
    """Picture of a field above 0.3 TeV with candidates and the true sources above 5 sigma."""
    candidates = DLSourceDetector(model=model).run(dataset)
    seen = truth[truth["significance"] > 5]
    true = SkyCoord(seen["glon"], seen["glat"], frame="galactic")
    bright = dataset.slice_by_energy(energy_min=0.3 * u.TeV, name="bright")
    return plot_field(candidates, bright, catalog=true).figure


def kept_list(dataset, method, folder):
    """Result of `classical_list`, kept in a folder because it can take long."""

    def make():
        table, table.meta["seconds"] = classical_list(dataset, method)
        return table

    path = folder / f"{dataset.name}-{method.replace(' ', '_').replace(',', '')}.ecsv"
    table = kept(path, make, QTable.write, QTable.read)
    return table, table.meta["seconds"]


def parser():
    """Arguments."""
    own = arguments(__doc__, "gps", data=True, model="cta-gps")
    own.add_argument("fields", type=Path, help="folder of the fields of benchmarks.skies.gps_fields")
    own.add_argument("--classical-only", action="store_true", help="apply the classical methods and stop")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    present = [lon for lon in FIELDS if (args.fields / f"gps{lon:+d}-truth.fits").exists()]
    lists = {name: [] for name in ("network", *CLASSICAL, "network, emission unknown")}
    seconds, truths, picture = {}, [], None
    for lon in present:
        dataset, truth = load_field(lon, args.fields)
        dataset.models = Models([emission_model(dataset.counts.geom, args.data)])
        found = {method: kept_list(dataset, method, args.fields) for method in CLASSICAL}
        if args.classical_only:
            continue
        found["network"] = network_list(dataset, args.model)
        if lon == SHOWN:
            picture = draw_field(dataset, truth, args.model)
        dataset.models = None
        found["network, emission unknown"] = network_list(dataset, args.model)
        truths.append(truth)
        for method, (table, time_used) in found.items():
            lists[method].append(table)
            seconds.setdefault(method, []).append(time_used)
        print(lon, {method: len(tables[-1]) for method, tables in lists.items()}, flush=True)
    if args.classical_only:
        return
    results = {method: score_lists(tables, truths) for method, tables in lists.items()}
    times = {method: float(np.median(values)) for method, values in seconds.items()}
    text = "\n".join(f"purity {purity}\n\n{table_of(results, f'{purity:g}')}" for purity in PURITIES)
    text += f"\nMedian seconds: {times}\n"
    write(args.output, {"fields": present, "results": results, "seconds": times}, text, picture)


if __name__ == "__main__":
    main()
