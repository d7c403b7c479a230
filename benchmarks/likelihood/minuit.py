# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood fits at random positions of three fields, against Gammapy's fit with Minuit.

Positions are random, one half of them near a known source. Both sides fit the same model: the level of the
background, those of the sources within 1 deg, and a point with a power law, at the position and, where it has
a test statistic of 10, at a free one.
"""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets, MapDataset
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom
from gammapy.modeling import Fit
from gammapy.modeling.models import (
    FoVBackgroundModel,
    Models,
    PointSpatialModel,
    PowerLaw2SpectralModel,
    SkyModel,
)

from gammapy_asid import CandidateFitEstimator, Candidates, DLFluxEstimator, DLSourceDetector

from ..common import arguments, rows_to_markdown, write
from ..gammapy_fits import point_source
from ..skies.real_fields import load_field

NEEDS = "data, half an hour"

#: Side of a region and of the data around it, in which neighbours shine, in deg.
WIDTH, AROUND = 2.0, 3.0
#: Neighbours within this distance in deg have a free level.
REACH = 1.0
#: Test statistic from which a free position is compared too.
FREE_TS = 10.0
#: Agreement that is asked for: in TS, as a share or absolute, and in flux over its error.
TS_SHARE, TS_DIFFERENCE, FLUX_SIGMA = 0.01, 0.3, 0.1


def simulated(energies, unit, binsz, sigma, photons, background, name):
    """Field of 8 deg with 20 sources, the brightest 100 times the faintest, and its sources."""
    rng = np.random.default_rng(1)
    axis = MapAxis.from_energy_bounds(*energies, nbin=6, unit=unit)
    true = MapAxis.from_energy_bounds(*energies, nbin=12, unit=unit, name="energy_true")
    geom = WcsGeom.create(skydir=(80, 20), frame="icrs", width=8, binsz=binsz, proj="TAN", axes=[axis])
    width = sigma * (1 + 3 / (true.center / true.edges[0]).to_value(""))
    share = (axis.edges[:-1] / axis.edges[0]).to_value("") ** -1.4
    dataset = MapDataset(
        counts=Map.from_geom(geom),
        exposure=Map.from_geom(geom.to_image().to_cube([true]), unit="cm2 s", data=1e11),
        background=Map.from_geom(geom, data=background * share[:, None, None] * np.ones(geom.data_shape)),
        psf=PSFMap.from_gauss(true, sigma=width * u.deg),
        edisp=EDispKernelMap.from_diagonal_response(axis, true),
        name=name,
    )
    x, y = rng.uniform(5, geom.data_shape[1] - 5, (2, 20))
    positions = SkyCoord.from_pixel(x, y, geom.to_image().wcs)
    flux = photons * np.geomspace(1, 100, 20) / 1e11
    settings = {"index": 2.2, "emin": axis.edges[0], "emax": axis.edges[-1]}
    sources = [
        SkyModel(
            PowerLaw2SpectralModel(amplitude=f / u.Unit("cm2 s"), **settings),
            PointSpatialModel.from_position(place),
        )
        for f, place in zip(flux, positions, strict=True)
    ]
    dataset.models = Models([*sources, FoVBackgroundModel(dataset_name=name)])
    dataset.fake(random_state=2)
    dataset.models = None
    known = as_candidates(positions)
    known.table["flux"] = flux * u.Unit("cm-2 s-1")
    known.table["e_min"], known.table["e_max"] = axis.edges[0], axis.edges[-1]
    return dataset, known


def fields(folder):
    """Datasets by name, with their sources."""
    centre = load_field("Galactic centre", folder)
    found = DLSourceDetector(model="lat").run(centre)
    return {
        "Galactic centre": (centre, found.with_fluxes(DLFluxEstimator(model="lat").run(centre, found))),
        "like the LAT": simulated((1, 100), "GeV", 0.1, 0.1, 60, 0.5, "lat"),
        "like a Cherenkov telescope": simulated((1, 100), "TeV", 0.05, 0.04, 30, 0.3, "iact"),
    }


def as_candidates(positions):
    """Candidates at positions."""
    n = len(positions)
    errors = np.full((n, 2), 0.05) * u.deg
    return Candidates.from_positions(positions, np.full(n, 0.5), errors, 2 * errors)


def random_positions(dataset, known, number):
    """Positions in a field, one half of them within 1.5 deg of a known source."""
    rng = np.random.default_rng(3)
    image = dataset.counts.geom.to_image()
    margin = WIDTH / 2 / image.pixel_scales.to_value("deg")
    low, high = margin, np.array(image.data_shape[::-1]) - 1 - margin
    positions = []
    while len(positions) < number:
        if len(positions) % 2:
            centre = known.positions[rng.integers(len(known))]
            place = centre.directional_offset_by(rng.uniform(0, 360) * u.deg, rng.uniform(0, 1.5) * u.deg)
        else:
            place = SkyCoord.from_pixel(*rng.uniform(low, high), image.wcs)
        if np.all((np.array(place.to_pixel(image.wcs)) > low) & (np.array(place.to_pixel(image.wcs)) < high)):
            positions.append(place.icrs)
    return SkyCoord(positions)


def minuit_fit(dataset, known, position, starts, free_position):
    """Test statistic, flux and its error by Gammapy, the best of several first positions."""
    data = dataset.cutout(position, AROUND * u.deg, name="region")
    inside = data.counts.geom.to_image().cutout(position, WIDTH * u.deg)
    mask = np.zeros(data.counts.data.shape, dtype=bool)
    mask[(..., *inside.cutout_slices(data.counts.geom.to_image())["parent-slices"])] = True
    data.mask_fit = Map.from_geom(data.counts.geom, data=mask)
    energies = data.counts.geom.axes["energy"].edges[[0, -1]]
    background = FoVBackgroundModel(dataset_name=data.name)
    background.spectral_model.norm.min, background.spectral_model.norm.max = 0.1, 10

    def point(place, flux, name):
        return point_source(place.icrs, flux / u.Unit("cm2 s"), energies, index_range=(0, 6), name=name)

    models = [background]
    near = np.flatnonzero(data.counts.geom.to_image().contains(known.positions))
    for i, source in zip(near, known[near].to_models(), strict=True):
        flux = source.spectral_model.integral(*energies).to_value("cm-2 s-1")
        model = point(known.positions[i], flux, source.name)
        model.spectral_model.index.frozen = True
        far = known.positions[i].separation(position) > REACH * u.deg
        model.spectral_model.amplitude.frozen = bool(far)
        models.append(model)
    data.models = Models(models)
    without = Fit().optimize(Datasets([data])).total_stat
    best = None
    for place, flux in starts:
        model = point(place, flux, "source")
        if free_position:
            shape, stretch = model.spatial_model, np.cos(position.icrs.dec.rad)
            shape.unfreeze()
            shape.lon_0.min, shape.lon_0.max = position.icrs.ra.deg + np.array([-0.5, 0.5]) / stretch
            shape.lat_0.min, shape.lat_0.max = position.icrs.dec.deg + np.array([-0.5, 0.5])
        data.models = Models([*models, model])
        result = Fit().optimize(Datasets([data]))
        ts, amplitude = without - result.total_stat, model.spectral_model.amplitude
        index = [p is amplitude for p in data.models.parameters.free_parameters].index(True)
        error = list(result.minuit.errors)[index] * amplitude.scale
        if best is None or ts > best["ts"]:
            best = {"ts": ts, "flux": amplitude.value, "error": error}
    return best


def compare(dataset, known, number, free_ts=FREE_TS):
    """Fits at random positions: test statistics and fluxes of both sides."""
    candidates = as_candidates(random_positions(dataset, known, number))
    settings = {"width": WIDTH * u.deg, "neighbour_reach": REACH * u.deg, "curvature_ts": 1e9}
    rows = []
    start = 20 / float(np.nanmax(dataset.exposure.data))
    for free in (False, True):
        if free:
            chosen = [row["index"] for row in rows if row["ts"] > free_ts]
            if not chosen:
                break
        else:
            chosen = list(range(number))
        fits = CandidateFitEstimator(refit_position=free, **settings)
        table = fits.run(dataset, candidates[chosen], neighbours=known).table
        for index, row in zip(chosen, table, strict=True):
            position = candidates.positions[index]
            own = {"ts": float(row["ts"]), "flux": float(row["fit_flux"].value)}
            own["error"] = float(row["fit_flux_err"].value)
            starts = [(position, start)]
            if free:
                starts.append((SkyCoord(row["fit_ra"], row["fit_dec"]), own["flux"]))
            minuit = minuit_fit(dataset, known, position, starts, free)
            rows.append({"index": index, "free": free, **own, "minuit": minuit})
            print(free, index, own, minuit, flush=True)
    return rows


def summary(rows):
    """Numbers of a list of fits."""
    own, other = (np.array([r["ts"] for r in side]) for side in (rows, [r["minuit"] for r in rows]))
    flux, flux_other = (np.array([r["flux"] for r in s]) for s in (rows, [r["minuit"] for r in rows]))
    error = np.fmax([r["error"] for r in rows], [r["minuit"]["error"] for r in rows])
    allowed = np.maximum(TS_SHARE * np.maximum(own, other), TS_DIFFERENCE)
    return {
        "fits": len(rows),
        "largest TS": float(own.max()),
        "worse": int(np.sum(own < other - allowed)),
        "better": int(np.sum(own > other + allowed)),
        "same flux": float(np.mean(np.abs(flux - flux_other) <= FLUX_SIGMA * error)),
        "median difference of TS": float(np.median(np.abs(own - other))),
    }


def parser():
    """Arguments."""
    own = arguments(__doc__, "minuit", data=True)
    own.add_argument("--number", type=int, default=67, help="positions of each field")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    results, rows = {}, []
    for name, (dataset, known) in fields(args.data).items():
        results[name] = compare(dataset, known, args.number)
        for free in (False, True):
            own = [row for row in results[name] if row["free"] is free]
            if own:
                numbers = summary(own)
                rows.append([name, "free" if free else "fixed", *(f"{v:.3g}" for v in numbers.values())])
    header = ["field", "position", *summary(results[name])]
    write(args.output, results, rows_to_markdown(header, rows))


if __name__ == "__main__":
    main()
