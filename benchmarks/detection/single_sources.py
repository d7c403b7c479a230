# Licensed under a 3-clause BSD style license - see LICENSE
"""Bright single sources that are taken for two, and real AGN inside their stated errors, on HEALPix maps.

Sources of 3e-9 to 6e-7 cm-2 s-1 (1-100 GeV) on pixels of several kinds, with a point spread function that is
stated too narrow or too wide (``doubles``), and the brightest AGN of 3FHL in its all-sky map of NSIDE 64
(``agn``).
"""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.maps import HpxGeom, Map, WcsGeom

from gammapy_asid import DLSourceDetector
from gammapy_asid.simulation import MockCatalog, analytic_emission
from gammapy_asid.survey import TileCutter

from ..common import arguments, data_folder, rows_to_markdown, write
from ..skies.catalogs import read_catalog
from ..skies.photons import draw_photons, photon_dataset
from ..skies.real_fields import sky_3fhl

NEEDS = "data (for agn), half an hour"

#: Places of the nine sources of a field from its centre, radius of the photons and of the maps, in deg.
PLACES = 5.0 * np.stack(np.meshgrid([-1, 0, 1], [-1, 0, 1])).reshape(2, 9)
RADIUS, MAP_RADIUS = 10.5, 9.3
#: Fluxes 1-100 GeV in cm-2 s-1, evenly in their logarithm, and photon index.
FLUXES, INDEX = (3e-9, 6e-7), 2.2
#: Pixels and widths of the stated point spread function over the true one.
KINDS = (
    *(("TAN 0.1 deg", width) for width in (0.9, 1.0, 1.1)),
    *(("CAR 0.1 deg", width) for width in (0.9, 1.0, 1.1)),
    *((f"NSIDE {nside}", 1.0) for nside in (64, 128, 256, 512)),
    *(("NSIDE 256", width) for width in (0.9, 1.1)),
)
N_AGN = 20


def draw_field(rng, emission):
    """Centre of a field, the places of its nine sources, and its photons."""
    lat = np.degrees(np.arcsin(rng.uniform(*np.sin(np.radians([25, 75]))))) * rng.choice([-1, 1])
    centre = SkyCoord(rng.uniform(0, 360), lat, unit="deg", frame="galactic")
    east, north = (PLACES + rng.uniform(-0.7, 0.7, PLACES.shape)) * u.deg
    place = centre.spherical_offsets_by(east, north)
    flux, zero = np.exp(rng.uniform(*np.log(FLUXES), 9)), np.zeros(9)
    catalog = MockCatalog(
        lon=place.l.deg,
        lat=place.b.deg,
        source_class=np.full(9, "bll"),
        amplitude=flux * (INDEX - 1) / (1 - 100 ** (1 - INDEX)),
        reference=zero + 1,
        index=zero + INDEX,
        beta=zero,
        lambda_=zero,
        alpha=zero + 1,
    )
    return centre, place, draw_photons(rng, centre, RADIUS, catalog, emission)


def field_dataset(kind, width, centre, photons):
    """Dataset of a field on pixels of a kind."""
    name, size = kind.split(maxsplit=1)
    if name == "NSIDE":
        region = f"DISK({centre.l.deg},{centre.b.deg},{MAP_RADIUS})"
        return photon_dataset(
            photons, HpxGeom.create(nside=int(size), frame="galactic", region=region), width
        )
    if name == "TAN":
        image = WcsGeom.create(skydir=centre, binsz=0.1, width=2 * MAP_RADIUS, proj="TAN", frame="galactic")
        return photon_dataset(photons, image, width)
    # Plate carree from the equator on: the pixels of the field are no squares
    size = int(20 * MAP_RADIUS / np.cos(centre.b.rad)), int(20 * (abs(centre.b.deg) + MAP_RADIUS))
    image = WcsGeom.create(skydir=(centre.l.deg, 0), binsz=0.1, npix=size, proj="CAR", frame="galactic")
    dataset = photon_dataset(photons, image, width)
    near = image.get_coord().skycoord.separation(centre).deg < MAP_RADIUS
    geom = dataset.counts.geom
    dataset.mask_safe = Map.from_geom(geom, data=np.broadcast_to(near, geom.data_shape).copy())
    return dataset


