# Licensed under a 3-clause BSD style license - see LICENSE
"""Catalogues of the Fermi-LAT in the data folder."""

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Table

__all__ = ["catalog_path", "galactic_positions", "load_catalog", "read_catalog"]

#: Files in the data folder.
FILES = {
    "2FHL": "gammapy-data/catalogs/fermi/gll_psch_v09.fit.gz",
    "3FHL": "gammapy-data/catalogs/fermi/gll_psch_v13.fit.gz",
    "4FGL-DR4": "catalogs/4FGL_DR4_v35_slim.fits.gz",
    "4LAC": "catalogs/f4lac.fits",
}
#: Edges of the bands of 4FGL in GeV.
EDGES_4FGL = np.array([0.05, 0.1, 0.3, 1, 3, 10, 30, 100, 1000])


def catalog_path(name, folder):
    """File of a catalogue."""
    return folder / FILES[name]


def read_catalog(name, folder):
    """Table of a catalogue as published."""
    return Table.read(catalog_path(name, folder), hdu=1)


def galactic_positions(table, lon="GLON", lat="GLAT"):
    """Positions of the rows of a table that has them as numbers in deg."""
    return SkyCoord(table[lon], table[lat], unit="deg", frame="galactic")


def load_catalog(name, dataset, folder):
    """Sources of a catalogue inside a field.

    Parameters
    ----------
    name : str
        ``4FGL-DR4`` or ``3FHL``.
    dataset : `~gammapy.datasets.MapDataset`
        Data of the field.
    folder : path
        Data folder.

    Returns
    -------
    catalog : `~astropy.table.Table`
        Columns ``name``, ``glon``, ``glat``, ``signif`` (of the catalogue),
        ``signif_range`` (in the bands that begin within the energy range of the data) and ``assoc``.
    """
    table = read_catalog(name, folder)
    if name == "3FHL":
        in_range = table["Signif_Avg"]
    else:
        energy = dataset.counts.geom.axes["energy"].edges.to_value("GeV")
        # A tenth of tolerance: 50 GeV data take the band that begins at 30 GeV
        used = (EDGES_4FGL[1:] > 1.1 * energy[0]) & (EDGES_4FGL[:-1] < 0.9 * energy[-1])
        in_range = np.sqrt(np.nansum(table["Sqrt_TS_Band"][:, used] ** 2, axis=1))
    catalog = Table({"name": np.char.strip(table["Source_Name"].astype(str))})
    catalog["glon"], catalog["glat"] = np.asarray(table["GLON"], float), np.asarray(table["GLAT"], float)
    catalog["signif"] = np.asarray(table["Signif_Avg"], float)
    catalog["signif_range"] = np.asarray(in_range, float)
    catalog["assoc"] = np.char.strip(table["ASSOC1"].astype(str))
    inside = dataset.counts.geom.to_image().contains(galactic_positions(catalog, "glon", "glat"))
    return catalog[inside]
