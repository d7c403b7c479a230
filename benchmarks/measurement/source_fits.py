# Licensed under a 3-clause BSD style license - see LICENSE
"""Positions and fluxes beside Gammapy likelihood fits of the same sources, and the time of both.

Simulated fields of 10 deg; the fits start at the same positions with position, index and level free, and know
the sources that the TS map found.
"""

import time

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets
from gammapy.modeling import Fit
from gammapy.modeling.models import (
    FoVBackgroundModel,
    Models,
)

from gammapy_asid import DLFluxEstimator, DLSourceDetector
from gammapy_asid.evaluation import ts_map_candidates
from gammapy_asid.inputs import LAT_BANDS, to_band_cube
from gammapy_asid.simulation import analytic_emission, draw_sky, simulate_dataset

from ..common import arguments, rows_to_markdown, write
from ..gammapy_fits import point_source

__all__ = ["fit_source"]

NEEDS = "ten minutes"

#: Galactic positions of the fields in deg.
CENTERS = ((80, 35), (200, -15), (310, 8))
WIDTH = 10
#: Faintest true source, 1-100 GeV, that is fitted.
FAINTEST = 3e-10
RADIUS = 0.3
#: Side of the region of a fit, and reach of the neighbours in it, in deg.
FIT_WIDTH, REACH = 5, 3
RANGE = 1 * u.GeV, 100 * u.GeV


def fit_source(dataset, position, others):
    """Fit of one source with free position and power law, the others and the background free in level.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data of the field; left unchanged.
    position : `~astropy.coordinates.SkyCoord`
        Start position.
    others : `~astropy.coordinates.SkyCoord`
        Known neighbours.

    Returns
    -------
    position : `~astropy.coordinates.SkyCoord`
        Fitted position.
    flux : float
        Photon flux 1-100 GeV in cm-2 s-1.
    success : bool
        Whether the fit converged.
    """
    cutout = dataset.cutout(position, FIT_WIDTH * u.deg, name="cutout")
    distance = others.separation(position).deg
    neighbours = others[(distance < REACH) & (distance > RADIUS)]
    own = _model(position, free=True)
    models = [FoVBackgroundModel(dataset_name=cutout.name), own]
    cutout.models = Models([*models, *(_model(p, free=False) for p in neighbours)])
    result = Fit().optimize(Datasets([cutout]))
    return own.position, own.spectral_model.integral(*RANGE).to_value("cm-2 s-1"), bool(result.success)


def _model(position, free):
    model = point_source(position.galactic, 1e-9 * u.Unit("cm-2 s-1"), RANGE, reach=1 if free else None)
    model.spectral_model.index.frozen = not free
    return model


def run_field(center, detector, estimator, seed, limit):
    """Detected sources of one field, estimated both ways; rows and seconds."""
    rng = np.random.default_rng(seed)
    center = SkyCoord(*center, unit="deg", frame="galactic")
    catalog = draw_sky(rng)
    dataset = simulate_dataset(center, (WIDTH, WIDTH) * u.deg, catalog, analytic_emission(0), rng=rng)
    peaks = ts_map_candidates(dataset, kernel_width="3 deg", min_distance="0.3 deg", image=False, n_jobs=2)
    known = SkyCoord(peaks["ra"], peaks["dec"])
    candidates = detector.run(dataset)
    fluxes = estimator.run(dataset, candidates)
    seconds = {"fit": 0.0, "fits": 0}

    sky = catalog.positions
    near = sky.separation(center).deg < WIDTH
    sky, flux = sky[near], catalog.flux(1, 100)[near]
    rows = []
    for i, position in enumerate(candidates.positions):
        distance = sky.separation(position).deg
        own = int(np.argmax(np.where(distance < RADIUS, flux, 0)))
        inside = dataset.counts.geom.to_image().contains(sky[own])[0]
        if distance[own] > RADIUS or flux[own] < FAINTEST or not inside or len(rows) >= limit:
            continue
        start = time.perf_counter()
        fitted, fit_flux, success = fit_source(dataset, position, known)
        seconds["fit"] += time.perf_counter() - start
        seconds["fits"] += 1
        others = np.delete(sky.separation(sky[own]).deg, own)
        crowded = bool(((others < 1) & (np.delete(flux, own) > 0.2 * flux[own])).any())
        rows.append(
            {
                "flux": float(flux[own]),
                "crowded": crowded,
                "success": success,
                "offset": float(distance[own]),
                "fit offset": float(fitted.separation(sky[own]).deg),
                "ratio": float(fluxes.table["flux"][i].to_value("cm-2 s-1") / flux[own]),
                "fit ratio": float(fit_flux / flux[own]),
            }
        )
    return rows, seconds


