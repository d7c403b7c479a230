# Licensed under a 3-clause BSD style license - see LICENSE
"""Tables of any format, read as what they say they are."""

import warnings

import astropy.units as u
from astropy.io.ascii import convert_numpy
from astropy.table import Table
from astropy.utils.exceptions import AstropyUserWarning

from .files import regular_file
from .table_columns import NAMES, column_name

__all__ = ["read_any_table"]

#: Formats in which a name may look like a number.
TEXTS = ("ascii.csv", "ascii")


def read_any_table(path):
    """First table of a file: FITS, ECSV, CSV, VOTable or another text.

    Parameters
    ----------
    path : str or path
        File.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it can't be read.
    """
    path = regular_file(path)
    with warnings.catch_warnings():
        # The first table of several is the one meant, and units that Astropy doubts are looked at later
        warnings.filterwarnings("ignore", "hdu= was not specified", AstropyUserWarning)
        warnings.simplefilter("ignore", u.UnitsWarning)
        first = None
        for format in _formats(path):
            # Readers of Astropy raise errors of many kinds
            try:
                table = Table.read(path, format=format)
                return table if format not in TEXTS else _with_names(table, path, format)
            except Exception as error:
                first = error
    raise ValueError(f"{path} is no table that can be read: give FITS, ECSV, CSV or VOTable") from first


def _with_names(table, path, format):
    """The table with its names as they are written: 007 is not 7, and 1e5 not 100000; 7 stays a number."""
    name = column_name(table, NAMES)
    if name is None or table[name].dtype.kind not in "biuf":
        return table
    written = Table.read(path, format=format, converters={name: [convert_numpy(str)]})
    return table if list(written[name]) == [str(value) for value in table[name]] else written


def _formats(path):
    """Formats that a file may have, of its first bytes and its suffix: no reader guesses at junk."""
    with open(path, "rb") as file:
        start = file.read(1024).lstrip()
    if start.startswith((b"SIMPLE  =", b"\x1f\x8b")):
        return ["fits"]
    if start.startswith(b"<"):
        return ["votable"]
    by_suffix = {".ecsv": ["ascii.ecsv"], ".csv": ["ascii.csv", "ascii"]}
    texts = by_suffix | dict.fromkeys((".txt", ".dat", ".tsv"), ["ascii"])
    return texts.get(path.suffix.lower(), ["fits"])
