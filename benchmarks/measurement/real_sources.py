# Licensed under a 3-clause BSD style license - see LICENSE
"""Positions and fluxes of the real Galactic-centre field beside 4FGL-DR4 and 3FHL."""

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table
from gammapy.catalog import SourceCatalog3FHL

from gammapy_asid import DLFluxEstimator, DLSourceDetector

from ..common import arguments, rows_to_markdown, write
from ..skies.catalogs import catalog_path
from ..skies.real_fields import load_field

__all__ = ["compare_positions", "systematic_floor"]

NEEDS = "data, a minute"

RADIUS = 0.3
#: The 68 % radius of a round Gaussian over that of 95 %.
R68_OVER_R95 = np.sqrt(np.log(1 - 0.68) / np.log(1 - 0.95))


def point_sources(path):
    """Names, positions and 68 % radii in deg of the point sources of a catalogue of the LAT."""
    table = Table.read(path, hdu=1).filled()
    extended = np.char.str_len(np.char.strip(table["Extended_Source_Name"].astype(str))) > 0
    major, minor = (np.asarray(table[f"Conf_95_Semi{axis}"], float) for axis in ("Major", "Minor"))
    keep = ~extended & np.isfinite(major * minor) & (major * minor > 0)
    position = SkyCoord(table["RAJ2000"], table["DEJ2000"], unit="deg")
    names = np.char.strip(table["Source_Name"].astype(str))
    return names[keep], position[keep], (np.sqrt(major * minor) * R68_OVER_R95)[keep]


def compare_positions(candidates, path):
    """Offsets of candidates to the nearest point source, in units of the combined 68 % radius.

    Returns
    -------
    names : `~numpy.ndarray`
        Names of the sources.
    offset, error : `~numpy.ndarray`
        Separation and combined 68 % radius in deg.
    """
    names, position, radius = point_sources(path)
    index, separation, _ = candidates.positions.match_to_catalog_sky(position)
    near = separation.deg < RADIUS
    error = np.hypot(candidates.table["pos_err_68"].to_value("deg"), radius[index])
    return names[index[near]], separation.deg[near], error[near]


def systematic_floor(offset, error):
    """68 % radius in deg to add in quadrature so that 68 % of the offsets are within the errors."""
    for floor in np.arange(0, 0.1, 0.0005):
        if np.mean(offset < np.hypot(error, floor)) >= 0.68:
            return float(floor)
    return float("nan")


def compare_fluxes(dataset, candidates, model, path):
    """Fluxes over those of 3FHL, of the candidates and at the positions of the catalogue."""
    catalog = SourceCatalog3FHL(path)
    geom = dataset.counts.geom.to_image()
    sources = [s for s in catalog if geom.contains(s.position)[0] and "Point" in s.spatial_model().tag[0]]
    energy = dataset.counts.geom.axes["energy"].edges
    expected = np.array(
        [s.spectral_model().integral(energy[0], energy[-1]).to_value("cm-2 s-1") for s in sources]
    )
    position = SkyCoord([s.position for s in sources])
    estimator = DLFluxEstimator(model=model)
    given = estimator.run(dataset, position).table
    detected = estimator.run(dataset, candidates).table
    index, separation, _ = candidates.positions.match_to_catalog_sky(position)
    near = separation.deg < RADIUS
    rows = {}
    for name, table, own in (
        ("detected", detected[near], expected[index[near]]),
        ("given", given, expected),
    ):
        ratio = table["flux"].to_value("cm-2 s-1") / own
        inside = (table["flux"] - table["flux_errn"]).to_value("cm-2 s-1") <= own
        inside &= own <= (table["flux"] + table["flux_errp"]).to_value("cm-2 s-1")
        rows[name] = {
            "ratio": ratio.tolist(),
            "median": float(np.median(ratio)),
            "inside": float(inside.mean()),
        }
    return rows


def parser():
    """Arguments."""
    return arguments(__doc__, "real_sources", data=True, model="lat")


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    dataset = load_field("Galactic centre", args.data)
    candidates = DLSourceDetector(model=args.model).run(dataset)
    rows, results = [], {}
    for name in ("4FGL-DR4", "3FHL"):
        _, offset, error = compare_positions(candidates, catalog_path(name, args.data))
        floor = systematic_floor(offset, error)
        results[name] = {"offset": offset.tolist(), "error": error.tolist(), "floor": floor}
        rows.append(
            [
                name,
                f"{len(offset)}",
                f"{np.median(offset):.3f}",
                f"{np.median(error):.3f}",
                f"{np.mean(offset < error):.2f}",
                f"{floor:.4f}",
            ]
        )
    header = ["catalogue", "n", "median offset (deg)", "median error", "within 1", "floor of 68 % (deg)"]
    text = rows_to_markdown(header, rows) + "\n"
    results["flux"] = compare_fluxes(dataset, candidates, args.model, catalog_path("3FHL", args.data))
    rows = [
        [name, f"{len(row['ratio'])}", f"{row['median']:.3f}", f"{row['inside']:.2f}"]
        for name, row in results["flux"].items()
    ]
    text += rows_to_markdown(["positions", "n", "median flux over 3FHL", "3FHL inside 68 %"], rows)
    write(args.output, results, text)


if __name__ == "__main__":
    main()