def throughput(model, width=20):
    """Candidates a second whose position is refined and whose flux is estimated, in a wide field."""
    rng = np.random.default_rng(9)
    center = SkyCoord(80, 35, unit="deg", frame="galactic")
    dataset = simulate_dataset(center, (width, width) * u.deg, draw_sky(rng), analytic_emission(0), rng=rng)
    plain, refined = (DLSourceDetector(model, threshold=0.1, refine=refine) for refine in (False, True))
    estimator = DLFluxEstimator(model, *RANGE)
    candidates = refined.run(dataset)
    seconds = []
    for run in (
        lambda: plain.run(dataset),
        lambda: refined.run(dataset),
        lambda: estimator.run(dataset, candidates),
        lambda: to_band_cube(dataset, LAT_BANDS),
    ):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        seconds.append(min(times))
    detection, refinement, flux, cube = seconds
    # The estimator makes the band cube anew, which belongs to no source.
    return len(candidates), len(candidates) / (refinement - detection + flux - cube)


def summary(rows):
    """Rows of the table: offsets and fluxes of isolated and of crowded sources."""
    table = []
    for kind in (False, True):
        own = [row for row in rows if row["crowded"] == kind]
        for name, prefix in (("ensembles", ""), ("Gammapy fit", "fit ")):
            offset, ratio = (np.array([row[prefix + key] for row in own]) for key in ("offset", "ratio"))
            log_ratio = np.log(np.maximum(ratio, 1e-3))
            table.append(
                [
                    "crowded" if kind else "isolated",
                    name,
                    f"{len(own)}",
                    f"{np.median(offset):.3f}",
                    f"{np.quantile(offset, 0.68):.3f}",
                    f"{np.median(ratio):.3f}",
                    f"{np.quantile(np.abs(log_ratio - np.median(log_ratio)), 0.68):.3f}",
                ]
            )
    return table


def parser():
    """Arguments."""
    own = arguments(__doc__, "source_fits", model="lat")
    own.add_argument("--limit", type=int, default=8, help="fits in a field")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    detector = DLSourceDetector(model=args.model)
    estimator = DLFluxEstimator(args.model, *RANGE)
    rows, times = [], []
    for seed, center in enumerate(CENTERS):
        found, seconds = run_field(center, detector, estimator, seed, args.limit)
        rows, times = rows + found, [*times, seconds]
    n, rate = throughput(args.model)
    total = {name: sum(seconds[name] for seconds in times) for name in times[0]}
    header = ["sources", "method", "n", "offset 50 % (deg)", "68 %", "median flux ratio"]
    a_fit = total["fit"] / total["fits"]
    text = rows_to_markdown([*header, "scatter of ln flux"], summary(rows)) + "\n"
    failed = sum(not row["success"] for row in rows)
    text += f"{failed} of {len(rows)} fits did not converge; one takes {a_fit:.1f} s. Position and flux of "
    text += f"{n} candidates of a field of 20 deg: {rate:.0f} a second, {a_fit * rate:.0f} times as fast.\n"
    write(args.output, {"rows": rows, "seconds": total, "candidates a second": rate}, text)


if __name__ == "__main__":
    main()
