# Licensed under a 3-clause BSD style license - see LICENSE
"""Tables of sources as people read them: the columns that matter, rounded, with units, flags as words."""

from dataclasses import dataclass
from html import escape
from textwrap import shorten

import astropy.units as u
import numpy as np
from astropy.table import Table

from ..utils.words import counted
from .numbers import MISSING, fixed, rounded

__all__ = ["SHOWN", "ShownColumn", "html_table", "html_unit", "meta_lines", "shown_columns", "text_lines"]


@dataclass(frozen=True)
class ShownColumn:
    """A column as it is shown.

    Parameters
    ----------
    name : str
        Column of the table.
    head : str
        What it is called.
    decimals : int, optional
        Decimals; by default the significant digits of `rounded`.
    error : str
        Column of its error, if there is one.
    e_min, e_max : str
        Columns of its range of energies, which is told in the head where all rows share it.
    is_size : bool
        Whether it is a size, of which the decimals leave nothing where a field is small: digits do then.
    """

    name: str
    head: str
    decimals: int | None = None
    error: str = ""
    e_min: str = ""
    e_max: str = ""
    is_size: bool = False


#: What is shown of a table, in this order; columns that it lacks are passed over.
SHOWN = (
    ShownColumn("name", "name"),
    ShownColumn("id", "id"),
    ShownColumn("xcentroid", "x", 2),
    ShownColumn("ycentroid", "y", 2),
    ShownColumn("ra", "ra", 4),
    ShownColumn("dec", "dec", 4),
    ShownColumn("pos_err_95", "r95", 3, is_size=True),
    ShownColumn("score", "score", 3),
    ShownColumn("flux", "flux", None, "flux_err", "e_min", "e_max"),
    ShownColumn("flux_ul", "flux_ul"),
    ShownColumn("index", "index", 2),
    ShownColumn("variability_index", "variability", 1),
    ShownColumn("extension_class", "size class"),
    ShownColumn("extended_prob", "extended", 3),
    ShownColumn("ext_sigma", "sigma", 3, is_size=True),
    ShownColumn("source_class", "class"),
    ShownColumn("prob_agn", "AGN", 2),
    ShownColumn("prob_psr", "PSR", 2),
    ShownColumn("prob_pwn_snr", "PWN-SNR", 2),
    ShownColumn("real_prob", "real", 2),
    ShownColumn("ts", "TS", 1),
    ShownColumn("fit_flux", "fitted flux", None, "fit_flux_err", "fit_e_min", "fit_e_max"),
    ShownColumn("fit_index", "fitted index", None, "fit_index_err"),
    ShownColumn("assoc_name", "association"),
    ShownColumn("assoc_prob", "prob.", 2),
    ShownColumn("star_prob", "star", 3),
    ShownColumn("artefact_prob", "artefact", 3),
    ShownColumn("mag", "mag", 2),
)

#: Colours of flags, which read on light and dark pages and for the colour-blind.
STYLE = """<style>
.asid-table { border-collapse: collapse; font-size: 90%; font-variant-numeric: tabular-nums; }
.asid-table th, .asid-table td { padding: .25em .7em; text-align: right; white-space: nowrap; }
.asid-table th:first-child, .asid-table td:first-child { text-align: left; }
.asid-table thead th { border-bottom: 1px solid currentColor; vertical-align: bottom; }
.asid-table thead small { display: block; font-weight: normal; opacity: .75; }
.asid-flag { display: inline-block; margin: 0 .15em; padding: 0 .5em; border-radius: .7em; font-size: 90%;
  background: #f2c14e; color: #1d1d1d; }
.asid-flag.severe { background: #b34700; color: #ffffff; }
</style>"""


#: Longest text of the provenance that is printed.
LONGEST = 80


def meta_lines(meta):
    """Provenance in lines; what is a dictionary itself stays in ``meta``.

    Parameters
    ----------
    meta : dict
        Provenance.

    Returns
    -------
    lines : list of str
        One of each entry.
    """
    return [
        f"  {key:<22}: {shorten(_value(value), LONGEST, placeholder=' ...')}"
        for key, value in meta.items()
        if not isinstance(value, dict) and value not in ([], None)
    ]


def _value(value):
    if isinstance(value, list):
        return ", ".join(_value(own) for own in value)
    return rounded(value) if isinstance(value, float) else str(value)


def shown_columns(table):
    """Columns of a table as texts.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table of sources.

    Returns
    -------
    columns : dict of str to tuple
        Unit, texts and values of each column by its head.
    """
    columns = {}
    for own in SHOWN:
        if own.name in table.colnames and table[own.name].ndim == 1 and _says_something(table[own.name]):
            columns |= _column(table, own)
    return columns


