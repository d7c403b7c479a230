# Licensed under a 3-clause BSD style license - see LICENSE
"""What lists of true sources and of candidates have in common: rows with positions, read from tables."""

from dataclasses import fields, replace

import numpy as np
from astropy.coordinates import SkyCoord

from ..utils.table_columns import column_name, table_positions
from ..utils.words import counted

__all__ = ["SkyRows", "check_finite", "fields_of", "galactic_positions"]


class SkyRows:
    """Columns that are selected together."""

    def __len__(self):
        return len(self.lon)

    def __repr__(self):
        label = f" {self.label!r}" if hasattr(self, "label") else ""
        return f"<{type(self).__name__}{label}: {counted(len(self), 'source')}>"

    @property
    def positions(self):
        """Positions (`~astropy.coordinates.SkyCoord`, Galactic)."""
        return SkyCoord(self.lon, self.lat, unit="deg", frame="galactic")

    def select(self, mask):
        """The same with some of the rows, given by a mask or indices.

        Parameters
        ----------
        mask : `~numpy.ndarray`
            Bool of shape ``(n,)``, or indices.

        Returns
        -------
        rows : `SkyRows`
            Of the same class.
        """
        columns = {
            f.name: getattr(self, f.name)[mask]
            for f in fields(self)
            if isinstance(getattr(self, f.name), np.ndarray)
        }
        return replace(self, **columns)


def galactic_positions(table, who):
    """Galactic longitude and latitude of the rows of a table in deg.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Table.
    who : str
        What the table is called in errors.

    Returns
    -------
    lon, lat : `~numpy.ndarray`
        Shape ``(n,)``.

    Raises
    ------
    ValueError
        If there are no columns of positions, or values are missing.
    """
    positions = table_positions(table, who)
    check_finite(who, "position", positions.spherical.lon.deg, positions.spherical.lat.deg)
    return positions.galactic.l.deg, positions.galactic.b.deg


def fields_of(table, name, who):
    """Field of each row, where fields overlap.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Table.
    name : str or None
        Column of the field.
    who : str
        What the table is called in errors.

    Returns
    -------
    group : `~numpy.ndarray` or None
        Values of the column, None without a name.

    Raises
    ------
    ValueError
        If the table lacks the column.
    """
    if name is None:
        return None
    column = column_name(table, (name,))
    if column is None:
        raise ValueError(f"{who} has no column {name!r} of the fields: all tables need it")
    return np.asarray(table[column])


def check_finite(who, what, *values):
    """Refuse rows where a value is missing.

    Parameters
    ----------
    who, what : str
        What the rows and the values are called in errors.
    *values : `~numpy.ndarray`
        Values, shape ``(n,)`` each.

    Raises
    ------
    ValueError
        If a value is not finite, with the number of such rows.
    """
    bad = ~np.all([np.isfinite(value) for value in values], axis=0)
    if np.any(bad):
        raise ValueError(f"{who} has {np.sum(bad)} rows without a {what}: drop them")
