# Licensed under a 3-clause BSD style license - see LICENSE
"""Tables that fit the terminal, or 80 columns of a pipe: nothing in them is cut."""

from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table

from .common import console

__all__ = [
    "ROWS",
    "Shown",
    "asymmetric_columns",
    "energies",
    "error_column",
    "flags_column",
    "flux_column",
    "name_column",
    "number_column",
    "place_columns",
    "print_flags",
    "print_table",
]

#: Rows that are printed of a long table.
ROWS = 20

#: Blanks between columns, and the narrowest column of a text that is broken into lines.
GAP, NARROWEST = 2, 12


@dataclass(frozen=True)
class Shown:
    """A column as it is printed.

    Parameters
    ----------
    head : str
        Head; a second line is the unit.
    cells : list of str
        Texts.
    is_text : bool
        Whether it is a text, which stands at the left and may be broken into lines, and no number.
    dropped : int
        Columns with the highest number go first where the terminal is narrow; those with 0 stay.
    """

    head: str
    cells: list
    is_text: bool = False
    dropped: int = 0

    @property
    def widest(self):
        """Width of the longest line."""
        lines = [*self.head.split("\n"), *self.cells]
        return max(cell_len(line) for line in lines)

    @property
    def narrowest(self):
        """Width below which something would be cut."""
        heads = max(cell_len(line) for line in self.head.split("\n"))
        return min(self.widest, max(NARROWEST, heads)) if self.is_text else self.widest


def print_table(columns, more=0, title=None):
    """Print columns, as many as fit.

    Parameters
    ----------
    columns : list of `Shown`
        Columns; those without any text are left out.
    more : int
        Rows that the table has beside these.
    title : str, optional
        Line above the table.
    """
    columns = [own for own in columns if any(own.cells) or not own.cells]
    left_out = []
    while _width(columns) > console.width and any(own.dropped for own in columns):
        last = max(columns, key=lambda own: own.dropped)
        columns.remove(last)
        left_out.append(last.head.replace("\n", ", "))
    table = Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP, 0, 0), collapse_padding=True
    )
    for own in columns:
        table.add_column(
            escape(own.head),
            justify="left" if own.is_text else "right",
            no_wrap=not own.is_text,
            overflow="fold",
            min_width=own.narrowest,
        )
    for row in zip(*(own.cells for own in columns), strict=True):
        table.add_row(*(escape(cell) for cell in row))
    if title is not None:
        console.print(escape(title), soft_wrap=True)
    console.print(table)
    if more > 0:
        console.print(f"... and {more} more in the file")
    if left_out:
        console.print(f"Without {'; '.join(left_out[::-1])}, for which the terminal is too narrow")


def _width(columns):
    return sum(own.narrowest + GAP for own in columns) - GAP


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
    return Shown("Flags", [", ".join(flags.words(value)) for value in values], is_text=True)


def print_flags(flags, values):
    """Print what the flags mean that are set.

    Parameters
    ----------
    flags : type
        `~gammapy_asid.display.flags.DescribedFlag` of the column.
    values : sequence of int
        Bit masks.
    """
    met = {bit for value in values for bit in flags.bits(value)}
    for bit in sorted(met):
        console.print(f"{bit.word}: {bit.meaning}", soft_wrap=True, style="dim")


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
    lon, lat = number_column("l\n(deg)", table["glon"], 3), number_column("b\n(deg)", table["glat"], 3)
    return [name_column(table), lon, lat]


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
        return "" if unit is None else unit.to_string("fits")
    except ValueError:
        return str(unit)


def _plain(values):
    return getattr(values, "value", values)