def text_lines(table, flags):
    """Lines of a table for a terminal.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table of sources, with a column ``flags``.
    flags : type
        `DescribedFlag` of that column.

    Returns
    -------
    lines : list of str
        Lines; of a long table the first and last rows.
    """
    if len(table) == 0:
        return ["no rows"]
    columns = shown_columns(table)
    shown = Table({head: texts for head, (_, texts, _) in columns.items()})
    for head, (unit, *_) in columns.items():
        shown[head].unit = unit or None
    shown["flags"] = [flags.text(value) for value in table["flags"]]
    align = ["<" if head in ("name", "flags") else ">" for head in shown.colnames]
    return [line.rstrip() for line in shown.pformat(max_width=-1, align=align)]


def html_table(table, flags, title, limit=20):
    """A table as HTML, without anything that a page would have to load.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        Table of sources, with a column ``flags``.
    flags : type
        `DescribedFlag` of that column.
    title : str
        What it is.
    limit : int
        Rows that are shown.

    Returns
    -------
    html : str
        HTML.
    """
    shown = table[:limit]
    columns = shown_columns(shown)
    heads = "".join(
        f"<th>{escape(h)}<small>{escape(html_unit(unit))}</small></th>" for h, (unit, *_) in columns.items()
    )
    rows = []
    for i, value in enumerate(shown["flags"]):
        cells = "".join(f"<td>{escape(texts[i])}</td>" for _, texts, _ in columns.values())
        rows.append(f"<tr>{cells}<td>{_badges(value, flags)}</td></tr>")
    left = len(table) - limit
    more = f"<p>{counted(left, 'more row')} in <code>.table</code></p>" if left > 0 else ""
    return (
        f"{STYLE}<p><b>{escape(title)}</b></p><table class='asid-table'><thead><tr>{heads}<th>flags</th></tr>"
        f"</thead><tbody>{''.join(rows)}</tbody></table>{more}"
    )


def _column(table, own):
    """One column, or that and its range of energies where rows have different ones."""
    values = table[own.name]
    unit, head = getattr(values, "unit", None), own.head
    unit = unit.to_string() if unit else ""
    ranges = {}
    if own.e_min in table.colnames and own.e_max in table.colnames:
        edges = [u.Quantity(table[name]).to_value("GeV") for name in (own.e_min, own.e_max)]
        known = {edge for edge in zip(*edges, strict=True) if np.isfinite(edge).all()}
        if len(known) == 1:
            head += " {:g}–{:g} GeV".format(*known.pop())
        elif known:
            texts = [
                MISSING if np.isnan(low) else f"{low:g}–{high:g}" for low, high in zip(*edges, strict=True)
            ]
            ranges[f"{own.head} range"] = ("GeV", texts, edges[0])
    return ranges | {head: (unit, _texts(table, own), values)}


def _texts(table, own):
    values = table[own.name]
    if values.dtype.kind not in "fiu":
        return [str(value) for value in values]
    values = getattr(values, "value", values)
    if values.dtype.kind in "iu":
        return [str(value) for value in values]
    if own.decimals is not None:
        lost = own.is_size & (values > 0) & (values < 0.5 / 10**own.decimals)
        return [
            rounded(value, digits=2) if is_lost else fixed(value, own.decimals)
            for value, is_lost in zip(values, lost, strict=True)
        ]
    errors = [None] * len(values)
    if own.error in table.colnames:
        errors = u.Quantity(table[own.error], getattr(table[own.name], "unit", None)).value
    return [rounded(value, error) for value, error in zip(values, errors, strict=True)]


def _says_something(values):
    """Whether a column has a value in any row; an empty table shows all."""
    if values.dtype.kind == "f":
        return len(values) == 0 or bool(np.isfinite(getattr(values, "value", values)).any())
    return True


def html_unit(unit):
    """Unit as it is written on a page.

    Parameters
    ----------
    unit : str
        Unit, empty without one.

    Returns
    -------
    text : str
        Such as ``cm⁻² s⁻¹``.
    """
    return u.Unit(unit).to_string("unicode") if unit else ""


def _badges(value, flags):
    bits = flags.bits(value)
    known = [
        f"<span class='asid-flag{' severe' * bit.severe}' title='{escape(bit.meaning)}'>{bit.word}</span>"
        for bit in bits
    ]
    return "".join(known + [escape(word) for word in flags.words(value)[len(bits) :]])
