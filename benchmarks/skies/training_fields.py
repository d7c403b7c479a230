# Licensed under a 3-clause BSD style license - see LICENSE
"""Real fields for the training of a detector, none of them in a benchmark, with the sources of 4FGL-DR4.

Discs 2-20 GeV of the whole sky of the events with the best directions; no photon of the fields that
judge (`benchmarks.skies.league_fields`) is in one of them.
"""

from pathlib import Path

from astropy.coordinates import SkyCoord

from ..common import arguments
from .catalogs import galactic_positions, read_catalog
from .league_fields import ISOTROPIC_PSF3, sky_psf3, square_disc
from .real_fields import known_sky

__all__ = ["CENTRES", "RADIUS"]

NEEDS = "data, two minutes"

#: Galactic centres in deg, 30 deg from those of the league's fields at these energies, and outside of the
#: plane, Galactic centre, 3C 279 and Vela.
CENTRES = ((150, 0), (195, 5), (130, 35), (65, -30), (150, -35), (240, 40), (345, 35), (20, -30), (330, -60))

#: Radius in deg.
RADIUS = 12.0


def main(args=None):
    """Write the fields and print the entry of a recipe."""
    args = arguments(__doc__, "training_fields", data=True).parse_args(args)
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    sky, catalog = sky_psf3(args.data), read_catalog("4FGL-DR4", args.data)
    positions = galactic_positions(catalog)
    print("real:")
    for lon, lat in CENTRES:
        dataset = square_disc(sky, (lon, lat), RADIUS)
        dataset.background = known_sky(dataset, args.data, isotropic=ISOTROPIC_PSF3)
        # Sources beyond the edge shine into the field
        near = positions.separation(SkyCoord(lon, lat, unit="deg", frame="galactic")).deg < RADIUS + 5
        names = folder / f"l{lon}_b{lat}.fits.gz", folder / f"l{lon}_b{lat}.ecsv"
        dataset.write(names[0], overwrite=True)
        catalog["GLON", "GLAT"][near].write(names[1], overwrite=True)
        print(f"  - {{dataset: {names[0]}, sources: {names[1]}}}", flush=True)


if __name__ == "__main__":
    main()
