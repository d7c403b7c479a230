# Licensed under a 3-clause BSD style license - see LICENSE
"""Tables and the picture of the comparison of methods in real fields."""

import matplotlib.pyplot as plt
import numpy as np

from gammapy_asid.evaluation.intervals import bootstrap_intervals, bootstrap_weights

from ..common import rows_to_markdown
from .league_lists import NETWORK, PEERS
from .league_matching import NUMBERS

__all__ = ["difference", "figure", "numbers", "summed", "to_markdown"]

#: Resamples of the sources.
RESAMPLES = 2000
METHODS = (*NETWORK, *PEERS)


def by_source(fields, method):
    """Real matches of a method by source, of fields one after the other, shape ``(n_numbers, n_sources)``."""
    entries = [field["methods"][method] for field in fields.values()]
    return np.concatenate([entry["matched"] - entry["chance"] for entry in entries], axis=1)


def summed(fields, method):
    """Real matches among the first candidates of fields together, shape ``(n_numbers,)``."""
    return by_source(fields, method).sum(axis=1)


def difference(fields, method, other):
    """Difference of two methods in real matches, and their quotient, at each number of candidates.

    The sources are drawn anew by a bootstrap: what both find does not scatter.

    Parameters
    ----------
    fields : dict
        Results by field.
    method, other : str
        Methods.

    Returns
    -------
    differences, quotients : list of `~gammapy_asid.evaluation.intervals.Interval`
        One of each number of candidates.
    """
    first, second = by_source(fields, method), by_source(fields, other)
    weights = bootstrap_weights(first.shape[1], RESAMPLES)
    sums, others = weights @ first.T, weights @ second.T
    quotients = np.divide(sums, others, out=np.full(sums.shape, np.nan), where=others > 0)
    return bootstrap_intervals(sums - others), bootstrap_intervals(quotients)


def best_peer(fields):
    """The classical method with most real matches at the largest number of candidates."""
    return max(PEERS, key=lambda method: summed(fields, method)[-1])


def groups(fields):
    """Fields of each group of data, and all together."""
    names = dict.fromkeys(field["group"] for field in fields.values())
    parts = {name: {k: f for k, f in fields.items() if f["group"] == name} for name in names}
    return parts | {"all fields": fields}


def at_least(fields, method):
    """Number of pairs of a field and a number of candidates at which a method is not behind any peer."""
    behind = 0
    for name, field in fields.items():
        one = {name: field}
        best = np.max([summed(one, peer) for peer in PEERS], axis=0)
        behind += int((summed(one, method) < best - 1e-9).sum())
    total = len(fields) * len(NUMBERS)
    return f"{total - behind} of {total}"


def numbers(fields):
    """Numbers of all fields, and of the sums, as JSON holds them."""
    result = {}
    for name, field in fields.items():
        methods = {}
        for method, entry in field["methods"].items():
            real = (entry["matched"] - entry["chance"]).sum(axis=1)
            sums = {key: entry[key].sum(axis=1).tolist() for key in ("matched", "chance")}
            methods[method] = {"real": real.tolist(), "length": entry["length"], "seconds": entry["seconds"]}
            methods[method] |= sums
        result[name] = {key: field[key] for key in ("group", "radius", "sources")} | {"methods": methods}
    sums = {
        name: {method: summed(part, method).tolist() for method in METHODS}
        for name, part in groups(fields).items()
    }
    return {"numbers": list(NUMBERS), "fields": result, "sums": sums}


def to_markdown(fields):
    """Table of the fields, table of the groups, and the differences to the best of the classical methods."""
    rows = [
        _field_row(name, field, method, entry)
        for name, field in fields.items()
        for method, entry in field["methods"].items()
    ]
    first = [str(number) for number in NUMBERS]
    header = ["field", "sources", "radius", "method", *first, "matched", "by chance", "processor s"]
    text = rows_to_markdown(header, rows) + "\n"
    rows = [
        [name, str(len(part)), method, *(f"{value:.1f}" for value in summed(part, method))]
        for name, part in groups(fields).items()
        if len(part) > 1
        for method in METHODS
    ]
    text += rows_to_markdown(["data", "fields", "method", *first], rows) + "\n"
    rows = [row for name, part in groups(fields).items() for row in _difference_rows(name, part)]
    header = ["data", "method", "best classical at the end"]
    header += ["difference", "95 %", "quotient", "95 %", "never behind a classical method"]
    return text + rows_to_markdown(header, rows)


def _field_row(name, field, method, entry):
    real = (entry["matched"] - entry["chance"]).sum(axis=1)
    # A list that ends earlier has the same numbers from there on
    cells = [f"{v:.1f}" if n <= entry["length"] else f"({v:.1f})" for n, v in zip(NUMBERS, real, strict=True)]
    last = [
        f"{entry['matched'][-1].sum():.0f}",
        f"{entry['chance'][-1].sum():.1f}",
        f"{entry['seconds']:.1f}",
    ]
    return [name, str(field["sources"]), f"{field['radius']:g}°", method, *cells, *last]


def _difference_rows(name, part):
    peer = best_peer(part)
    rows = []
    for method in NETWORK:
        change, quotient = (values[-1] for values in difference(part, method, peer))
        row = [name, method, peer, f"{change.value:+.1f}", f"{change.low_95:+.1f} to {change.high_95:+.1f}"]
        row += [f"{quotient.value:.2f}", f"{quotient.low_95:.2f} to {quotient.high_95:.2f}"]
        rows.append([*row, at_least(part, method)])
    return rows


def figure(fields):
    """Real matches against the number of candidates, by group of data."""
    parts = groups(fields)
    columns = min(len(parts), 4)
    lines = -(-len(parts) // columns)
    fig, axes = plt.subplots(
        lines, columns, figsize=(3.1 * columns, 2.9 * lines), squeeze=False, layout="constrained"
    )
    styles = dict(zip(METHODS, ("C0o-", "C0o--", "C1s-", "C1s--", "C2^-", "C2^--"), strict=True))
    for ax, (name, part) in zip(axes.flat, parts.items(), strict=False):
        for method, style in styles.items():
            label = method if ax is axes.flat[0] else None
            ax.plot(NUMBERS, summed(part, method), style, ms=3.5, lw=1.2, label=label)
        ax.set(title=name if len(part) == 1 else f"{name}: {len(part)} fields", xlabel="first candidates")
        ax.set_ylim(bottom=0)
    for ax in axes.flat[len(parts) :]:
        ax.set_axis_off()
    for ax in axes[:, 0]:
        ax.set_ylabel("real 4FGL-DR4 sources")
    fig.legend(loc="outside lower center", ncols=3, fontsize="small")
    return fig
