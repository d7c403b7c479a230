# Licensed under a 3-clause BSD style license - see LICENSE
"""Columns of tables of others: positions, their errors, names and numbers, whatever their case and unit."""

import re
from functools import reduce
from operator import truediv

import astropy.units as u
import numpy as np
from astropy.coordinates import Angle, SkyCoord

__all__ = [
    "NAMES",
    "POSITION_COLUMNS",
    "column_name",
    "column_text",
    "column_values",
    "plain_unit",
    "plain_values",
    "source_names",
    "table_positions",
]

#: Names of the columns of positions, in any case, by frame.
POSITION_COLUMNS = {
    "icrs": (
        ("ra", "dec"),
        ("raj2000", "dej2000"),
        ("raj2000", "decj2000"),
        ("radeg", "dedeg"),
        ("ra_deg", "dec_deg"),
        ("ra_j2000", "dec_j2000"),
        ("ra_icrs", "de_icrs"),
        ("_raj2000", "_dej2000"),
        ("_ra", "_de"),
        ("right_ascension", "declination"),
    ),
    "galactic": (("glon", "glat"), ("gal_lon", "gal_lat"), ("_glon", "_glat"), ("l", "b")),
}

#: Names of the column of names, in any case, from what is a name for sure to what may be a number.
NAMES = (
    "Source_Name",
    "name",
    "common_name",
    "PSRJ",
    "main_id",
    "designation",
    "source",
    "source_id",
    "id",
)

# Photons as others write them.
PHOTONS = re.compile(r"\b(photons?|phot)\b", re.IGNORECASE)


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


def plain_unit(unit):
    """Unit without photons, which do not count: ``ph cm-2 s-1`` is ``cm-2 s-1``.

    Parameters
    ----------
    unit : `~astropy.units.Unit`
        Unit, also one that Astropy did not recognise in a file.

    Raises
    ------
    `~astropy.units.UnitConversionError`
        If it is no unit.
    """
    if isinstance(unit, u.UnrecognizedUnit):
        text = PHOTONS.sub("ph", str(unit))
        try:
            # As 1/cm**2/s
            parts = [u.Unit("" if part.strip() == "1" else part) for part in text.split("/")]
            unit = reduce(truediv, parts)
        except ValueError:
            raise u.UnitConversionError(f"{unit} is no unit") from None
    return unit / u.ph ** sum(
        power for base, power in zip(unit.bases, unit.powers, strict=True) if base == u.ph
    )


def column_values(column, unit=None):
    """Values of a column as floats, NaN where they are missing.

    Parameters
    ----------
    column : `~astropy.table.Column` or `~astropy.units.Quantity`
        Column.
    unit : `~astropy.units.Unit` or str, optional
        Unit of the result, in which photons do not count; a column without a unit is taken to be in it.

    Returns
    -------
    values : `~numpy.ndarray`
        Values.

    Raises
    ------
    ValueError
        If the column has another kind of unit, or no numbers.
    """
    return plain_values(column, f"The column {column.info.name}", unit)


def plain_values(column, who, unit=None):
    """As `column_values`, of values of any kind, which may have no name of their own.

    Parameters
    ----------
    column : array-like, `~astropy.table.Column` or `~astropy.units.Quantity`
        Values.
    who : str
        What they are called in errors.
    unit : `~astropy.units.Unit`, optional
        See `column_values`.

    Returns
    -------
    values : `~numpy.ndarray`
        Values.

    Raises
    ------
    ValueError
        If they have another kind of unit, or are no numbers.
    """
    own, mask = getattr(column, "unit", None), getattr(column, "mask", False)
    values = getattr(column, "unmasked", column)
    values = np.ma.array(getattr(values, "value", values), mask=mask)
    try:
        values = np.ma.filled(values.astype(float), np.nan)
    except (ValueError, TypeError):
        raise ValueError(f"{who} holds no numbers") from None
    if unit is None or own is None:
        return values
    try:
        return plain_unit(own).to(unit, values)
    except u.UnitConversionError:
        raise ValueError(f"{who} must be in {str(unit) or 'no unit'}, got {own}") from None


def column_text(column):
    """Values of a column as text without blanks around, empty where they are missing.

    Parameters
    ----------
    column : `~astropy.table.Column`
        Column.

    Returns
    -------
    text : `~numpy.ndarray` of str
        Values.
    """
    values = np.ma.asarray(column)
    mask = np.broadcast_to(np.ma.getmaskarray(values), values.shape)
    values = np.asarray(values.data)
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    return np.char.strip(np.where(mask, "", values.astype(str))).astype(str)


def source_names(table):
    """Names of the rows of a table, None where it has no column of names.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Table with a column of `NAMES`.
    """
    name = column_name(table, NAMES)
    return None if name is None else column_text(table[name])


def table_positions(table, who):
    """Positions of the rows of a table.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Table with a pair of columns of `POSITION_COLUMNS`, numbers or sexagesimal texts, or with one column
        of `~astropy.coordinates.SkyCoord`.
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
                    lon = _angles(table[names[0]], u.hourangle if frame == "icrs" else u.deg)
                    lat = _angles(table[names[1]], u.deg)
                    if lon.ndim != 1 or lat.ndim != 1:
                        raise ValueError(f"The column {names[0]} or {names[1]} has several values in a row")
                    if np.any(np.abs(lat) > 90):
                        raise ValueError(f"The column {names[1]} has values beyond 90 deg")
                except ValueError as error:
                    raise ValueError(f"{who} has no positions in deg: {error}") from None
                return SkyCoord(lon, lat, unit="deg", frame=frame)
    mixed = [name for name in table.colnames if isinstance(table[name], SkyCoord)]
    if len(mixed) == 1:
        return table[mixed[0]]
    raise ValueError(
        f"{who} has no columns ra and dec, or glon and glat: name the positions so; it has "
        f"{', '.join(table.colnames) or 'no column'}"
    )


def _angles(column, sexagesimal):
    """Angles in deg; texts such as 05:34:31.9 are in the unit `sexagesimal`."""
    if column.dtype.kind in "OSU":
        text = column_text(column)
        filled = ~np.isin(text, ("", "--", "nan"))
        if any(re.search(r"\d\s*[ :hmd]\s*\d", value) for value in text[filled]):
            angles = np.full(len(text), np.nan)
            try:
                angles[filled] = Angle(text[filled], sexagesimal).deg
            except ValueError as error:
                raise ValueError(f"The column {column.info.name} holds no angles: {error}") from None
            return angles
    if column.info.unit == u.h and sexagesimal == u.hourangle:
        # As the right ascension is often given
        return column_values(column) * 15
    return column_values(column, u.deg)