def doubles(args):
    """Sources with more than one candidate, and those inside 95 % radii, for each of `KINDS`."""
    detector = DLSourceDetector(args.model, threshold=0.5)
    rng, emission = np.random.default_rng(args.seed), analytic_emission(0)
    fields = [draw_field(rng, emission) for _ in range(args.fields)]
    rows = []
    for kind, width in KINDS:
        number, inside, offset = [], [], []
        for centre, place, photons in fields:
            candidates = detector.run(field_dataset(kind, width, centre, photons))
            distance = place[:, None].separation(candidates.positions).deg
            # The match radius grows with coarse pixels
            pixel = np.degrees(np.sqrt(np.pi / 3)) / int(kind.split()[1]) if kind.startswith("NSIDE") else 0
            number += (distance < 0.3 * max(1, pixel / 0.25)).sum(axis=1).tolist()
            nearest = distance.argmin(axis=1)
            offset += distance.min(axis=1).tolist()
            error = candidates.table["pos_err_95"].to_value("deg")[nearest]
            inside += (distance.min(axis=1) < error).tolist()
        number = np.array(number)
        row = {"pixels": kind, "width": width, "sources": len(number), "doubled": int((number > 1).sum())}
        row |= {"missed": int((number == 0).sum()), "inside 95 %": float(np.mean(inside))}
        rows.append(row | {"median offset": float(np.median(offset))})
        print(rows[-1], flush=True)
    return rows


def agn(args):
    """The brightest AGN of 3FHL at abs(b) > 10 deg in its map of NSIDE 64."""
    folder = data_folder(args.data)
    dataset, table = sky_3fhl(folder), read_catalog("3FHL", folder)
    classes = np.char.lower(np.char.strip(table["CLASS"].astype(str)))
    table = table[np.isin(classes, ["bll", "fsrq", "bcu"]) & (np.abs(table["GLAT"]) > 10)]
    table = table[np.argsort(-table["Signif_Avg"])][:N_AGN]
    detector, cutter, rows = DLSourceDetector(args.model, threshold=0.5), TileCutter(dataset), []
    for row in table:
        place = SkyCoord(row["GLON"], row["GLAT"], unit="deg", frame="galactic")
        candidates = detector.run(cutter.cut(place, 8.0))
        distance = candidates.positions.separation(place).deg
        nearest = int(distance.argmin())
        error = [float(candidates.table[f"pos_err_{n}"].to_value("deg")[nearest]) for n in (68, 95)]
        name = {"name": row["ASSOC1"].strip(), "significance": float(row["Signif_Avg"])}
        rows.append(
            name | {"offset": float(distance[nearest]), "error": error, "near": int((distance < 1.1).sum())}
        )
    return rows


def to_markdown(result):
    """Tables of both parts."""
    text = ""
    if "doubles" in result:
        header = ["pixels", "PSF stated over true", "sources", "doubled", "missed", "inside 95 %"]
        rows = [
            [
                *(
                    row["pixels"],
                    f"{row['width']:.1f}",
                    *(str(row[k]) for k in ("sources", "doubled", "missed")),
                ),
                *(f"{row['inside 95 %']:.2f}", f"{row['median offset']:.3f}"),
            ]
            for row in result["doubles"]
        ]
        text += rows_to_markdown([*header, "median offset (deg)"], rows) + "\n"
    if "agn" in result:
        rows = [
            [
                *(row["name"], f"{row['significance']:.0f}", f"{row['offset']:.2f}"),
                *(f"{error:.2f}" for error in row["error"]),
                str(row["near"]),
            ]
            for row in result["agn"]
        ]
        header = [
            "AGN",
            "sigma in 3FHL",
            "offset (deg)",
            "68 % radius",
            "95 % radius",
            "candidates within 1.1 deg",
        ]
        text += rows_to_markdown(header, rows)
    return text


PARTS = {"doubles": doubles, "agn": agn}


def parser():
    """Arguments."""
    own = arguments(__doc__, "single_sources", data=False, model="lat", seed=3)
    own.add_argument("parts", nargs="+", choices=list(PARTS), help="what is measured")
    own.add_argument("--fields", type=int, default=12, help="fields of nine sources")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    result = {part: PARTS[part](args) for part in args.parts}
    write(args.output, result, to_markdown(result))


if __name__ == "__main__":
    main()
