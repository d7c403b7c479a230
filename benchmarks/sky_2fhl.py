# Licensed under a 3-clause BSD style license - see LICENSE
"""A catalogue of the real sky above 50 GeV against 2FHL and 4FGL-DR4.

The catalogue is made by ``gammapy-asid catalog``, see the documentation. Run as
``python -m benchmarks.sky_2fhl CATALOG --output NAME``.
"""

import argparse
import json
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

from gammapy_asid.catalog.source_catalog import SourceCatalogASID

from .report import rows_to_markdown
from .sky235 import data_folder

#: Largest distance of a match in deg.
RADIUS = 0.3
#: Scores at which the list is cut.
THRESHOLDS = (0.5, 0.8, 0.9)
#: Distances and directions of the moves that leave matches of chance alone, deg.
SHIFTS = ((3.0, 90.0), (3.0, 270.0), (5.0, 90.0), (5.0, 270.0))


def main(args=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalog")
    parser.add_argument("--data", help="data folder, by default GAMMAPY_ASID_DATA")
    parser.add_argument("--output", default="sky_2fhl")
    args = parser.parse_args(args)
    folder = data_folder(args.data)

    table = SourceCatalogASID(args.catalog).table
    own = SkyCoord(table["GLON"], table["GLAT"], frame="galactic")
    fhl = Table.read(folder / "gammapy-data/catalogs/fermi/gll_psch_v09.fit.gz", hdu=1)
    fgl = Table.read(folder / "catalogs/4FGL_DR4_v35_slim.fits.gz", hdu=1)
    known = {
        name: SkyCoord(catalog["GLON"], catalog["GLAT"], unit="deg", frame="galactic")
        for name, catalog in {"2FHL": fhl, "4FGL-DR4": fgl}.items()
    }
    rows = []
    for threshold in THRESHOLDS:
        chosen = np.asarray(table["Score"]) >= threshold
        rows.append(cut(own[chosen], known, f"score {threshold:g}"))
        significant = chosen & (np.asarray(table["TS"]) >= 25)
        rows.append(cut(own[significant], known, f"score {threshold:g}, TS 25"))
    header = ["list", "candidates", "2FHL found", "of", "on 2FHL", "on 4FGL-DR4", "by chance"]
    text = rows_to_markdown(header, rows)

    _, distance, _ = known["2FHL"].match_to_catalog_sky(own)
    missed = fhl[distance.deg >= RADIUS]
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
            fgl["Source_Name"][nearest[i]].strip(),
            f"{distance.deg[i]:.2f}",
        ]
        for i in order
        if distance.deg[i] >= RADIUS
    ]
    header = ["candidate", "glon", "glat", "score", "TS", "nearest 4FGL-DR4", "deg"]
    output = Path(args.output)
    output.with_suffix(".md").write_text(text + "\n\n" + rows_to_markdown(header, lines))
    above = {f"TS {ts}": sum(float(line[4]) >= ts for line in lines) for ts in (9, 16, 25)}
    print(text)
    print(json.dumps({"without 4FGL-DR4": len(lines)} | above))


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


if __name__ == "__main__":
    main()
