# Licensed under a 3-clause BSD style license - see LICENSE
"""Gammapy's fits of sources of 4FGL-DR4 that start from the spectrum of their class.

Each source is simulated alone on a flat background between 0.3 and 300 GeV, with the spectrum of the
catalogue. One fit starts from ``Candidates.to_models()`` with a flux that errs by 20 %, another from the
truth: they should end at the same minimum.
"""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from gammapy.datasets import Datasets, MapDataset
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom
from gammapy.modeling import Fit
from gammapy.modeling.models import SkyModel

from gammapy_asid import Candidates, SourceClasses
from gammapy_asid.catalog import CLASSES, bounded_spectrum
from gammapy_asid.catalog.class_spectra import PULSAR, curved_spectrum
from gammapy_asid.catalog.fluxes import FLUX_UNIT, integral_flux

from ..common import arguments, rows_to_markdown, write
from ..skies.catalogs import read_catalog
from .prior import MEMBERS

NEEDS = "data, two minutes"

#: Smallest significance of a source in the catalogue: below it few have a curvature of their own.
LEAST = 8.0
#: Energies of the data.
ENERGIES = (0.3 * u.GeV, 300 * u.GeV)
#: Error of the flux that a fit starts from.
FLUX_ERROR = 0.2
#: Two fits that differ by less in the statistic are at one minimum.
SAME = 0.1


def field():
    """Field of 4.5 deg like ten years of the LAT, without sources."""
    energy = MapAxis.from_energy_bounds(*ENERGIES, 8)
    true = MapAxis.from_energy_bounds("0.2 GeV", "500 GeV", 16, name="energy_true")
    rad = MapAxis.from_bounds(0, 4, 100, unit="deg", name="rad")
    image = WcsGeom.create(skydir=SkyCoord(83, 22, unit="deg"), npix=(30, 30), binsz=0.15, proj="TAN")
    cube = image.to_cube([energy])
    level = np.geomspace(25, 0.02, 8)[:, None, None] * np.ones(cube.data_shape)
    return MapDataset(
        counts=Map.from_geom(cube),
        background=Map.from_geom(cube, data=level),
        exposure=Map.from_geom(image.to_cube([true]), unit="cm2 s", data=3.5e11),
        psf=PSFMap.from_gauss(true, rad_axis=rad, sigma=(0.5 * true.center.value**-0.8 + 0.04) * u.deg),
        edisp=EDispKernelMap.from_diagonal_response(energy, true),
        name="field",
    )


def true_spectrum(row, name):
    """Spectrum of a source of the catalogue in the terms of its class."""
    if name == PULSAR:
        index, beta = row["PLEC_IndexS"], row["PLEC_ExpfactorS"] / 2
    else:
        index, beta = row["LP_Index"], row["LP_beta"]
    law = curved_spectrum(name, index, beta, "1 cm-2 s-1 GeV-1", row["Pivot_Energy"] / 1e3 * u.GeV)
    unit_flux = integral_flux(law, 1 * u.GeV, 100 * u.GeV).to_value(FLUX_UNIT)
    law.amplitude.value *= row["Flux1000"] / unit_flux
    return bounded_spectrum(law)


def start_model(position, law, name, rng):
    """What a candidate of the class with an estimated flux gives a fit to start from."""
    axes = np.full((1, 2), 0.05) * u.deg
    flux = integral_flux(law, *ENERGIES).to(FLUX_UNIT) * rng.lognormal(0, FLUX_ERROR)
    columns = {"flux": flux.reshape(1), "e_min": ENERGIES[0].reshape(1), "e_max": ENERGIES[1].reshape(1)}
    found = Candidates.from_positions(position, [0.9], axes, 1.6 * axes).with_columns(QTable(columns))
    probability = np.append(np.array(CLASSES) == name, [0.5, 0.9]).astype(float)[None]
    one = np.ones(1, dtype=bool)
    classes = SourceClasses.from_probabilities(
        list(found.table["name"]), found.positions, probability, one, np.zeros(1, int), {}
    )
    return found.with_classes(classes).to_models()[0]


def measure(row, name, data, rng):
    """Whether a fit converged, and how much worse it ended than one from the truth."""
    law, position = true_spectrum(row, name), data.counts.geom.center_skydir.reshape(1)
    start = start_model(position, law, name, rng)
    truth = SkyModel(law, start.spatial_model.copy(), name="truth")
    data.models = [truth.copy(name="true")]
    data.fake(random_state=int(rng.integers(2**31)))
    data.models = [start]
    fit = Fit().optimize(Datasets([data]))
    data.models = [truth]
    best = Fit().optimize(Datasets([data]))
    return bool(fit.success), float(fit.total_stat - best.total_stat)


def parser():
    """Arguments."""
    own = arguments(__doc__, "class_fits", data=True, seed=2)
    own.add_argument("--sources", type=int, default=6, help="sources of each class")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    table, data, rng = read_catalog("4FGL-DR4", args.data), field(), np.random.default_rng(args.seed)
    class_1 = np.char.strip(np.char.lower(np.asarray(table["CLASS1"]).astype(str)))
    results = {}
    for name in CLASSES:
        index = np.ma.filled(table["PLEC_IndexS" if name == PULSAR else "LP_Index"].astype(float), np.nan)
        known = np.isin(class_1, MEMBERS[name]) & (table["Signif_Avg"] > LEAST) & np.isfinite(index)
        rows = rng.choice(np.flatnonzero(known), args.sources, replace=False)
        success, worse = zip(*(measure(table[i], name, data, rng) for i in rows), strict=True)
        results[name] = {
            "sources": len(rows),
            "converged": int(sum(success)),
            "at_the_minimum": int(np.sum(np.array(worse) < SAME)),
            "worst": max(worse),
        }
    rows = [[name, *(f"{value:.2g}" for value in own.values())] for name, own in results.items()]
    header = ["Class", "Sources", "Converged", "At the minimum from the truth", "Worst difference"]
    write(args.output, results, rows_to_markdown(header, rows))


if __name__ == "__main__":
    main()
