# Licensed under a 3-clause BSD style license - see LICENSE
"""The same photons on other pixels: how far scores, positions and fluxes change.

The photons of each field are drawn at their places on the sky and binned in pixels of 0.1 deg and in others.
"""

import time

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.maps import WcsGeom

from gammapy_asid import DLFluxEstimator, DLSourceDetector
from gammapy_asid.simulation import analytic_emission, draw_sky

from ..common import Parts, arguments, rows_to_markdown, write
from ..skies.photons import draw_photons, photon_dataset

__all__ = ["PIXELS", "compare"]

NEEDS = "half an hour"

PIXEL, N_PIX = 0.1, 128
#: Galactic positions of the fields in deg.
CENTRES = ((83.0, 35.0), (200.0, -52.0), (300.0, 28.0), (140.0, 68.0), (250.0, -25.0), (40.0, 15.0))
#: Candidates within this distance of the edge in deg are not compared, and largest distance of a pair.
MARGIN, RADIUS = 1.5, 0.3
#: Candidates from `SCORE` on are compared; those of the other pixels are sought from `FAINTEST` on.
SCORE, FAINTEST = 0.5, 0.1
FLUX_RANGE = (1, 100) * u.GeV


def tangential(centre, shift=(0, 0), npix=(N_PIX, N_PIX), angle=0.0, proj="TAN"):
    """Pixels around a direction, shifted by parts of a pixel, cropped or turned by an angle in deg."""
    geom = WcsGeom.create(skydir=centre, npix=npix, binsz=PIXEL, proj=proj, frame="galactic")
    wcs = geom.wcs.deepcopy()
    wcs.wcs.crpix = np.array([N_PIX + 1, N_PIX + 1]) / 2 + shift
    if angle:
        cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        wcs.wcs.pc = [[cosine, -sine], [sine, cosine]]
    return WcsGeom(wcs, npix=npix)


def plate_carree(centre):
    """Pixels of the same width in longitude and latitude at the height of the field."""
    width = (N_PIX * PIXEL / np.cos(centre.b.rad), N_PIX * PIXEL)
    geom = WcsGeom.create(skydir=(0, 0), npix=(1, 1), binsz=PIXEL, proj="CAR", frame="galactic")
    wcs, npix = geom.wcs.deepcopy(), tuple(round(w / PIXEL) for w in width)
    wcs.wcs.crval = [centre.l.deg, 0]
    wcs.wcs.crpix = [(npix[0] + 1) / 2, (npix[1] + 1) / 2 - centre.b.deg / PIXEL]
    return WcsGeom(wcs, npix=npix)


#: Pixels by name, functions of the centre of the field.
PIXELS = {
    "shifted by one pixel": lambda c: tangential(c, (1, 1)),
    "shifted by half a pixel": lambda c: tangential(c, (0.5, 0.5)),
    "cropped by 3 and 5 pixels": lambda c: tangential(c, (-3, -5), (N_PIX - 3, N_PIX - 5)),
    "plate carree": plate_carree,
    "turned by 30 deg": lambda c: tangential(c, angle=30),
}


def characterise(detector, fluxes, dataset):
    """Candidates of a dataset with their fluxes."""
    candidates = detector.run(dataset)
    return candidates.with_fluxes(fluxes.run(dataset, candidates))


def compare(one, other, centre):
    """Changes of the candidates of `one` among those of `other`.

    Returns
    -------
    change : dict
        Lists ``score`` (of all candidates, 0 for those that are lost), ``position`` in 68 % radii and
        ``flux`` in its errors (of those found again).
    """
    half = np.radians(N_PIX * PIXEL / 2 - MARGIN)
    offset = one.positions.separation(centre).rad
    keep = np.flatnonzero((np.asarray(one.table["score"]) >= SCORE) & (offset < half))
    index, distance, _ = one.positions[keep].match_to_catalog_sky(other.positions)
    found = distance.deg < RADIUS
    score = np.where(found, np.asarray(other.table["score"])[index], 0.0)
    first, second = one.table[keep[found]], other.table[index[found]]
    error = np.maximum(first["flux_err"].value, second["flux_err"].value)
    return {
        "score": np.abs(score - np.asarray(one.table["score"])[keep]).tolist(),
        "position": (distance.deg[found] / first["pos_err_68"].to_value("deg")).tolist(),
        "flux": (np.abs(second["flux"].value - first["flux"].value) / error).tolist(),
        "lost": float((score < FAINTEST).sum()),
    }


