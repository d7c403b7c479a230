# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood fits of candidates in the Galactic centre, against fits with Gammapy alone.

Run as ``python -m benchmarks.candidate_fits --output NAME``; with ``--speed 1000`` the fits of so many
positions are timed with one process and with two.
"""

import argparse
import json
import time
from pathlib import Path

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets
from gammapy.modeling import Fit
from gammapy.modeling.models import (
    FoVBackgroundModel,
    Models,
    PointSpatialModel,
    PowerLaw2SpectralModel,
    SkyModel,
)

from gammapy_asid import CandidateFitEstimator, Candidates, DLSourceDetector, IterativeSearch
from gammapy_asid.evaluation.baseline import ts_map_candidates
from gammapy_asid.likelihood import disagreements
from gammapy_asid.plots import plot_field, plot_ts_against_score

from .fields import load_field
from .real_sky import compare_to_catalog, load_catalog
from .report import rows_to_markdown
from .sky235 import data_folder

#: Side of the regions of all fits.
WIDTH = 4 * u.deg
#: Largest distance in deg to a catalogued source.
RADIUS = 0.3
#: Side of a picture of a new candidate.
PICTURE = 3 * u.deg


def gammapy_fit(dataset, candidates, index, start):
    """TS of a candidate by Gammapy's own fit, as a user writes it.

    Neighbours nearer than 1 deg have a free level, those farther away their estimated flux; the background
    is free, position and power law of the candidate too.
    """
    position, table = candidates.positions[index], candidates.table
    cutout = dataset.cutout(position, WIDTH, name="cutout")
    energy = dataset.counts.geom.axes["energy"].edges.to("GeV")

    def source(i, place):
        flux = candidates.to_models()[int(i)].spectral_model.integral(energy[0], energy[-1])
        spectrum = PowerLaw2SpectralModel(
            amplitude=flux.to("cm-2 s-1"), index=2.3, emin=energy[0], emax=energy[-1]
        )
        spectrum.amplitude.min, spectrum.index.min, spectrum.index.max = 0, 0, 6
        shape = PointSpatialModel.from_position(place)
        for angle in (shape.lon_0, shape.lat_0):
            # Without bounds the first step of Minuit leaves the field
            angle.min, angle.max = angle.value - 0.5, angle.value + 0.5
        return SkyModel(spectrum, shape, name=table["name"][i])

    known = [FoVBackgroundModel(dataset_name=cutout.name)]
    inside = cutout.counts.geom.to_image().contains(candidates.positions)
    for other in np.flatnonzero(inside):
        if other != index:
            model = source(other, candidates.positions[other])
            model.parameters.freeze_all()
            distance = candidates.positions[other].separation(position)
            model.spectral_model.amplitude.frozen = distance > 1 * u.deg
            known.append(model)
    cutout.models = Models(known)
    without = Fit().optimize(Datasets([cutout])).total_stat
    cutout.models = Models([*known, source(index, start)])
    return without - Fit().optimize(Datasets([cutout])).total_stat


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


def new_candidates(fitted, catalogs):
    """Rows of significant candidates without a catalogued source, and the nearest one of 4FGL-DR4."""
    catalog = catalogs["4FGL-DR4"]
    sources = SkyCoord(catalog["glon"], catalog["glat"], unit="deg", frame="galactic")
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


def save_pictures(path, dataset, fitted, new, catalogs):
    """A cutout of the field around each new candidate."""
    catalog = catalogs["4FGL-DR4"]
    sources = SkyCoord(catalog["glon"], catalog["glat"], unit="deg", frame="galactic")
    columns = min(3, max(1, len(new)))
    rows = max(1, -(-len(new) // columns))
    figure = plt.figure(figsize=(4.6 * columns, 4.2 * rows), layout="constrained")
    for panel, entry in enumerate(new, start=1):
        cutout = dataset.cutout(fitted.positions[entry["row"]], PICTURE, name="cutout")
        ax = figure.add_subplot(rows, columns, panel, projection=cutout.counts.geom.wcs)
        inside = cutout.counts.geom.to_image().contains(fitted.positions)
        plot_field(fitted[inside], cutout, ax=ax, catalog=sources)
        ax.set_title(f"{entry['name']}, score {entry['score']:.2f}, TS {entry['ts']:.0f}", fontsize=9)
    figure.savefig(path, dpi=100)
    plt.close(figure)


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


def main(args=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="data folder, by default GAMMAPY_ASID_DATA")
    parser.add_argument("--model", default="lat")
    parser.add_argument("--threshold", type=float, default=0.3)
    parser.add_argument("--speed", type=int, default=0, help="number of positions to time")
    parser.add_argument("--output", default="candidate_fits")
    args = parser.parse_args(args)

    folder, output = data_folder(args.data), Path(args.output)
    dataset = load_field("Galactic centre", folder)
    start = time.perf_counter()
    detector = DLSourceDetector(model=args.model, threshold=args.threshold)
    fitted = IterativeSearch(detector, fits=CandidateFitEstimator(width=WIDTH)).run(dataset)
    seconds = time.perf_counter() - start
    fitted.write(output.with_suffix(".fits"), overwrite=True)
    catalogs = {name: load_catalog(name, dataset, folder) for name in ("3FHL", "4FGL-DR4")}
    peaks = ts_map_candidates(dataset)
    own, classical = (
        compare_to_catalog(t, catalogs["3FHL"], RADIUS).pred_index >= 0 for t in (fitted.table, peaks)
    )
    results = {
        "search": fitted.meta["search"],
        "seconds": seconds,
        "3FHL": {
            "sources": len(own),
            "found": int(own.sum()),
            "found by TS map": int(classical.sum()),
            "lost": catalogs["3FHL"]["name"][classical & ~own].tolist(),
        },
        "fits": compare_fits(dataset, fitted),
        "new": new_candidates(fitted, catalogs),
        "disagreements": len(disagreements(fitted)),
    }
    save_pictures(output.with_name(f"{output.name}_new.png"), dataset, fitted, results["new"], catalogs)
    plot_ts_against_score(fitted).figure.savefig(output.with_name(f"{output.name}_score.png"), dpi=120)
    if args.speed:
        results["speed"] = speed(dataset, fitted, args.speed)
    output.with_suffix(".json").write_text(json.dumps(results, indent=1))
    output.with_suffix(".md").write_text(to_markdown(results))
    print(to_markdown(results))


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


if __name__ == "__main__":
    main()
