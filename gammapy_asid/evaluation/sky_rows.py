# Licensed under a 3-clause BSD style license - see LICENSE
"""What lists of true sources and of candidates have in common: rows with positions, read from tables."""

from dataclasses import fields, replace

import numpy as np
from astropy.coordinates import SkyCoord

from ..utils.table_columns import column_name, table_positions

__all__ = ["SkyRows", "check_finite", "fields_of", "galactic_positions"]


class SkyRows:
    """Columns that are selected together."""

    def __len__(self):
        return len(self.lon)

    @property
    def positions(self):
        """Positions (`~astropy.coordinates.SkyCoord`, Galactic)."""
        return SkyCoord(self.lon, self.lat, unit="deg", frame="galactic")

    def select(self, mask):
        """The same with some of the rows, given by a mask or indices."""
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

    Raises
    ------
    ValueError
        If there are no columns of positions, or values are missing.
    """
    positions = table_positions(table, who)
    check_finite(who, "position", positions.spherical.lon.deg, positions.spherical.lat.deg)
    return positions.galactic.l.deg, positions.galactic.b.deg


def fields_of(table, name, who):
    """Column of the field of each row, None without a name; a `ValueError` if the table lacks it."""
    if name is None:
        return None
    column = column_name(table, (name,))
    if column is None:
        raise ValueError(f"{who} has no column {name!r} of the fields: all tables need it")
    return np.asarray(table[column])


def check_finite(who, what, *values):
    """Raise a `ValueError` that counts the rows where a value is missing."""
    bad = ~np.all([np.isfinite(value) for value in values], axis=0)
    if np.any(bad):
        raise ValueError(f"{who} has {np.sum(bad)} rows without a {what}: drop them")
