# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection in real fields of the Fermi-LAT, against catalogues."""

import numpy as np
from astropy.coordinates import SkyCoord

from gammapy_asid import DLSourceDetector
from gammapy_asid.evaluation import match_brightest, matched_filter_candidates, ts_map_candidates

from ..common import Parts, arguments, processor_seconds, rows_to_markdown, write
from ..gammapy_fits import candidate_ts
from ..skies.catalogs import galactic_positions, load_catalog
from ..skies.real_fields import FIELDS, load_field

__all__ = ["RADIUS", "compare_to_catalog"]

NEEDS = "data, half an hour"

#: Field whose TS map takes more than ten minutes with a kernel as wide as its lowest energies need.
NO_TS_MAP = "3C 279"
#: Width of the kernel of the matched filter; elsewhere that of the TS map.
KERNEL_WIDTH = {"3C 279": "4 deg"}
#: Largest separation of a match in deg.
RADIUS = {"Galactic centre": 0.3, "Crab": 0.3, "3C 279": 0.5, "Vela": 0.3, "Galactic plane": 0.3}
#: Side of the region of a likelihood fit in deg.
FIT_WIDTH = {"3C 279": 8}


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
        sources = galactic_positions(catalog, "glon", "glat")
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
        for i in np.flatnonzero(unmatched if fit_width else [])
    ]
    return result


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
                seconds = f"{result['processor seconds']:.2f}"
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
        "processor s",
    ]
    text = rows_to_markdown(header, rows) + "\n"
    return text + rows_to_markdown(["field", "method", "glon", "glat", "score", "TS"], unmatched)


def measure(field, detector, folder, fits=True, jobs=2):
    """Results of all methods on one field, with fits of unmatched candidates if wanted."""
    dataset, results = load_field(field, folder), {}
    names = ("3FHL", "4FGL-DR4") if field == "Galactic centre" else ("4FGL-DR4",)
    catalogs = {name: load_catalog(name, dataset, folder) for name in names}
    counts_only = dataset.copy(name="counts")
    counts_only.background = None
    methods = {
        "detector": lambda: detector.run(dataset).table,
        "detector, counts only": lambda: detector.run(counts_only).table,
        "matched filter": lambda: matched_filter_candidates(dataset, KERNEL_WIDTH.get(field, "1 deg")),
    }
    if dataset.counts.geom.axes["energy"].nbin > 1:
        methods["matched filter, energies summed"] = lambda: matched_filter_candidates(
            dataset, KERNEL_WIDTH.get(field, "1 deg"), image=True
        )
    if field != NO_TS_MAP:
        methods["TS map"] = lambda: ts_map_candidates(dataset, n_jobs=jobs)
        if dataset.counts.geom.axes["energy"].nbin > 1:
            methods["TS map, 3-D"] = lambda: ts_map_candidates(dataset, image=False, n_jobs=jobs)
    for method, find in methods.items():
        start = processor_seconds()
        candidates = find()
        seconds = processor_seconds() - start
        width = FIT_WIDTH.get(field, 4) if fits else None
        results[method] = describe(candidates, catalogs, dataset, RADIUS[field], width)
        results[method]["processor seconds"] = seconds
    return results


def parser():
    """Arguments."""
    own = arguments(__doc__, "real_sky", data=True, model="lat", threshold=0.5)
    own.add_argument("--fields", nargs="+", choices=FIELDS, default=list(FIELDS), help="fields")
    own.add_argument("--no-fits", action="store_true", help="leave out the fits of unmatched candidates")
    own.add_argument("--jobs", type=int, default=2, help="processes of the TS map")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    detector = DLSourceDetector(model=args.model, threshold=args.threshold)
    parts = Parts(args.output, model=args.model, threshold=args.threshold, fits=not args.no_fits)
    # The large fields take minutes
    results = {
        f: parts(f, lambda f=f: measure(f, detector, args.data, not args.no_fits, args.jobs))
        for f in args.fields
    }
    write(args.output, results, to_markdown(results))


if __name__ == "__main__":
    main()
