# Licensed under a 3-clause BSD style license - see LICENSE
"""Error ellipses and fluxes of detected sources in whole fields, through the public estimators.

Fields of 20 deg at random places with the populations at full density, simulated in two ways that share no
code for sources: sources shared between pixels and convolved (`simulate_dataset`), and photon by photon
(`simulate_sky`).
"""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.maps import WcsGeom

from gammapy_asid import DLFluxEstimator, DLSourceDetector
from gammapy_asid.evaluation import match_brightest
from gammapy_asid.simulation import analytic_emission, draw_sky, simulate_dataset
from gammapy_asid.simulation.all_sky import simulate_sky

from ..common import arguments, rows_to_markdown, write

__all__ = ["match_field", "simulate_field"]

NEEDS = "half an hour"

WIDTH, MARGIN = 20, 6
SEED = 2**41
#: Faintest true source, 1-100 GeV, that a candidate may claim, and the radius.
FAINTEST, RADIUS = 5e-11, 0.3
RANGE = 1 * u.GeV, 100 * u.GeV


def simulate_field(way, seed):
    """Dataset of a field at a random place, and the sources in and around it."""
    rng = np.random.default_rng(seed)
    catalog = draw_sky(rng)
    center = SkyCoord(
        rng.uniform(0, 360), np.degrees(np.arcsin(rng.uniform(-1, 1))), unit="deg", frame="galactic"
    )
    sky = catalog.positions
    catalog = catalog.select(sky.separation(center).deg < WIDTH / np.sqrt(2) + MARGIN)
    width, emission = (WIDTH, WIDTH) * u.deg, analytic_emission(0)
    if way == "dataset":
        return simulate_dataset(center, width, catalog, emission, rng=rng), catalog
    image = WcsGeom.create(skydir=center, width=width, binsz=0.1, frame="galactic", proj="TAN")
    return simulate_sky(image, catalog, emission, rng=rng), catalog


def match_field(dataset, catalog, detector, estimator):
    """Rows of the candidates that claim a source: one dict of each."""
    candidates = detector.run(dataset)
    fluxes = estimator.run(dataset, candidates).table
    table, flux = candidates.table, catalog.flux(1, 100)
    inside = dataset.counts.geom.to_image().contains(catalog.positions)
    true = np.flatnonzero((flux > FAINTEST) & inside)
    matches = match_brightest(
        table["glon"].value,
        table["glat"].value,
        np.array(table["score"]),
        catalog.lon[true],
        catalog.lat[true],
        flux[true],
        radius=RADIUS,
    )
    rows = []
    for i in np.flatnonzero(matches.is_matched):
        own = true[matches.true_index[i]]
        place = SkyCoord(catalog.lon[own], catalog.lat[own], unit="deg", frame="galactic").icrs
        position = candidates.positions[i]
        offset, angle = position.separation(place), position.position_angle(place) - table["pos_angle"][i]
        along, across = offset * np.cos(angle), offset * np.sin(angle)
        low, high = fluxes["flux"][i] - fluxes["flux_errn"][i], fluxes["flux"][i] + fluxes["flux_errp"][i]
        row = {
            level: bool(
                np.hypot(along / table[f"semi_major_{level}"][i], across / table[f"semi_minor_{level}"][i])
                <= 1
            )
            for level in (68, 95)
        }
        ratio = float(fluxes["flux"][i].to_value("cm-2 s-1") / flux[own])
        held = bool(low.to_value("cm-2 s-1") <= flux[own] <= high.to_value("cm-2 s-1"))
        latitude = float(catalog.lat[own])
        rows.append(row | {"flux": float(flux[own]), "latitude": latitude, "ratio": ratio, "held": held})
    return rows


def summary(way, rows):
    """Rows of the table: all, both latitudes, and two ranges of flux."""
    flux, latitude = (np.array([row[name] for row in rows]) for name in ("flux", "latitude"))
    cuts = {
        "all": np.ones(len(rows), bool),
        "abs(b) > 10": np.abs(latitude) > 10,
        "abs(b) < 10": np.abs(latitude) < 10,
        "S1 2e-10-1e-9": (flux > 2e-10) & (flux < 1e-9),
        "S1 > 1e-9": flux > 1e-9,
    }
    # Candidates moved over the edge of the field have no flux.
    columns = {name: np.array([row[name] for row in rows]) for name in (68, 95, "held", "ratio")}
    return [
        [
            way,
            name,
            f"{own.sum()}",
            *(f"{columns[key][own].mean():.3f}" for key in (68, 95, "held")),
            f"{100 * (np.nanmedian(columns['ratio'][own]) - 1):+.1f} %",
        ]
        for name, own in cuts.items()
    ]


def parser():
    """Arguments."""
    own = arguments(__doc__, "source_fields", model="lat", threshold=0.5)
    own.add_argument("--fields", type=int, default=40, help="number of fields")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    detector = DLSourceDetector(model=args.model, threshold=args.threshold)
    estimator = DLFluxEstimator(args.model, *RANGE)
    table, results = [], {}
    for way in ("dataset", "photons"):
        results[way] = []
        for field in range(args.fields):
            dataset, catalog = simulate_field(way, SEED + field)
            results[way] += match_field(dataset, catalog, detector, estimator)
        table += summary(way, results[way])
    header = ["simulation", "sources", "n", "inside 68 %", "inside 95 %", "flux inside 68 %"]
    write(args.output, results, rows_to_markdown([*header, "median bias of flux"], table))


if __name__ == "__main__":
    main()
