# Licensed under a 3-clause BSD style license - see LICENSE
"""Tables of FITS files, and the provenance that goes with them.

FITS holds ASCII only. Other characters of texts are written as Python writes them in a string
(``LS I +61\\xb0303``) and are read back as they were.
"""

import json
import re
from io import StringIO
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import QTable
from gammapy.utils.scripts import make_path

from .files import FITS_SUFFIXES, is_fits
from .fits_files import open_fits, write_fits

__all__ = [
    "fits_path",
    "fits_text",
    "is_own_file",
    "primary_hdu",
    "provenance_hdu",
    "read_provenance",
    "read_table",
    "table_hdu",
    "write_table",
]


def fits_text(text):
    """Text in the characters that FITS holds.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    text : str
        Others as backslash and number.
    """
    return str(text).encode("unicode_escape").decode("ascii")


def _plain_text(text):
    return text.encode("ascii").decode("unicode_escape")


def _each(column, change):
    return np.array([change(text) for text in column.ravel()], dtype=str).reshape(column.shape)


def fits_path(filename):
    """Path of a FITS file to write; a `ValueError` if its name says that it is another kind of file.

    Parameters
    ----------
    filename : str or path
        File.

    Returns
    -------
    path : `~pathlib.Path`
        The same.

    Raises
    ------
    ValueError
        If its name says that it is another kind of file.
    """
    path = make_path(filename)
    if not path.name.lower().endswith(FITS_SUFFIXES):
        raise ValueError(f"{path} is written as FITS: its name must end in {', '.join(FITS_SUFFIXES)}")
    return path


def is_own_file(path):
    """Whether a file holds candidates or a catalogue that this package wrote.

    Parameters
    ----------
    path : path
        File.

    Returns
    -------
    is_own : bool
        True if so.
    """
    if not is_fits(path):
        return False
    with open_fits(path) as hdulist:
        names = {hdu.name for hdu in hdulist}
    return "PROVENANCE" in names and bool({"CANDIDATES", "CATALOG"} & names)


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
    """HDU of a table with a name.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table; left unchanged.
    name : str
        Name of the HDU.

    Returns
    -------
    hdu : `~astropy.io.fits.BinTableHDU`
        HDU, its texts in characters of FITS.
    """
    table = table.copy(copy_data=False)
    for column in table.colnames:
        if table[column].dtype.kind == "U":
            description = table[column].info.description
            table[column] = _each(np.asarray(table[column]), fits_text)
            table[column].info.description = description
    hdu = fits.table_to_hdu(table)
    hdu.name = name
    return hdu


def provenance_hdu(meta):
    """HDU ``PROVENANCE`` of a dictionary of anything JSON can hold.

    Parameters
    ----------
    meta : dict
        Keys are texts.

    Returns
    -------
    hdu : `~astropy.io.fits.BinTableHDU`
        Columns ``key`` and ``value``.
    """
    # JSON has its own form of characters that are not ASCII
    values = [json.dumps(value) for value in meta.values()]
    hdu = fits.table_to_hdu(QTable({"key": [fits_text(key) for key in meta], "value": values}))
    hdu.name = "PROVENANCE"
    return hdu


def read_table(hdulist, name):
    """Table of an HDU; what is not known is NaN in it, not masked.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList`
        File.
    name : str
        Name of the HDU.

    Returns
    -------
    table : `~astropy.table.QTable`
        Table.
    """
    table = QTable.read(hdulist[name], mask_invalid=False)
    for column in table.colnames:
        if table[column].dtype.kind in "SU":
            description = table[column].info.description
            table[column] = _each(np.asarray(table[column], str), _plain_text)
            table[column].info.description = description
    return table


def read_provenance(hdulist):
    """Dictionary that `provenance_hdu` made.

    Parameters
    ----------
    hdulist : `~astropy.io.fits.HDUList`
        File.

    Returns
    -------
    meta : dict
        Provenance.
    """
    rows = QTable.read(hdulist["PROVENANCE"])
    return {_plain_text(str(row["key"])): json.loads(row["value"]) for row in rows}


def write_table(table, path):
    """Write a table to a file, FITS, ECSV or CSV by its name.

    CSV holds no units, and one number in a cell: columns with several become as many, numbered from 1 on.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table.
    path : str or path
        File, which must not exist.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".ecsv":
        Path(path).write_text(_ecsv(table), encoding="utf-8")
    elif suffix == ".csv":
        _flat(table).write(path, format="ascii.csv")
    else:
        write_fits([fits.PrimaryHDU(), table_hdu(table, "")], path)


def _ecsv(table):
    """Text of a table, with quotes where a row would begin as a comment does."""
    buffer = StringIO()
    table.write(buffer, format="ascii.ecsv")
    # Comments and the names of the columns
    head = re.match(r"(?:#.*\n)*.*\n", buffer.getvalue())[0]
    rows = buffer.getvalue()[len(head) :]
    return head + re.sub(r"^(#\S*)", r'"\1"', rows, flags=re.MULTILINE)


def _flat(table):
    """The table with one number in each cell."""
    flat = QTable()
    for name in table.colnames:
        column = table[name]
        if column.ndim == 1:
            flat[name] = column
        else:
            values = column.reshape(len(table), -1)
            for number in range(values.shape[1]):
                flat[f"{name}_{number + 1}"] = values[:, number]
    return flat
