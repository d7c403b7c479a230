# Licensed under a 3-clause BSD style license - see LICENSE
"""What lists of true sources and of candidates have in common: rows with positions, read from tables."""

from dataclasses import fields, replace

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord

from ..utils.table_columns import column_name, column_text, column_values, table_positions
from ..utils.words import counted

__all__ = ["SkyRows", "check_finite", "fields_of", "flux_range", "galactic_positions"]


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
    group : `~numpy.ndarray` of str or None
        Values of the column as text, None without a name.

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
    values = table[column]
    if values.dtype.kind == "f":
        whole = np.rint(column_values(values))
        values = whole.astype(int) if np.array_equal(whole, column_values(values)) else values
    # One kind in all tables: some formats read 1 as a number and others as a text
    return column_text(values)


def flux_range(table, flux, who):
    """Range of energies of the fluxes of a table.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Table.
    flux : `~numpy.ndarray`
        Fluxes, shape ``(n,)``: rows without one do not count.
    who : str
        What the table is called in errors.

    Returns
    -------
    energy_range : tuple of float or None
        In GeV; None if there are no columns ``e_min`` and ``e_max``, or no fluxes.

    Raises
    ------
    ValueError
        If there are several ranges.
    """
    names = [column_name(table, (name,)) for name in ("e_min", "e_max")]
    known = np.isfinite(flux)
    if None in names or not known.any():
        return None
    low, high = (column_values(table[name], u.GeV)[known] for name in names)
    if not np.allclose(low, low[0]) or not np.allclose(high, high[0]):
        raise ValueError(f"Fluxes of {who} are in several energy ranges: estimate them in one")
    return float(low[0]), float(high[0])


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
