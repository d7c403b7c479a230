# Licensed under a 3-clause BSD style license - see LICENSE
"""Columns of sources as they are printed: numbers rounded, fluxes with unit and energies, flags in words."""

from .tables import Shown

__all__ = [
    "asymmetric_columns",
    "energies",
    "error_column",
    "flags_column",
    "flux_column",
    "name_column",
    "number_column",
    "place_columns",
]


def flags_column(flags, values):
    """Column of flags in words.

    Parameters
    ----------
    flags : type
        `~gammapy_asid.display.flags.DescribedFlag` of the column.
    values : sequence of int
        Bit masks.

    Returns
    -------
    column : `Shown`
        Column, empty where nothing is flagged.
    """
    return Shown("Flags", [flags.text(value) for value in values], is_text=True, comfortable=10)


def name_column(table):
    """Column of the names.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table of sources.

    Returns
    -------
    column : `Shown`
        Column.
    """
    return Shown("Name", [str(name) for name in table["name"]], is_text=True)


def place_columns(table):
    """Names and Galactic positions.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table of sources.

    Returns
    -------
    columns : list of `Shown`
        Columns.
    """
    places = {"l\n(deg)": "glon", "b\n(deg)": "glat"}
    return [
        name_column(table),
        *(number_column(head, table[name], 3, dropped=1) for head, name in places.items()),
    ]


def number_column(head, values, decimals, dropped=0):
    """Numbers with as many decimals in each row.

    Parameters
    ----------
    head : str
        Head.
    values : array-like or `~astropy.units.Quantity`
        Numbers, in the unit of the head.
    decimals : int
        Decimals.
    dropped : int
        See `Shown`.

    Returns
    -------
    column : `Shown`
        Column.
    """
    from ..display.numbers import fixed

    return Shown(head, [fixed(value, decimals) for value in _plain(values)], dropped=dropped)


def error_column(head, values, errors, dropped=0):
    """Numbers with their errors, rounded by these.

    Parameters
    ----------
    head : str
        Head.
    values, errors : array-like or `~astropy.units.Quantity`
        Numbers, in the unit of the head.
    dropped : int
        See `Shown`.

    Returns
    -------
    column : `Shown`
        Column.
    """
    from ..display.numbers import rounded

    pairs = zip(_plain(values), _plain(errors), strict=True)
    return Shown(head, [rounded(value, error) for value, error in pairs], dropped=dropped)


def flux_column(table, name, error, low, high):
    """Fluxes with their errors, their range of energies in the head.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table of sources.
    name, error : str
        Columns of the flux and of its error.
    low, high : float
        Range of energies in GeV, see `energies`.

    Returns
    -------
    column : `Shown`
        Column.
    """
    head = f"Flux {low:.4g}-{high:.4g} GeV\n({_unit(table[name])})"
    return error_column(head, table[name], table[error])


def energies(table, low, high):
    """Range of energies of the fluxes in a table.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table of sources.
    low, high : str
        Columns of the ends of the range.

    Returns
    -------
    ends : tuple of float
        Lowest and highest energy in GeV.
    """
    import numpy as np

    return float(np.nanmin(table[low].to_value("GeV"))), float(np.nanmax(table[high].to_value("GeV")))


def asymmetric_columns(table, name, energy_range=None):
    """Fluxes with their lower and upper errors and their upper limits.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table of sources.
    name : str
        Column of the flux; those of errors and limit begin so.
    energy_range : tuple of float, optional
        Range of energies in GeV.

    Returns
    -------
    columns : list of `Shown`
        Columns.
    """
    from ..display.numbers import rounded

    unit = _unit(table[name])
    range_text = "" if energy_range is None else " {:.4g}-{:.4g} GeV".format(*energy_range)
    columns = {name: f"Flux{range_text}" + (f"\n({unit})" if unit else "")}
    columns |= {f"{name}_errn": "-", f"{name}_errp": "+", f"{name}_ul": "Upper limit\n95 %"}
    digits = {f"{name}_errn": 2, f"{name}_errp": 2}
    return [
        Shown(head, [rounded(value, digits=digits.get(own, 3)) for value in _plain(table[own])])
        for own, head in columns.items()
        if own in table.colnames
    ]


def _unit(values):
    """Unit of a column as it is written in FITS files, which is short."""
    unit = getattr(values, "unit", None)
    try:
        return "" if unit is None else " ".join(sorted(unit.to_string("fits").split()))
    except ValueError:
        return str(unit)


def _plain(values):
    return getattr(values, "value", values)