def summary(fields):
    """Number, median and 90 % quantile of the changes for each kind of pixels and number of shifts."""
    results = []
    for key in fields[0]["changes"]:
        name, n = key.split("|")
        parts = [field["changes"][key] for field in fields]
        seconds = sum(field["seconds"][n] for field in fields) / len(fields)
        row = {"pixels": name, "shifts": int(n), "seconds": seconds}
        for quantity in ("score", "position", "flux"):
            values = np.concatenate([part[quantity] for part in parts])
            row[quantity] = [len(values), *np.quantile(values, [0.5, 0.9])]
        results.append(row | {"lost": sum(part["lost"] for part in parts)})
    return results


def to_markdown(results):
    """Table with a row for each kind of pixels and number of shifts."""
    header = ["pixels", "shifts", "candidates", "lost", "score: median, 90 %"]
    header += ["position over r68", "flux over sigma", "CPU s a field"]
    rows = [
        [
            *(row["pixels"], str(row["shifts"]), str(row["score"][0]), f"{row['lost']:.0f}"),
            *(f"{row[q][1]:.3f}, {row[q][2]:.2f}" for q in ("score", "position", "flux")),
            f"{row['seconds']:.2f}",
        ]
        for row in results
    ]
    return rows_to_markdown(header, rows)


def one_field(photons, centre, pixels, detectors, fluxes):
    """Changes of one field by kind of pixels and number of shifts, and the seconds of each number."""
    base, first, seconds, changes = photon_dataset(photons, tangential(centre)), {}, {}, {}
    for n, detector in detectors.items():
        start = time.process_time()
        detector.run(base)
        seconds[n] = time.process_time() - start
        first[n] = characterise(detector, fluxes, base)
    for name in pixels:
        dataset = photon_dataset(photons, PIXELS[name](centre))
        for n, detector in detectors.items():
            changes[f"{name}|{n}"] = compare(first[n], characterise(detector, fluxes, dataset), centre)
    return {"changes": changes, "seconds": seconds}


def parser():
    """Arguments."""
    own = arguments(__doc__, "pixel_invariance", model="lat", seed=0)
    own.add_argument("--shifts", type=int, nargs="+", default=[1, 4], help="shifts of the detector")
    own.add_argument("--fields", type=int, default=len(CENTRES), help="number of fields")
    own.add_argument("--pixels", nargs="+", choices=PIXELS, default=list(PIXELS), help="kinds of pixels")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    fluxes = DLFluxEstimator(args.model, e_min=FLUX_RANGE[0], e_max=FLUX_RANGE[1])
    detectors = {n: DLSourceDetector(args.model, threshold=FAINTEST, shifts=n) for n in args.shifts}
    settings = {name: getattr(args, name) for name in ("model", "shifts", "pixels", "seed")}
    parts, fields = Parts(args.output, **settings), []
    rng = np.random.default_rng(args.seed)
    catalog, emission = draw_sky(rng), analytic_emission(args.seed)
    for lon, lat in CENTRES[: args.fields]:
        centre = SkyCoord(lon, lat, unit="deg", frame="galactic")
        radius = 0.75 * N_PIX * PIXEL
        position = catalog.positions
        near = catalog.select(position.separation(centre).deg < radius + 3)
        photons = draw_photons(rng, centre, radius, near, emission)
        fields.append(
            parts(
                f"{lon}, {lat}",
                lambda what=(photons, centre): one_field(*what, args.pixels, detectors, fluxes),
            )
        )
    results = summary(fields)
    write(args.output, results, to_markdown(results))


if __name__ == "__main__":
    main()
