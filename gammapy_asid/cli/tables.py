# Licensed under a 3-clause BSD style license - see LICENSE
"""Tables that fit the terminal, or 80 columns of a pipe: nothing in them is cut."""

from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from .common import console

__all__ = ["ROWS", "Shown", "print_flags", "print_table"]

#: Rows that are printed of a long table.
ROWS = 20

#: Width that the names of sources need, and the narrowest column of a text that is broken into lines.
COMFORTABLE, NARROWEST = 17, 8


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
    comfortable : int
        Width of a text below which other columns go before it is broken further.
    """

    head: str
    cells: list
    is_text: bool = False
    dropped: int = 0
    comfortable: int = COMFORTABLE

    @property
    def widest(self):
        """Width of the longest line."""
        lines = [*self.head.split("\n"), *self.cells]
        return max(cell_len(line) for line in lines)

    def width(self, least):
        """Width in which nothing is cut.

        Parameters
        ----------
        least : int
            Width to which a text may be broken.

        Returns
        -------
        width : int
            Width.
        """
        heads = max(cell_len(line) for line in self.head.split("\n"))
        return min(self.widest, max(least, heads)) if self.is_text else self.widest


def print_table(columns, more=0):
    """Print columns, as many as fit.

    Parameters
    ----------
    columns : list of `Shown`
        Columns; those without any text are left out.
    more : int
        Rows that the table has beside these.
    """
    if not columns[0].cells:
        console.print("No rows")
        return
    columns = [own for own in columns if any(own.cells)]
    left_out = []
    while _width(columns, 1) > console.width and any(own.dropped for own in columns):
        last = max(columns, key=lambda own: own.dropped)
        columns.remove(last)
        left_out.append(last.head.split("\n")[0])
    gap = 2 if _width(columns, 2) <= console.width else 1
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, gap - 1, 0, 0))
    widths = _widths(columns, gap)
    for own, width in zip(columns, widths, strict=True):
        justify = "left" if own.is_text else "right"
        table.add_column(Text(own.head), justify=justify, width=width, overflow="fold")
    for row in zip(*(own.cells for own in columns), strict=True):
        table.add_row(*(Text(cell) for cell in row))
    console.print(table, width=max(console.width, sum(widths) + gap * (len(widths) - 1)), crop=False)
    if more > 0:
        console.print(f"... and {more} more in the file")
    if left_out:
        console.print(f"Without {', '.join(left_out[::-1])}: the terminal is too narrow", soft_wrap=True)


def _widths(columns, gap):
    """Width of each column: names stay in one line if there is room for them, other texts where all fit."""
    fits = _width(columns, gap) <= console.width
    widths = [own.width(own.comfortable if fits else NARROWEST) for own in columns]
    spare = max(console.width - sum(widths) - gap * (len(widths) - 1), 0)
    for number, own in enumerate(columns):
        more = min(own.widest - widths[number], spare)
        widths[number], spare = widths[number] + more, spare - more
    return widths


def _width(columns, gap):
    return sum(own.width(own.comfortable) + gap for own in columns) - gap


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
        console.print(f"{bit.word}: {bit.meaning}", style="dim")
