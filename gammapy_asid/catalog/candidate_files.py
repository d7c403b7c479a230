# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates in files."""

import json
from typing import NamedTuple

import astropy.units as u
import numpy as np
from astropy.table import QTable
from gammapy.maps import Map
from gammapy.utils.scripts import make_path

from ..utils.files import FITS_SUFFIXES, LIST_SUFFIXES, TABLE_SUFFIXES, new_file, regular_file
from ..utils.fits_files import open_fits, write_fits
from ..utils.fits_tables import (
    fits_text,
    is_own_file,
    primary_hdu,
    provenance_hdu,
    read_provenance,
    read_table,
    table_hdu,
    write_table,
)
from ..utils.table_files import read_any_table
from .candidate_tables import table_of_list
from .catalog_table import candidate_table

__all__ = ["CandidateData", "check_map_names", "plain_meta", "read_candidates", "write_candidates"]

# Header cards of the file that a reader of FITS sees at once; the whole is in the PROVENANCE table.
HEADER_CARDS = {"model": "MODEL", "card_sha256": "CARDSHA", "threshold": "THRESH"}


class CandidateData(NamedTuple):
    """What candidates are made of.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        One row per candidate.
    maps : dict of `~gammapy.maps.Map`
        Maps of the field.
    meta : dict
        Provenance.
    """

    table: QTable
    maps: dict
    meta: dict


#: Names of what else a file of candidates holds.
TAKEN = ("primary", "candidates", "catalog", "provenance")


def check_map_names(maps):
    """Check that maps can be told apart in a file; a `ValueError` if not.

    Parameters
    ----------
    maps : iterable of str
        Their names.
    """
    for name in maps:
        if name.lower() in TAKEN or name.lower().endswith("_bands"):
            raise ValueError(
                f"A map can't be called {name!r}, which files of candidates keep for another part: rename it"
            )


def plain_meta(meta):
    """Provenance as it comes back from a file.

    Parameters
    ----------
    meta : dict
        Anything JSON can hold, or arrays and numbers of numpy.

    Returns
    -------
    meta : dict
        Texts, numbers, lists and dictionaries.

    Raises
    ------
    TypeError
        If it holds something else.
    """

    def plain(value):
        if isinstance(value, np.ndarray | np.generic) and not isinstance(value, u.Quantity):
            return value.tolist()
        raise TypeError(
            f"meta holds a {type(value).__name__}: give texts, numbers, lists and dictionaries of these"
        )

    return json.loads(json.dumps(meta, default=plain))


def read_candidates(filename, columns=None, energy_range=None):
    """Read a file of candidates or a catalogue of this package, or any list of sources.

    Parameters
    ----------
    filename, columns, energy_range
        See `gammapy_asid.Candidates.read`.

    Returns
    -------
    data : `CandidateData`
        Table, maps and provenance.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no list of sources.
    """
    filename = regular_file(filename)
    if not is_own_file(filename):
        return CandidateData(table_of_list(read_any_table(filename), columns, energy_range), {}, {})
    with open_fits(filename) as hdulist:
        meta = read_provenance(hdulist)
        if "CATALOG" in hdulist:
            own = candidate_table(read_table(hdulist, "CATALOG"))
            return CandidateData(table_of_list(own, meta=meta), {}, meta)
        names = [hdu.name.lower() for hdu in hdulist[3:] if not hdu.name.endswith("_BANDS")]
        maps = {name: Map.from_hdulist(hdulist, hdu=name) for name in names}
        return CandidateData(read_table(hdulist, "CANDIDATES"), maps, meta)


def write_candidates(candidates, filename, overwrite=False):
    """Write table, maps and provenance to a FITS file, or what else the name of the file says.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.
    filename, overwrite
        See `gammapy_asid.Candidates.write`.

    Raises
    ------
    FileExistsError
        If the file exists and `overwrite` is False.
    ValueError
        If the name has another end.
    """
    path = make_path(filename)
    name = path.name.lower()
    if not name.endswith(LIST_SUFFIXES):
        raise ValueError(f"{path}: the name must end in {', '.join(LIST_SUFFIXES)}")
    with new_file(path, overwrite) as temporary:
        if name.endswith(FITS_SUFFIXES):
            write_fits(_hdus(candidates), temporary)
        elif name.endswith(TABLE_SUFFIXES):
            write_table(candidates.table, temporary)
        elif name.endswith(".reg"):
            candidates.to_regions().write(temporary, format="ds9")
        else:
            # The errors of the parameters are in the file itself, so that it can be read alone
            candidates.to_models().write(temporary, write_covariance=False)


def _hdus(candidates):
    """Table, maps and provenance for a FITS file."""
    primary = primary_hdu(candidates.meta)
    for key in HEADER_CARDS.keys() & candidates.meta.keys():
        value = candidates.meta[key]
        primary.header[HEADER_CARDS[key]] = fits_text(value) if isinstance(value, str) else value
    hdus = [primary, table_hdu(candidates.table, "CANDIDATES"), provenance_hdu(candidates.meta)]
    for name, m in candidates.maps.items():
        hdus += m.to_hdulist(hdu=name, hdu_bands=f"{name}_bands")[1:]
    return hdus
