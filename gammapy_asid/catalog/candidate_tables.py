# Licensed under a 3-clause BSD style license - see LICENSE
"""The table of candidates: checked, made of any list of sources, and read from files."""

from typing import NamedTuple

from astropy.table import QTable, Table
from gammapy.maps import Map

from ..utils.arguments import check_kind
from ..utils.files import regular_file
from ..utils.fits_files import open_fits
from ..utils.fits_tables import is_own_file, read_provenance, read_table
from ..utils.table_files import read_any_table
from .catalog_table import candidate_table
from .columns import BAND_COLUMNS, COLUMNS, GROUPS
from .names import iau_names
from .source_lists import list_columns

__all__ = ["CandidateData", "checked_table", "read_candidates", "table_of_list"]


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


def checked_table(table):
    """Table with the columns of candidates in their order, units and kinds.

    Parameters
    ----------
    table : `~astropy.table.Table`
        One row per candidate.

    Returns
    -------
    table : `~astropy.table.QTable`
        Columns of `~gammapy_asid.catalog.columns.COLUMNS`, and of groups as far as there.

    Raises
    ------
    TypeError
        If it is no table.
    ValueError
        If a column is missing or has a wrong unit.
    """
    check_kind("table", table, Table)
    columns = list(COLUMNS)
    for group in GROUPS:
        columns += group if any(column.name in table.colnames for column in group) else ()
    missing = [column.name for column in columns if column.name not in table.colnames]
    if missing:
        raise ValueError(
            f"The table has no column {', '.join(missing)}: see gammapy_asid.catalog.columns.COLUMNS"
        )
    checked = QTable({column.name: column.convert(table[column.name]) for column in columns})
    for column in columns:
        checked[column.name].info.description = column.description
    return checked


def table_of_list(table, columns=None, energy_range=None, meta=None):
    """Table of candidates from any list of sources.

    Parameters
    ----------
    table, columns, energy_range, meta
        See `gammapy_asid.Candidates.from_table`.

    Returns
    -------
    table : `~astropy.table.QTable`
        One row per source, for `checked_table`.

    Raises
    ------
    TypeError
        If it is no table.
    ValueError
        If it is no list of sources.
    """
    check_kind("table", table, Table)
    known = {column.name for column in COLUMNS}
    strange = sorted(set(columns or {}) - known)
    if strange:
        raise ValueError(
            f"Candidates have no column {', '.join(strange)}: see gammapy_asid.catalog.columns.COLUMNS"
        )
    positions, names, values = list_columns(table, columns, energy_range)
    own = QTable({"name": [n or new for n, new in zip(names, iau_names(positions), strict=True)]})
    own["ra"], own["dec"] = positions.ra, positions.dec
    own["glon"], own["glat"] = positions.galactic.l, positions.galactic.b
    for name, value in values.items():
        own[name] = value
    own["flags"] = 0
    if known <= set(table.colnames):
        own["flags"] = table["flags"]
        for column in (c for group in GROUPS for c in group if c.name in table.colnames):
            # Of one dimension in a text file
            if column not in BAND_COLUMNS or "flux" in (meta or {}):
                own[column.name] = table[column.name]
    return own


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
