# Licensed under a 3-clause BSD style license - see LICENSE
"""Fluxes of point sources in plane fields of the CTAO, beside Gammapy fits of the same sources.

Point sources at random places of three fields of the plane survey; Gammapy predicts their counts, with energy
dispersion and the point spread function of each place. Each is found by the detector, its flux estimated, and
fitted by Gammapy as a power law with a cut-off, twice: once it knows all other sources exactly, once it fits
the fluxes of those detected near it. Background and emission are given to all. With ``--fields`` also the
fluxes in the fields of `benchmarks.skies.gps_fields`.
"""

import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import astropy.units as u
import numpy as np
import torch
from astropy.coordinates import SkyCoord
from gammapy.maps import Map
from gammapy.modeling import Fit
from gammapy.modeling.models import (
    ExpCutoffPowerLawSpectralModel,
    Models,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)

from gammapy_asid import DLFluxEstimator, DLSourceDetector
from gammapy_asid.simulation.pointings import read_pointings

from ..common import arguments, rows_to_markdown, write
from ..detection.gps import CRAB, EXTENDED
from ..skies.gps_fields import FIELDS, emission_model, empty_dataset, load_field

__all__ = ["fit_flux", "simulate_points"]

NEEDS = "data with the plane survey of the CTAO, minutes"

#: Longitudes of the fields in deg, none of them one of `benchmarks.skies.gps_fields`.
LONGITUDES = (-46, -22, 30)
#: Sources of a field, their smallest distance and distance from the edge in deg.
N_SOURCES, SPACING, EDGE = 120, 0.25, 0.5
#: Photon fluxes in 1 / (cm2 s) in this range of energies.
FLUX, RANGE = (1e-12, 1e-10), (70 * u.GeV, 1 * u.TeV)
BINS = 10 ** np.arange(-12, -9.9, 0.5)
#: Photon index, and cut-off in TeV of half of the sources.
INDEX, CUTOFF = (2.3, 0.25), (3, 100)
RADIUS = 0.12
#: Side of the region of a fit in deg, and reach of its position.
FIT_WIDTH, REACH = 1.0, 0.15
#: Distance in deg up to which the fluxes of neighbours are fitted.
NEAR = 0.75
SEED = 77
#: Fluxes above 1 TeV in thousandths of the Crab's, as in the survey's catalogue.
CRAB_BINS = (1, 2, 5, 10, 100)


def simulate_points(lon, pointings, folder):
    """Dataset of a field whose known models are the emission, its sources, and the counts of each."""
    rng = np.random.default_rng((SEED, lon + 360))
    center = SkyCoord(lon, 0, unit="deg", frame="galactic")
    dataset = empty_dataset(center, pointings, f"points{lon:+d}")
    half = dataset.counts.geom.width[:, 0].to_value("deg") / 2 - EDGE
    places = np.empty((0, 2))
    while len(places) < N_SOURCES:
        place = rng.uniform(-half, half)
        if len(places) == 0 or np.hypot(*(places - place).T).min() > SPACING:
            places = np.vstack([places, place])
    sources = Models([_source(rng, i, lon + x, y) for i, (x, y) in enumerate(places)])
    signals = []
    for source in sources:
        dataset.models = Models([source])
        signals.append(dataset.npred_signal().data)
    dataset.models = Models([emission_model(dataset.counts.geom, folder)])
    expected = (dataset.npred().data + sum(signals)) * dataset.mask_safe.data
    dataset.counts.data = rng.poisson(expected).astype(np.float32)
    return dataset, sources, signals


def _source(rng, number, lon, lat):
    index, flux = rng.normal(*INDEX), np.exp(rng.uniform(*np.log(FLUX))) * u.Unit("cm-2 s-1")
    settings = {"amplitude": "1 cm-2 s-1 TeV-1", "reference": "1 TeV", "index": index}
    if number % 2:
        cutoff = np.exp(rng.uniform(*np.log(CUTOFF))) * u.TeV
        spectrum = ExpCutoffPowerLawSpectralModel(lambda_=1 / cutoff, **settings)
    else:
        spectrum = PowerLawSpectralModel(**settings)
    spectrum.amplitude.value = (flux / spectrum.integral(*RANGE)).to_value("")
    place = PointSpatialModel(lon_0=lon * u.deg, lat_0=lat * u.deg, frame="galactic")
    return SkyModel(spectrum, place, name=f"source-{number}")


