# Licensed under a 3-clause BSD style license - see LICENSE
"""The five pictures of the front page of the benchmarks, drawn from the tables of its detail pages."""

import re
from pathlib import Path

import matplotlib.pyplot as plt

from .common import arguments, file_of, save_picture

__all__ = ["figures", "read_tables", "value"]

NEEDS = "The pages of docs; a few seconds."
DOCS = Path(__file__).parents[1] / "docs"
#: Colours that can be told apart by all eyes (Okabe & Ito 2008): ours, peers, limits.
OWN, PEER, LIMIT = "#0072B2", "#777777", "#D55E00"


def read_tables(page):
    """Tables of a page.

    Parameters
    ----------
    page : path
        Markdown file.

    Returns
    -------
    tables : list of list of dict
        Rows of each table, by the names of its columns.
    """
    tables, lines = [], Path(page).read_text().splitlines()
    for number, line in enumerate(lines):
        if line.startswith("|") and "-" in line and set(line) <= set("|-: "):
            names = _cells(lines[number - 1])
            rows = []
            for row in lines[number + 1 :]:
                if not row.startswith("|"):
                    break
                rows.append(dict(zip(names, _cells(row), strict=True)))
            tables.append(rows)
    return tables


def _cells(line):
    return [cell.strip() for cell in line.strip()[1:-1].split("|")]


def value(tables, column, **wanted):
    """Text of the one cell that fits.

    Parameters
    ----------
    tables : list of list of dict
        Tables of a page.
    column : str
        Name of the column.
    wanted : dict
        Cells of its row, by names of columns; ``first`` is the cell at the beginning.

    Returns
    -------
    text : str
        Content of the cell.

    Raises
    ------
    LookupError
        If no cell or cells of different content fit.
    """
    first = wanted.pop("first", None)
    found = {
        row[column]
        for rows in tables
        for row in rows
        if column in row
        and first in (None, next(iter(row.values())))
        and all(row.get(name) == text for name, text in wanted.items())
    }
    if len(found) != 1:
        raise LookupError(f"{len(found)} cells '{column}' for {first} {wanted}, one is needed")
    return found.pop()


def figures(docs=DOCS):
    """Draw the pictures.

    Parameters
    ----------
    docs : path
        Folder of the pages.

    Returns
    -------
    figures : dict of `~matplotlib.figure.Figure`
        Pictures by the name of their files.
    """
    detection = read_tables(docs / "benchmarks_detection.md")
    league = read_tables(docs / "benchmarks_league.md")
    return {
        "front_found": found(detection),
        "front_positions": positions(detection, bright_limit(docs / "benchmarks_detection.md")),
        "front_errors": errors(detection),
        "front_real_sky": real_sky(league),
        "front_speed": speed(detection),
    }


def found(tables):
    """Share of the sources of a published simulated sky that is found, at a purity of 95 %."""
    cases = {
        "published network": "published network",
        "matched filter": "matched filter, background true, none at the edge",
        "network, counts only": "background none",
        "network": "background true",
    }
    shares = [float(value(tables, "R", case=case, P="0.95")) for case in cases.values()]
    fig, ax = _bars(list(cases), shares, "{:.1%}", "Share of all simulated sources that is found")
    for ts in ("25", "9"):
        label = "all else known, TS>25" if ts == "25" else "TS>9"
        share = max(
            float(row["recall"]) for rows in tables for row in rows if row.get("expected TS") == label
        )
        _limit(ax, share, f"TS > {ts}\n{share:.1%}")
    ax.set_xlim(0, 0.8)
    return fig


def bright_limit(page):
    """Smallest radius that photons and pixels of the published sky allow, as the page states it."""
    found = re.search(r"(\.\d+)° together", Path(page).read_text())
    if found is None:
        raise LookupError(f"{page} states no limit of the offsets ('.NNN° together')")
    return float(found[1])


def positions(tables, limit):
    """Radius that holds 68 % of the offsets of bright sources."""
    cases = {
        "published network": "published network",
        "TS map (some patches)": "TS map, some patches, none at the edge",
        "matched filter": "matched filter, background true, none at the edge",
        "network": "background true",
    }
    column = "S1>4.5e-10: 68 % offset, <0.15 deg"
    radii = [float(value(tables, column, case=case, P="0.95").split(",")[0]) for case in cases.values()]
    fig, ax = _bars(list(cases), radii, "{:.3f}°", "Radius with 68 % of the offsets of bright sources (deg)")
    _limit(ax, limit, f"photons and pixels allow {limit:.3f}°")
    ax.set_xlim(0, 0.17)
    return fig


