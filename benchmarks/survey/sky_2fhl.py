# Licensed under a 3-clause BSD style license - see LICENSE
"""A catalogue of the real sky above 50 GeV against 2FHL and 4FGL-DR4."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from gammapy_asid.catalog import SourceCatalogASID

from ..common import arguments, rows_to_markdown, write
from ..skies.catalogs import galactic_positions, read_catalog

NEEDS = "data and a catalogue of gammapy-asid catalog, a minute"


#: Largest distance of a match in deg.
RADIUS = 0.3
#: Scores at which the list is cut.
THRESHOLDS = (0.5, 0.8, 0.9)
#: Distances and directions of the moves that leave matches of chance alone, deg.
SHIFTS = ((3.0, 90.0), (3.0, 270.0), (5.0, 90.0), (5.0, 270.0))


def cut(positions, known, name):
    """One row of the table of lists."""
    _, to_fhl, _ = known["2FHL"].match_to_catalog_sky(positions)
    _, of_fhl, _ = positions.match_to_catalog_sky(known["2FHL"])
    _, of_fgl, _ = positions.match_to_catalog_sky(known["4FGL-DR4"])
    chance = []
    for separation, angle in SHIFTS:
        moved = known["4FGL-DR4"].directional_offset_by(angle * u.deg, separation * u.deg)
        chance.append((positions.match_to_catalog_sky(moved)[1].deg < RADIUS).mean())
    return [
        name,
        str(len(positions)),
        str(int((to_fhl.deg < RADIUS).sum())),
        str(len(to_fhl)),
        str(int((of_fhl.deg < RADIUS).sum())),
        str(int((of_fgl.deg < RADIUS).sum())),
        f"{100 * np.mean(chance):.1f} %",
    ]


def parser():
    """Arguments."""
    own = arguments(__doc__, "sky_2fhl", data=True)
    own.add_argument("catalog", help="catalogue made by gammapy-asid catalog")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    table = SourceCatalogASID(args.catalog).table
    own = SkyCoord(table["GLON"], table["GLAT"], frame="galactic")
    catalogs = {name: read_catalog(name, args.data) for name in ("2FHL", "4FGL-DR4")}
    known = {name: galactic_positions(catalog) for name, catalog in catalogs.items()}
    rows = []
    for threshold in THRESHOLDS:
        chosen = np.asarray(table["Score"]) >= threshold
        rows.append(cut(own[chosen], known, f"score {threshold:g}"))
        significant = chosen & (np.asarray(table["TS"]) >= 25)
        rows.append(cut(own[significant], known, f"score {threshold:g}, TS 25"))
    header = ["list", "candidates", "2FHL found", "of", "on 2FHL", "on 4FGL-DR4", "by chance"]
    text = rows_to_markdown(header, rows)

    _, distance, _ = known["2FHL"].match_to_catalog_sky(own)
    missed = catalogs["2FHL"][distance.deg >= RADIUS]
    text += "\n2FHL sources without a candidate: " + ", ".join(
        f"{row['Source_Name'].strip()} ({name.strip(' -') or 'unassociated'}, TS {row['TS']:.0f})"
        for row, name in zip(missed, np.ma.filled(missed["ASSOC"], ""), strict=True)
    )
    nearest, distance, _ = own.match_to_catalog_sky(known["4FGL-DR4"])
    order = np.argsort(-np.nan_to_num(np.asarray(table["TS"]), nan=-1))
    lines = [
        [
            str(table["Source_Name"][i]),
            f"{own.l.deg[i]:.3f}",
            f"{own.b.deg[i]:.3f}",
            f"{table['Score'][i]:.2f}",
            f"{table['TS'][i]:.1f}",
            catalogs["4FGL-DR4"]["Source_Name"][nearest[i]].strip(),
            f"{distance.deg[i]:.2f}",
        ]
        for i in order
        if distance.deg[i] >= RADIUS
    ]
    header = ["candidate", "glon", "glat", "score", "TS", "nearest 4FGL-DR4", "deg"]
    result = {"without 4FGL-DR4": len(lines)}
    result |= {f"TS {ts}": sum(float(line[4]) >= ts for line in lines) for ts in (9, 16, 25)}
    text += f"\n\nWithout a source of 4FGL-DR4: {result}\n\n" + rows_to_markdown(header, lines)
    write(args.output, result, text)


if __name__ == "__main__":
    main()
