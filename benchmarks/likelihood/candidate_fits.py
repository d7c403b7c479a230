# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood fits of candidates in the Galactic centre, against fits with Gammapy alone.

With ``--speed 1000`` the fits of so many positions are timed with one process and with two.
"""

import json
import time

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets
from gammapy.maps import Map
from gammapy.modeling import Fit
from gammapy.modeling.models import (
    FoVBackgroundModel,
    Models,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)

from gammapy_asid import CandidateFitEstimator, Candidates, DLSourceDetector, IterativeSearch
from gammapy_asid.evaluation import matched_filter_candidates, ts_map_candidates
from gammapy_asid.likelihood import disagreements
from gammapy_asid.likelihood.region import MARGIN
from gammapy_asid.plots import plot_field, plot_ts_against_score

from ..common import arguments, file_of, rows_to_markdown, write
from ..detection.real_sky import compare_to_catalog
from ..gammapy_fits import point_source
from ..skies.catalogs import galactic_positions, load_catalog
from ..skies.real_fields import load_field

NEEDS = "data, minutes"

#: Side of the regions of all fits.
WIDTH = 4 * u.deg
#: Largest distance in deg to a catalogued source.
RADIUS = 0.3
#: Side of a picture of a new candidate.
PICTURE = 3 * u.deg


def gammapy_fit(dataset, candidates, index, start):
    """TS of a candidate by Gammapy's own fit, as a user writes it.

    Neighbours nearer than 1 deg have a free level, those farther away their fitted flux, all with their
    fitted spectrum; the background is free, position and power law of the candidate too. Neighbours in a
    margin around the region shine into it.
    """
    position, table = candidates.positions[index], candidates.table
    cutout = dataset.cutout(position, (1 + 2 * MARGIN) * WIDTH, name="cutout")
    fitted = Map.from_geom(dataset.counts.geom.cutout(position, WIDTH), data=True)
    cutout.mask_fit = Map.from_geom(cutout.counts.geom, dtype=bool)
    cutout.mask_fit.stack(fitted)
    energy = dataset.counts.geom.axes["energy"].edges[[0, -1]].to("GeV")

    flux = candidates.to_models()[int(index)].spectral_model.integral(*energy)
    own = point_source(start, flux, energy, index_range=(0, 6), reach=0.5, name=table["name"][index])
    known = [FoVBackgroundModel(dataset_name=cutout.name)]
    inside = cutout.counts.geom.to_image().contains(candidates.positions)
    for other in np.flatnonzero(inside):
        if other != index and (spectrum := _spectrum(candidates, other)) is not None:
            place = candidates.positions[other].galactic
            spatial = PointSpatialModel(lon_0=place.l, lat_0=place.b, frame="galactic")
            model = SkyModel(spectral_model=spectrum, spatial_model=spatial, name=table["name"][other])
            model.parameters.freeze_all()
            model.spectral_model.amplitude.frozen = place.separation(position) > 1 * u.deg
            known.append(model)
    cutout.models = Models(known)
    without = Fit().optimize(Datasets([cutout])).total_stat
    cutout.models = Models([*known, own])
    return without - Fit().optimize(Datasets([cutout])).total_stat


def _spectrum(candidates, index):
    """Fitted spectrum of a neighbour, of index 2.3 where it is too faint for one; None without a flux."""
    row = candidates.table[index]
    if row["fit_spectrum"]:
        return candidates.to_models()[int(index)].spectral_model.copy()
    if not row["fit_flux"] > 0:
        return None
    law = PowerLawSpectralModel(index=2.3)
    integral = law.integral(row["fit_e_min"], row["fit_e_max"])
    law.amplitude.quantity *= (row["fit_flux"] / integral).to_value("")
    return law


def compare_fits(dataset, fitted):
    """TS of this package, and of Gammapy's fit from the candidate's and from the fitted position."""
    rows = []
    for i, row in enumerate(fitted.table):
        if not row["ts"] >= 25:
            continue
        start = time.perf_counter()
        from_candidate = gammapy_fit(dataset, fitted, i, fitted.positions[i])
        seconds = time.perf_counter() - start
        from_fit = gammapy_fit(dataset, fitted, i, SkyCoord(row["fit_ra"], row["fit_dec"]))
        rows.append({"name": str(row["name"]), "score": float(row["score"]), "ts": float(row["ts"])})
        rows[-1] |= {"gammapy": from_fit, "gammapy from the candidate": from_candidate, "seconds": seconds}
    return rows


def new_candidates(fitted, catalog):
    """Rows of significant candidates without a catalogued source, and the nearest one of 4FGL-DR4."""
    sources = galactic_positions(catalog, "glon", "glat")
    nearest, distance, _ = fitted.positions.match_to_catalog_sky(sources)
    # Extended sources of the catalogue are found at their edges too: the picture decides
    rows = np.flatnonzero((fitted.table["ts"] >= 25) & (distance.deg > RADIUS))
    return [
        {
            "row": int(i),
            "name": str(fitted.table["name"][i]),
            "glon": float(fitted.table["glon"][i].value),
            "glat": float(fitted.table["glat"][i].value),
            "score": float(fitted.table["score"][i]),
            "ts": float(fitted.table["ts"][i]),
            "index": float(fitted.table["fit_index"][i]),
            "nearest": str(catalog["name"][nearest[i]]),
            "distance": float(distance.deg[i]),
        }
        for i in rows
    ]


def draw_new(dataset, fitted, new, catalog):
    """A cutout of the field around each new candidate."""
    sources = galactic_positions(catalog, "glon", "glat")
    rows = max(1, len(new))
    # Below each other: legend and colour bars of a field need the width
    figure = plt.figure(figsize=(9, 6.5 * rows), layout="constrained")
    for panel, entry in enumerate(new, start=1):
        cutout = dataset.cutout(fitted.positions[entry["row"]], PICTURE, name="cutout")
        ax = figure.add_subplot(rows, 1, panel, projection=cutout.counts.geom.wcs)
        inside = cutout.counts.geom.to_image().contains(fitted.positions)
        plot_field(fitted[inside], cutout, ax=ax, catalog=sources)
        ax.set_title(f"{entry['name']}, score {entry['score']:.2f}, TS {entry['ts']:.0f}", fontsize=9)
    return figure


def speed(dataset, fitted, number):
    """Seconds for many positions with one process and with two."""
    rng = np.random.default_rng(0)
    geom = dataset.counts.geom.to_image()
    y, x = (rng.uniform(0, n - 1, number) for n in geom.data_shape)
    positions = SkyCoord.from_pixel(x, y, geom.wcs)
    many = Candidates.from_positions(
        positions, np.full(number, 0.5), np.full((number, 2), 0.05) * u.deg, np.full((number, 2), 0.1) * u.deg
    )
    seconds = {}
    for n_jobs in (1, 2):
        start = time.perf_counter()
        CandidateFitEstimator(width=WIDTH, n_jobs=n_jobs).run(dataset, many, neighbours=fitted)
        seconds[n_jobs] = time.perf_counter() - start
    return {"number": number, "seconds": seconds, "speed-up": seconds[1] / seconds[2]}


def to_markdown(results):
    """Tables of the fits and of the new candidates."""
    rows = [
        [
            r["name"],
            f"{r['score']:.2f}",
            *(f"{r[n]:.2f}" for n in ("ts", "gammapy", "gammapy from the candidate")),
        ]
        for r in results["fits"]
    ]
    text = rows_to_markdown(
        ["candidate", "score", "TS", "Gammapy's TS", "from the candidate's position"], rows
    )
    rows = [
        [r["name"], *(f"{r[n]:.2f}" for n in ("glon", "glat", "score", "ts", "index")), r["nearest"]]
        + [f"{r['distance']:.2f}"]
        for r in results["new"]
    ]
    header = ["new candidate", "glon", "glat", "score", "TS", "index", "nearest 4FGL-DR4", "deg"]
    rest = {name: results[name] for name in ("search", "seconds", "3FHL", "speed") if name in results}
    return "\n".join([text, rows_to_markdown(header, rows), json.dumps(rest)]) + "\n"


def parser():
    """Arguments."""
    own = arguments(__doc__, "candidate_fits", data=True, model="lat", threshold=0.3)
    own.add_argument("--speed", type=int, default=0, help="number of positions to time")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    dataset = load_field("Galactic centre", args.data)
    start = time.perf_counter()
    detector = DLSourceDetector(model=args.model, threshold=args.threshold)
    fitted = IterativeSearch(detector, fits=CandidateFitEstimator(width=WIDTH)).run(dataset)
    seconds = time.perf_counter() - start
    fitted.write(file_of(args.output, ".fits"), overwrite=True)
    catalogs = {name: load_catalog(name, dataset, args.data) for name in ("3FHL", "4FGL-DR4")}
    peaks = ts_map_candidates(dataset), matched_filter_candidates(dataset)
    own, ts_map, matched = (
        compare_to_catalog(t, catalogs["3FHL"], RADIUS).pred_index >= 0 for t in (fitted.table, *peaks)
    )
    results = {
        "search": fitted.meta["search"],
        "seconds": seconds,
        "3FHL": {
            "sources": len(own),
            "found": int(own.sum()),
            "found by TS map": int(ts_map.sum()),
            "found by matched filter": int(matched.sum()),
            "lost": catalogs["3FHL"]["name"][(ts_map | matched) & ~own].tolist(),
        },
        "fits": compare_fits(dataset, fitted),
        "new": new_candidates(fitted, catalogs["4FGL-DR4"]),
        "disagreements": len(disagreements(fitted)),
    }
    if args.speed:
        results["speed"] = speed(dataset, fitted, args.speed)
    figures = {
        "_new": draw_new(dataset, fitted, results["new"], catalogs["4FGL-DR4"]),
        "_score": plot_ts_against_score(fitted).figure,
    }
    write(args.output, results, to_markdown(results), figures)


if __name__ == "__main__":
    main()
