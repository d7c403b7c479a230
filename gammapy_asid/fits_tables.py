# Licensed under a 3-clause BSD style license - see LICENSE
"""Tables of FITS files, and the provenance that goes with them."""

import json

from astropy.io import fits
from astropy.table import QTable

__all__ = ["primary_hdu", "provenance_hdu", "read_provenance", "read_table", "table_hdu"]


def primary_hdu(meta):
    """First HDU, which names this program in its version.

    Parameters
    ----------
    meta : dict
        Provenance with the key ``version``.
    """
    primary = fits.PrimaryHDU()
    primary.header["CREATOR"] = f"gammapy-asid {meta['version']}"
    return primary


def table_hdu(table, name):
    """HDU of a table with a name."""
    hdu = fits.table_to_hdu(table)
    hdu.name = name
    return hdu


def provenance_hdu(meta):
    """HDU ``PROVENANCE`` of a dictionary of anything JSON can hold."""
    values = [json.dumps(value) for value in meta.values()]
    return table_hdu(QTable({"key": list(meta), "value": values}), "PROVENANCE")


def read_table(hdulist, name):
    """Table of an HDU; what is not known is NaN in it, not masked."""
    return QTable.read(hdulist[name], mask_invalid=False)


def read_provenance(hdulist):
    """Dictionary that `provenance_hdu` made."""
    return {str(row["key"]): json.loads(row["value"]) for row in QTable.read(hdulist["PROVENANCE"])}
