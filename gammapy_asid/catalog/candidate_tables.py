# Licensed under a 3-clause BSD style license - see LICENSE
"""The table of candidates: checked, and made of positions or of any list of sources."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable, Table

from ..utils.arguments import check_kind
from .columns import BAND_COLUMNS, COLUMNS, FLUX_COLUMNS, GROUPS
from .names import iau_names
from .source_lists import list_columns

__all__ = ["check_same_sources", "checked_table", "table_of_list", "table_of_positions"]


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
        If a column is missing or has a wrong unit, or energies do not rise.
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
    _check_energies(checked, "e_min", "e_max")
    if "fit_e_min" in checked.colnames:
        _check_energies(checked, "fit_e_min", "fit_e_max")
    return checked


def _check_energies(table, low, high):
    """Check that energies rise where they are known."""
    e_min, e_max = table[low].value, table[high].value
    bad = np.isfinite(e_min) & np.isfinite(e_max) & ~((e_min > 0) & (e_min < e_max))
    if bad.any():
        raise ValueError(
            f"The table has {bad.sum()} rows whose {low} is not above 0 and below {high}: mend them"
        )


def check_same_sources(table, what, values, kind, do):
    """Check that values are those of candidates.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Candidates.
    what : str
        What the values are called in errors.
    values : object
        Values with a table of their own.
    kind : type
        What they must be.
    do : str
        What makes them.

    Raises
    ------
    TypeError, ValueError
        If they are of another kind, or those of other sources.
    """
    check_kind(what, values, kind)
    if list(values.table["name"]) != list(table["name"]):
        raise ValueError(f"The {what} are not those of these candidates: {do} them again")


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
    check_kind("columns", columns or {}, dict)
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


def table_of_positions(positions, score, axes_68, axes_95, pos_angle, flags):
    """Table of candidates without fluxes.

    Parameters
    ----------
    positions, score, axes_68, axes_95, pos_angle, flags
        See `gammapy_asid.Candidates.from_positions`.

    Returns
    -------
    table : `~astropy.table.QTable`
        One row per position, for `checked_table`.

    Raises
    ------
    TypeError, ValueError
        If an argument is something else, or of another shape than the positions.
    """
    check_kind("positions", positions, SkyCoord)
    if positions.ndim != 1:
        raise ValueError(
            f"positions must have the shape (n,), got {positions.shape}: give positions.reshape(-1)"
        )
    for name, axes in (("axes_68", axes_68), ("axes_95", axes_95)):
        if not u.Quantity(axes).unit.is_equivalent("deg") or np.shape(axes) != (*positions.shape, 2):
            raise ValueError(f"{name} must be two angles for each position, as a Quantity")
        if np.any(axes[:, 0] < axes[:, 1]):
            raise ValueError(
                f"{name} must hold the larger semi-axis first: swap them, and turn pos_angle by 90 deg"
            )
    if np.shape(score) != positions.shape:
        raise ValueError(f"There are {np.size(score)} values of score for {positions.size} positions")
    for name, value in (("pos_angle", pos_angle), ("flags", flags)):
        if np.shape(value) not in ((), positions.shape):
            raise ValueError(
                f"There are {np.size(value)} values of {name} for {positions.size} positions: give one for "
                "each, or one for all"
            )
    icrs, galactic = positions.icrs, positions.galactic
    table = {
        "name": np.array(iau_names(positions), dtype=str),
        "ra": icrs.ra,
        "dec": icrs.dec,
        "glon": galactic.l,
        "glat": galactic.b,
        "pos_err_68": np.sqrt(axes_68[:, 0] * axes_68[:, 1]),
        "pos_err_95": np.sqrt(axes_95[:, 0] * axes_95[:, 1]),
        "semi_major_68": axes_68[:, 0],
        "semi_minor_68": axes_68[:, 1],
        "semi_major_95": axes_95[:, 0],
        "semi_minor_95": axes_95[:, 1],
        "pos_angle": np.broadcast_to(pos_angle, positions.shape, subok=True),
        "score": score,
        **{
            column.name: u.Quantity(np.full(positions.shape, np.nan), column.unit)
            for column in COLUMNS
            if column.name in FLUX_COLUMNS
        },
        "flags": np.broadcast_to(flags, positions.shape),
    }
    return QTable(table)