def errors(tables):
    """Shares of the true values inside the stated intervals."""
    rows = {
        "position": ("position", "all"),
        "flux of a candidate": ("flux, detected, mean-variance", "all"),
        "flux at a given place": ("flux, given, mean-variance", "all"),
    }
    first = [rows_ for rows_ in tables if rows_ and "inside 68%" in rows_[0]][0]
    fig, ax = plt.subplots(figsize=(6.6, 2.5), layout="constrained")
    for number, (what, sources) in enumerate(rows.values()):
        for column in ("inside 68%", "inside 95%"):
            share = float(value([first], column, what=what, sources=sources))
            ax.plot(share, number, "o", ms=9, color=OWN)
            ax.annotate(f"{share:.1%}", (share, number), (9, 0), textcoords="offset points", va="center")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(xlim=(0.6, 1), ylim=(-0.6, len(rows) - 0.4), xlabel="Share of the true values inside the interval")
    for stated in (0.68, 0.95):
        _limit(ax, stated, f"stated: {stated:.0%}")
    _plain(ax)
    return fig


def real_sky(tables):
    """Real sources among the first fifty candidates of each method, by data."""
    data = {
        "3C 279": "field", "Galactic plane": "field", "Galactic centre": "field", "Vela": "field",
        "2FHL": "data", "3FHL": "data", "PSF3": "data",
    }  # fmt: skip
    methods = {"network": OWN, "matched filter, 3-D": "#CC79A7", "TS map, 3-D": PEER}
    fig, ax = plt.subplots(figsize=(6.6, 3.1), layout="constrained")
    for number, (method, colour) in enumerate(methods.items()):
        counts = [float(value(tables, "50", method=method, **{key: name})) for name, key in data.items()]
        places = [place + 0.27 * (number - 1) for place in range(len(data))]
        bars = ax.bar(places, counts, width=0.25, color=colour, label=method.removesuffix(", 3-D"))
        ax.bar_label(bars, fmt="%.0f", fontsize=7)
    ax.set_xticks(range(len(data)), [name.replace(" ", "\n") for name in data], fontsize=8)
    ax.set(ylabel="Real sources among\nthe first 50 of each field")
    ax.legend(frameon=False, loc="upper left", fontsize=8)
    _plain(ax)
    return fig


def speed(tables):
    """Processor time for the field of the Galactic centre."""
    cases = {
        "TS map, energies apart": "TS map, energy bins fitted together",
        "TS map, energies summed": "TS map, energies summed",
        "matched filter": "matched filter, of which 0.18 s are Gammapy's kernel of the point spread function",
        "network": "network",
    }
    seconds = [float(value(tables, "processor time", first=name).split()[0]) for name in cases.values()]
    fig, ax = _bars(list(cases), seconds, "{:.2g} s", "Processor time for the Galactic centre field (s)")
    ax.set_xscale("log")
    ax.set_xlim(0.1, 100)
    ax.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    return fig


def _bars(names, values, form, label):
    fig, ax = plt.subplots(figsize=(6.6, 2.5), layout="constrained")
    colours = [OWN if name.startswith("network") else PEER for name in names]
    ax.barh(names, values, color=colours, height=0.62)
    # Inside of the bars, where no line of a limit passes
    for place, number in enumerate(values):
        ax.annotate(form.format(number), (0, place), (8, 0), xycoords=("axes fraction", "data"),
                    textcoords="offset points", va="center", color="white", weight="bold")  # fmt: skip
    ax.set_xlabel(label)
    _plain(ax)
    return fig, ax


def _limit(ax, place, text):
    ax.axvline(place, color=LIMIT, ls="--", lw=1.2)
    where = ax.get_xaxis_transform()
    ax.text(place, 1.02, text, color=LIMIT, ha="center", va="bottom", transform=where, fontsize=8)


def _plain(ax):
    ax.spines[["top", "right"]].set_visible(False)


def parser():
    """Arguments of the program."""
    return arguments(__doc__, "docs/images")


def main(args=None):
    """Draw the pictures into a folder."""
    options = parser().parse_args(args)
    for name, fig in figures().items():
        path = Path(options.output) / name
        save_picture(fig, file_of(path, ".png"))
        plt.close(fig)


if __name__ == "__main__":
    main()
