# Licensed under a 3-clause BSD style license - see LICENSE
"""Columns of tables of others: positions and numbers, whatever their case and unit."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

__all__ = ["POSITION_COLUMNS", "column_name", "column_values", "table_positions"]

#: Names of the columns of positions, in any case, by frame.
POSITION_COLUMNS = {
    "icrs": (("ra", "dec"), ("raj2000", "dej2000"), ("radeg", "dedeg")),
    "galactic": (("glon", "glat"),),
}


def column_name(table, names):
    """The first of some names that a table has, in any case.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Table.
    names : sequence of str
        Names.

    Returns
    -------
    name : str or None
        Name as the table writes it.
    """
    own = {name.lower(): name for name in reversed(table.colnames)}
    return next((own[name.lower()] for name in names if name.lower() in own), None)


def column_values(column, unit=None):
    """Values of a column as floats, NaN where they are missing.

    Parameters
    ----------
    column : `~astropy.table.Column` or `~astropy.units.Quantity`
        Column.
    unit : `~astropy.units.Unit`, optional
        Unit of the result; a column without a unit is taken to be in it.

    Returns
    -------
    values : `~numpy.ndarray`
        Values.

    Raises
    ------
    ValueError
        If the column has another kind of unit, or no numbers.
    """
    values = np.ma.asarray(getattr(column, "value", column))
    try:
        values = np.ma.filled(values.astype(float), np.nan)
    except (ValueError, TypeError):
        raise ValueError(f"The column {column.info.name} holds no numbers") from None
    own = getattr(column, "unit", None)
    if unit is None or own is None:
        return values
    try:
        return u.Quantity(values, own).to_value(unit)
    except u.UnitConversionError:
        raise ValueError(f"The column {column.info.name} must be in {unit}, got {own}") from None


def table_positions(table, who):
    """Positions of the rows of a table.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Table with a pair of columns of `POSITION_COLUMNS`.
    who : str
        What the table is called in errors.

    Returns
    -------
    positions : `~astropy.coordinates.SkyCoord`
        Positions in the frame of the columns, NaN where they are missing.

    Raises
    ------
    ValueError
        If there are no such columns, or if they hold no angles.
    """
    for frame, pairs in POSITION_COLUMNS.items():
        for pair in pairs:
            names = [column_name(table, (name,)) for name in pair]
            if None not in names:
                try:
                    lon, lat = (column_values(table[name], u.deg) for name in names)
                except ValueError as error:
                    raise ValueError(f"{who} has no positions in deg: {error}") from None
                return SkyCoord(lon, lat, unit="deg", frame=frame)
    raise ValueError(f"{who} has no columns ra and dec, or glon and glat: name the positions so")
