# Licensed under a 3-clause BSD style license - see LICENSE
"""Positions of a catalogue of the real sky against those of the blazars that the sources are.

Radio and optical positions of blazars are exact; 4LAC associates them with 4FGL sources, by position among
other things, which favours 4FGL. The catalogue is one above 50 GeV.
"""

import matplotlib.pyplot as plt
import numpy as np
from astropy.coordinates import SkyCoord

from gammapy_asid.catalog import SourceCatalogASID

from ..common import arguments, rows_to_markdown, write
from ..skies.catalogs import read_catalog

NEEDS = "data and a catalogue of gammapy-asid catalog, a minute"


#: Largest distance in deg at which a candidate or a source of 2FHL is the 4FGL source.
RADIUS = 0.3


def positions(table, lon, lat, frame="icrs"):
    """Positions of a table."""
    return SkyCoord(np.asarray(table[lon], float), np.asarray(table[lat], float), unit="deg", frame=frame)


def matched(sources, wanted):
    """Index of the nearest source to each wanted position, and whether it is near enough."""
    index, separation, _ = wanted.match_to_catalog_sky(sources)
    return index, separation.deg < RADIUS


def separations(catalog, folder):
    """Distances in deg of the same blazars by pair of positions, and the share inside the stated radii."""
    table = SourceCatalogASID(catalog).table
    fgl, lac, fhl = (read_catalog(name, folder) for name in ("4FGL-DR4", "4LAC", "2FHL"))
    names = {name.strip(): i for i, name in enumerate(fgl["Source_Name"])}
    known = np.array([name.strip() in names for name in lac["Source_Name"]])
    known &= np.isfinite(lac["RA_Count"]) & (np.abs(lac["RA_Count"]) + np.abs(lac["Dec_Count"]) > 0)
    lac = lac[known]
    fgl = fgl[[names[name.strip()] for name in lac["Source_Name"]]]
    truth, of_fgl = positions(lac, "RA_Count", "Dec_Count"), positions(fgl, "GLON", "GLAT", "galactic").icrs
    own = positions(table, "RAJ2000", "DEJ2000")
    fitted = positions(table, "Fit_RAJ2000", "Fit_DEJ2000")
    of_fhl = positions(fhl, "GLON", "GLAT", "galactic").icrs
    (i, near), (j, near_fhl) = matched(own, of_fgl), matched(of_fhl, of_fgl)
    chosen = near & near_fhl & np.isfinite(fitted.ra[i])
    i, j, truth, of_fgl = i[chosen], j[chosen], truth[chosen], of_fgl[chosen]
    distance = {
        "4FGL-DR4 to counterpart": of_fgl.separation(truth).deg,
        "2FHL to counterpart": of_fhl[j].separation(truth).deg,
        "network to counterpart": own[i].separation(truth).deg,
        "likelihood fit to counterpart": fitted[i].separation(truth).deg,
        "network to 4FGL-DR4": own[i].separation(of_fgl).deg,
    }
    network, fit = (
        np.sqrt(
            np.asarray(table[f"{kind}_68_SemiMajor"], float)
            * np.asarray(table[f"{kind}_68_SemiMinor"], float)
        )[i]
        for kind in ("Conf", "Fit")
    )
    radius = {
        "4FGL-DR4 to counterpart": np.asarray(fgl["Conf_68_SemiMajor"], float)[chosen],
        "network to counterpart": network,
        "likelihood fit to counterpart": fit,
    }
    return distance, {name: (distance[name] < r).mean() for name, r in radius.items()}


def parser():
    """Arguments."""
    own = arguments(__doc__, "counterparts", data=True)
    own.add_argument("catalog", help="catalogue made by gammapy-asid catalog")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    distance, inside = separations(args.catalog, args.data)
    rows = []
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, values in distance.items():
        quantiles = [f"{v:.3f}" for v in np.quantile(values, [0.5, 0.68, 0.95])]
        share = f"{inside[name]:.2f}" if name in inside else ""
        rows.append([name, f"{len(values)}", *quantiles, f"{np.mean(values < 0.15):.3f}", share])
        style = "--" if name == "network to 4FGL-DR4" else "-"
        ax.ecdf(values, label=name, linestyle=style)
    ax.set(xlim=(0, 0.15), ylim=(0, 1), xlabel="Distance [deg]", ylabel="Share of the blazars")
    ax.legend(loc="lower right")
    header = ["distance", "blazars", "50 % (deg)", "68 %", "95 %", "within 0.15", "inside 68 % radius"]
    write(args.output, text=rows_to_markdown(header, rows), figures=figure)


if __name__ == "__main__":
    main()