def fit_flux(cutout, background, position, neighbours=()):
    """Gammapy fit of a point source with the true family of spectra on a known background.

    Parameters
    ----------
    cutout : `~gammapy.datasets.MapDataset`
        Data around the source; its background and models are replaced.
    background : `~numpy.ndarray`
        Expected counts of everything else.
    position : `~astropy.coordinates.SkyCoord`
        Where the fit starts.
    neighbours : iterable of `~astropy.coordinates.SkyCoord`
        Other sources, of which the amplitudes are fitted.

    Returns
    -------
    flux : float
        Photon flux in 1 / (cm2 s).
    """
    cutout.models = None
    cutout.background.data = background
    settings = {"index": INDEX[0], "amplitude": "1e-13 cm-2 s-1 TeV-1", "reference": "1 TeV"}
    spectrum = ExpCutoffPowerLawSpectralModel(lambda_="0.02 TeV-1", **settings)
    spectrum.amplitude.min, spectrum.index.min, spectrum.index.max = 0, 1, 5
    spectrum.lambda_.min, spectrum.lambda_.max = 0, 2
    place = _point(position)
    for axis in (place.lon_0, place.lat_0):
        axis.min, axis.max = axis.value - REACH, axis.value + REACH
    models = [SkyModel(spectrum, place, name="source")]
    for i, other in enumerate(neighbours):
        power_law = PowerLawSpectralModel(**settings)
        power_law.index.frozen, power_law.amplitude.min = True, 0
        place = _point(other)
        place.lon_0.frozen = place.lat_0.frozen = True
        models.append(SkyModel(power_law, place, name=f"neighbour-{i}"))
    cutout.models = Models(models)
    Fit().optimize([cutout])
    return spectrum.integral(*RANGE).to_value("cm-2 s-1")


def _point(position):
    galactic = position.galactic
    return PointSpatialModel(lon_0=galactic.l.deg * u.deg, lat_0=galactic.b.deg * u.deg, frame="galactic")


def run_field(lon, folder, model, n_fits):
    """Rows of the detected sources of one field, of which some are fitted, and times in s."""
    torch.set_num_threads(1)
    pointings = read_pointings(folder / "cta/GPS_pointings.dat")
    detector, estimator = DLSourceDetector(model), DLFluxEstimator(model, *RANGE)
    dataset, sources, signals = simulate_points(lon, pointings, folder)
    start = time.process_time()
    candidates = detector.run(dataset)
    fluxes = estimator.run(dataset, candidates).table
    seconds = {"network": time.process_time() - start, "fit": 0.0, "fit, neighbours": 0.0, "fits": 0}
    known = dataset.npred()
    everything = Map.from_geom(known.geom, data=known.data + sum(signals))
    true = SkyCoord([source.position.galactic for source in sources])
    rows = []
    for number, source in enumerate(sources):
        distance = true[number].separation(candidates.positions).deg
        if len(distance) == 0 or distance.min() > RADIUS:
            continue
        own = int(np.argmin(distance))
        flux = source.spectral_model.integral(*RANGE).to_value("cm-2 s-1")
        fitted = {"fit": np.nan, "fit, neighbours": np.nan}
        if seconds["fits"] < n_fits:
            seconds["fits"] += 1
            others = everything.copy(data=everything.data - signals[number])
            place, near = candidates.positions[own], candidates.positions.separation(true[number]).deg < NEAR
            near[own] = False
            for method, background, neighbours in (
                ("fit", others, ()),
                ("fit, neighbours", known, candidates.positions[near]),
            ):
                start = time.process_time()
                cutout = dataset.cutout(true[number], FIT_WIDTH * u.deg, name="cutout")
                # That of the field is on coarse pixels: a cutout of it holds too few
                cutout.psf = dataset.psf
                background = background.cutout(true[number], FIT_WIDTH * u.deg).data
                fitted[method] = fit_flux(cutout, background, place, neighbours)
                seconds[method] += time.process_time() - start
        estimate, below, above = (
            fluxes[name][own].to_value("cm-2 s-1") for name in ("flux", "flux_errn", "flux_errp")
        )
        rows.append(
            {
                "flux": flux,
                "ratio": float(estimate / flux),
                **{f"{method} ratio": float(value / flux) for method, value in fitted.items()},
                "inside": bool(estimate - below <= flux <= estimate + above),
            }
        )
    return rows, seconds


