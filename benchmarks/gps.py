# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection in fields of the CTAO Galactic Plane Survey, beside Gammapy's TS map.

Run as ``python -m benchmarks.gps FIELDS --output gps.json`` on the fields of `benchmarks.gps_fields`.
"""

import argparse
import json
import time
from pathlib import Path

import astropy.units as u
import numpy as np
import torch
from astropy.table import QTable, vstack
from gammapy.maps import MapAxis
from gammapy.modeling.models import Models

from gammapy_asid import DLSourceDetector
from gammapy_asid.evaluation.baseline import ts_map_candidates
from gammapy_asid.evaluation.matching import match_brightest
from gammapy_asid.evaluation.metrics import binned_fraction, offset_summary, purity_recall
from gammapy_asid.inputs.bands import Bands
from gammapy_asid.training.targets import match_radius

from .gps_fields import FIELDS, emission_model, load_field
from .report import rows_to_markdown
from .sky235 import data_folder

__all__ = ["CRAB", "find_all", "score_lists"]

#: Photon flux of the Crab nebula above 1 TeV in 1 / (cm2 s), that of the survey's sky model.
CRAB = 2.1e-11
#: Edges of the bins of flux in thousandths of the Crab's; smallest width in deg of an extended source.
EDGES, EXTENDED = (0.5, 1, 2, 5, 10, 100), 0.05
#: True sources are those that the data could show: smallest expected significance of each alone.
VISIBLE = 2.0
PURITIES = (0.95, 0.9, 0.8)
#: Edges in TeV of the bins of the TS map, whose fit is joint over energies.
TS_EDGES = (0.03, 0.1, 0.3, 1.0, 10.0, 100.0)
#: TS maps: width of the source, of the kernel, and smallest distance of peaks.
TS_MAPS = {
    "TS map, point": {"sigma": None, "kernel_width": "0.6 deg", "min_distance": "0.1 deg"},
    "TS map, 0.2 deg": {"sigma": "0.2 deg", "kernel_width": "1.2 deg", "min_distance": "0.3 deg"},
}


def find_all(dataset, model, with_ts=True):
    """Lists of candidates of the network and of the TS maps, and the time of each.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data; its models are the known sky.
    model : str or path
        Detection model.
    with_ts : bool
        Make the TS maps too.

    Returns
    -------
    lists : dict of `~astropy.table.QTable`
        Columns ``glon``, ``glat`` and ``score``.
    seconds : dict of float
        Time of each.
    """
    lists, seconds = {}, {}
    detector = DLSourceDetector(model=model, threshold=0.02, refine=False)
    start = time.time()
    lists["network"] = detector.run(dataset).table["glon", "glat", "score"]
    seconds["network"] = time.time() - start
    if not with_ts:
        return lists, seconds
    edges = dataset.counts.geom.axes["energy"].edges
    wanted = [edge for edge in TS_EDGES if np.any(np.isclose(edges.to_value("TeV"), edge))] * u.TeV
    binned = dataset.resample_energy_axis(MapAxis.from_energy_edges(wanted))
    binned.models = dataset.models
    for name, options in TS_MAPS.items():
        start = time.time()
        table = ts_map_candidates(binned, threshold=3, image=False, **options)
        lists[name] = table["glon", "glat", "score"]
        seconds[name] = time.time() - start
    return lists, seconds


def score_lists(lists, truths):
    """Purity and completeness of the lists of one method in all fields.

    Parameters
    ----------
    lists, truths : list of `~astropy.table.QTable`
        Candidates and true sources of each field, the latter as of `benchmarks.gps_fields`.

    Returns
    -------
    result : dict
        Number of true sources, average precision; at each purity threshold, completeness in bins of flux of
        points and of extended sources, numbers in them, offsets.
    """
    bands = Bands((30.0, 1e5), (0,), 0.04)
    pred = vstack([QTable(t, copy=True) for t in lists], metadata_conflicts="silent")
    pred_field = np.repeat(np.arange(len(lists)), [len(t) for t in lists])
    truths = [t[t["significance"] >= VISIBLE] for t in truths]
    true = vstack(truths, metadata_conflicts="silent")
    true_field = np.repeat(np.arange(len(truths)), [len(t) for t in truths])
    width = np.nan_to_num(true["width"].to_value("deg"))
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


def main():
    """Run all methods on all fields and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fields", help="folder of the fields, see benchmarks.gps_fields")
    parser.add_argument("--model", default="cta-gps")
    parser.add_argument("--data", help="data folder; by default that of GAMMAPY_ASID_DATA")
    parser.add_argument("--output", default="gps.json")
    parser.add_argument("--no-ts", action="store_true", help="leave the TS maps out")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folder, names = data_folder(args.data), [f"gps{lon:+d}.fits.gz" for lon in FIELDS]
    present = [lon for lon, name in zip(FIELDS, names, strict=True) if (Path(args.fields) / name).exists()]
    cases = {"emission known": {}, "emission unknown": {}}
    seconds, truths = {}, []
    for lon in present:
        dataset, truth = load_field(lon, args.fields)
        truths.append(truth)
        for case, lists in cases.items():
            known = case == "emission known"
            dataset.models = Models([emission_model(dataset.counts.geom, folder)]) if known else None
            found, times = find_all(dataset, args.model, with_ts=not args.no_ts)
            for method, table in found.items():
                lists.setdefault(method, []).append(table)
                seconds.setdefault(method, []).append(times[method])
            print(lon, case, {name: len(table) for name, table in found.items()}, times, flush=True)
    results = {
        case: {method: score_lists(tables, truths) for method, tables in lists.items()}
        for case, lists in cases.items()
    }
    results["seconds"] = {name: float(np.median(values)) for name, values in seconds.items()}
    results["fields"] = present
    Path(args.output).write_text(json.dumps(results))
    for case in cases:
        for purity in PURITIES:
            print(f"\n{case}, purity {purity}\n\n{table_of(results[case], f'{purity:g}')}")
    print(results["seconds"])


if __name__ == "__main__":
    main()
