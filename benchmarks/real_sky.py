# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection in real fields of the Fermi-LAT, against catalogues.

Run as ``python -m benchmarks.real_sky --data FOLDER --model NAME --output NAME``.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from gammapy_asid import DLSourceDetector
from gammapy_asid.evaluation.baseline import ts_map_candidates
from gammapy_asid.evaluation.matching import match_brightest

from ._likelihood import candidate_ts
from .fields import FIELDS, load_field
from .report import rows_to_markdown
from .sky235 import data_folder

__all__ = ["compare_to_catalog", "load_catalog"]

#: Edges of the bands of 4FGL in GeV.
EDGES_4FGL = np.array([0.05, 0.1, 0.3, 1, 3, 10, 30, 100, 1000])
#: Field whose TS map, with a kernel of 4 deg, takes more than ten minutes.
NO_TS_MAP = "3C 279"
#: Largest separation of a match in deg.
RADIUS = {"Galactic centre": 0.3, "Crab": 0.3, "3C 279": 0.5, "Vela": 0.3, "Galactic plane": 0.3}
#: Side of the region of a likelihood fit in deg.
FIT_WIDTH = {"3C 279": 8}


def load_catalog(name, dataset, folder):
    """Sources of a catalogue inside a field.

    Parameters
    ----------
    name : str
        ``4FGL-DR4`` or ``3FHL``.
    dataset : `~gammapy.datasets.MapDataset`
        Data of the field.
    folder : path
        Data folder.

    Returns
    -------
    catalog : `~astropy.table.Table`
        Columns ``name``, ``glon``, ``glat``, ``signif`` (of the catalogue),
        ``signif_range`` (in the bands that begin within the energy range of the data) and ``assoc``.
    """
    if name == "3FHL":
        table = Table.read(folder / "gammapy-data/catalogs/fermi/gll_psch_v13.fit.gz", hdu=1)
        in_range = table["Signif_Avg"]
    else:
        table = Table.read(folder / "catalogs/4FGL_DR4_v35_slim.fits.gz", hdu=1)
        energy = dataset.counts.geom.axes["energy"].edges.to_value("GeV")
        # A tenth of tolerance: 50 GeV data take the band that begins at 30 GeV
        used = (EDGES_4FGL[1:] > 1.1 * energy[0]) & (EDGES_4FGL[:-1] < 0.9 * energy[-1])
        in_range = np.sqrt(np.nansum(table["Sqrt_TS_Band"][:, used] ** 2, axis=1))
    catalog = Table({"name": np.char.strip(table["Source_Name"].astype(str))})
    catalog["glon"], catalog["glat"] = np.asarray(table["GLON"], float), np.asarray(table["GLAT"], float)
    catalog["signif"] = np.asarray(table["Signif_Avg"], float)
    catalog["signif_range"] = np.asarray(in_range, float)
    catalog["assoc"] = np.char.strip(table["ASSOC1"].astype(str))
    position = SkyCoord(catalog["glon"], catalog["glat"], unit="deg", frame="galactic")
    return catalog[dataset.counts.geom.to_image().contains(position)]


def compare_to_catalog(candidates, catalog, radius=0.3):
    """Match candidates to a catalogue, brightest first by the significance in the range of the data.

    Parameters
    ----------
    candidates : `~astropy.table.Table`
        Columns ``glon``, ``glat`` and ``score``.
    catalog : `~astropy.table.Table`
        Sources, see `load_catalog`.
    radius : float
        Largest separation in deg.

    Returns
    -------
    matches : `~gammapy_asid.evaluation.matching.Matches`
        Matches.
    """
    lon, lat = (np.asarray(column, float) for column in (candidates["glon"], candidates["glat"]))
    score = np.asarray(candidates["score"], float)
    return match_brightest(lon, lat, score, catalog["glon"], catalog["glat"], catalog["signif_range"], radius)