def catalogue_fluxes(fields, folder, model):
    """Width, flux above 1 TeV and its ratio for narrow sources in the survey's fields."""
    detector, estimator, rows = DLSourceDetector(model), DLFluxEstimator(model, 1 * u.TeV), []
    for lon in FIELDS:
        dataset, truth = load_field(lon, fields)
        dataset.models = Models([emission_model(dataset.counts.geom, folder)])
        candidates = detector.run(dataset)
        fluxes = estimator.run(dataset, candidates).table
        true = SkyCoord(truth["glon"], truth["glat"], frame="galactic")
        index, separation, _ = candidates.positions.match_to_catalog_sky(true)
        width = np.nan_to_num(truth["width"].to_value("deg"), nan=1.0)[index]
        # What lies nearest is the source, unless it is extended
        for i in np.flatnonzero((separation.deg < RADIUS) & (width < EXTENDED)):
            flux = truth["flux"][index[i]].to_value("cm-2 s-1")
            ratio = fluxes["flux"][i].to_value("cm-2 s-1") / flux
            rows.append([float(width[i]), flux / CRAB * 1e3, float(ratio)])
    return rows


def _bias_and_scatter(ratio):
    """Cells of median and half of the central 68 % of the logarithm."""
    q16, q50, q84 = np.quantile(np.log(np.maximum(ratio, 1e-3)), [0.16, 0.5, 0.84])
    return [f"{100 * np.expm1(q50):+.1f} %", f"{(q84 - q16) / 2:.3f}"]


def summary(rows):
    """Table of bias and scatter in half decades: of all sources, and of those that were fitted."""
    names = ("flux", "ratio", "fit ratio", "fit, neighbours ratio", "inside")
    flux, ratio, fit, realistic, inside = (np.array([row[key] for row in rows], float) for key in names)
    lines = []
    for low, high in zip(BINS[:-1], BINS[1:], strict=True):
        own = (flux >= low) & (flux < high)
        both = own & np.isfinite(fit)
        lines.append(
            [
                f"{low:.1e}-{high:.1e}",
                f"{own.sum()}",
                *_bias_and_scatter(ratio[own]),
                f"{inside[own].mean():.2f}",
                f"{both.sum()}",
                *_bias_and_scatter(ratio[both]),
                *_bias_and_scatter(realistic[both]),
                *_bias_and_scatter(fit[both]),
            ]
        )
    header = ["flux (cm-2 s-1)", "n", "network: bias", "scatter of ln flux", "inside 68 %"]
    header += ["n fitted", "network: bias", "scatter", "fit, neighbours fitted: bias", "scatter"]
    header += ["fit, all else known: bias", "scatter"]
    return rows_to_markdown(header, lines)


def catalogue_summary(rows):
    """Table of ratios above 1 TeV, of points and of slightly extended sources."""
    width, crab, ratio = np.array(rows).T
    lines = []
    for name, kind in (("points", width == 0), (f"up to {EXTENDED:g} deg wide", width > 0)):
        for low, high in zip(CRAB_BINS[:-1], CRAB_BINS[1:], strict=True):
            own = ratio[kind & (crab >= low) & (crab < high)]
            quantiles = "/".join(f"{v:.2f}" for v in np.quantile(own, [0.16, 0.5, 0.84])) if len(own) else ""
            lines.append([name, f"{low}-{high} mCrab", f"{len(own)}", quantiles])
    return rows_to_markdown(["sources", "flux above 1 TeV", "n", "estimate over truth, 16/50/84 %"], lines)


def parser():
    """Arguments."""
    own = arguments(__doc__, "cta_fluxes", data=True, model="cta-gps")
    own.add_argument("--fields", help="folder of the fields of benchmarks.skies.gps_fields")
    own.add_argument("--jobs", type=int, default=2, help="fields at a time")
    own.add_argument("--fits", type=int, default=20, help="sources of a field that are fitted")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn")) as pool:
        n = len(LONGITUDES)
        results = list(pool.map(run_field, LONGITUDES, [args.data] * n, [args.model] * n, [args.fits] * n))
    rows, times = [row for found, _ in results for row in found], [seconds for _, seconds in results]
    text = summary(rows) + "\n"
    total = {name: sum(seconds[name] for seconds in times) for name in times[0]}
    text += f"{len(rows)} of {len(LONGITUDES) * N_SOURCES} sources found. Processor time: network "
    text += f"{total['network']:.1f} s, {total['fits']} fits with the others known {total['fit']:.0f} s, "
    text += f"with neighbours fitted {total['fit, neighbours']:.0f} s.\n"
    result = {"rows": rows, "seconds": times}
    if args.fields:
        torch.set_num_threads(1)
        result["catalogue"] = catalogue_fluxes(args.fields, args.data, args.model)
        text += "\n" + catalogue_summary(result["catalogue"])
    write(args.output, result, text)


if __name__ == "__main__":
    main()