def describe(candidates, catalogs, dataset, radius, fit_width):
    """Found and missed sources of each catalogue and unmatched candidates with their TS.

    A candidate without a source within the radius is unmatched; one whose source
    another candidate claims is a double.
    """
    positions = SkyCoord(candidates["glon"], candidates["glat"], unit="deg", frame="galactic")
    result = {"n_candidates": len(candidates), "catalogs": {}}
    unmatched = np.ones(len(candidates), dtype=bool)
    for name, catalog in catalogs.items():
        matches = compare_to_catalog(candidates, catalog, radius)
        found = matches.pred_index >= 0
        sources = SkyCoord(catalog["glon"], catalog["glat"], unit="deg", frame="galactic")
        near = (positions[:, None].separation(sources).deg < radius).any(axis=1)
        order = np.argsort(-np.asarray(catalog["signif_range"]), kind="stable")
        rows = catalog[order]
        rows["found"] = found[order]
        result["catalogs"][name] = {
            "n_found": int(found.sum()),
            "n_sources": len(catalog),
            "n_double": int((near & ~matches.is_matched).sum()),
            "n_unmatched": int((~near).sum()),
            "sources": {column: rows[column].tolist() for column in rows.colnames},
        }
        unmatched &= ~near
    result["unmatched"] = [
        {
            "glon": float(positions[i].l.deg),
            "glat": float(positions[i].b.deg),
            "score": float(candidates["score"][i]),
            "ts": candidate_ts(dataset, positions, i, fit_width),
        }
        for i in np.flatnonzero(unmatched)
    ]
    return result


def main(args=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="data folder, by default GAMMAPY_ASID_DATA")
    parser.add_argument("--model", default="lat")
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--fields", nargs="+", default=list(FIELDS))
    parser.add_argument("--output", default="real_sky", help="name of the JSON and Markdown files")
    args = parser.parse_args(args)

    folder, results = data_folder(args.data), {}
    detector = DLSourceDetector(model=args.model, threshold=args.threshold)
    for field in args.fields:
        dataset = load_field(field, folder)
        names = ("3FHL", "4FGL-DR4") if field == "Galactic centre" else ("4FGL-DR4",)
        catalogs = {name: load_catalog(name, dataset, folder) for name in names}
        counts_only = dataset.copy(name="counts")
        counts_only.background = None
        methods = {
            "detector": lambda data=dataset: detector.run(data).table,
            "detector, counts only": lambda data=counts_only: detector.run(data).table,
            "TS map": lambda data=dataset: ts_map_candidates(data, n_jobs=2),
        }
        if field == NO_TS_MAP:
            methods.pop("TS map")
        for method, find in methods.items():
            start = time.perf_counter()
            candidates = find()
            seconds = time.perf_counter() - start
            result = describe(candidates, catalogs, dataset, RADIUS[field], FIT_WIDTH.get(field, 4))
            results.setdefault(field, {})[method] = result | {"seconds": seconds}
        # After each field: the large ones take minutes
        output = Path(args.output)
        output.with_suffix(".json").write_text(json.dumps(results, indent=1))
        output.with_suffix(".md").write_text(to_markdown(results))
    print(to_markdown(results))


def to_markdown(results):
    """Table of fields and methods, and one of the unmatched candidates."""
    rows, unmatched = [], []
    for field, methods in results.items():
        for method, result in methods.items():
            for catalog, entry in result["catalogs"].items():
                signif, found = (np.array(entry["sources"][name]) for name in ("signif_range", "found"))
                strong = [f"{found[signif >= s].sum()}/{(signif >= s).sum()}" for s in (4, 5, 10)]
                number = str(result["n_candidates"]), f"{entry['n_found']}/{entry['n_sources']}"
                rest = str(entry["n_double"]), str(entry["n_unmatched"])
                seconds = f"{result['seconds']:.2f}"
                rows.append([field, method, catalog, *number, *strong, *rest, seconds])
            unmatched += [
                [
                    field,
                    method,
                    *(f"{row[name]:.3f}" for name in ("glon", "glat", "score")),
                    f"{row['ts']:.1f}",
                ]
                for row in result["unmatched"]
            ]
    header = [
        "field",
        "method",
        "catalogue",
        "candidates",
        "found",
        ">4 sigma",
        ">5",
        ">10",
        "double",
        "unmatched",
        "s",
    ]
    text = rows_to_markdown(header, rows) + "\n"
    return text + rows_to_markdown(["field", "method", "glon", "glat", "score", "TS"], unmatched)


if __name__ == "__main__":
    main()
