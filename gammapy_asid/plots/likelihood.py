# Licensed under a 3-clause BSD style license - see LICENSE
"""The likelihood against the network: a picture of both."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator
from scipy.special import logit

from ..display.labels import place_labels
from ..display.style import COLOURS, plain_ticks
from ..likelihood.compare import disagreements

__all__ = ["plot_ts_against_score"]

#: Test statistics below are drawn here, for a logarithmic axis has no zero.
SMALLEST_TS = 0.1

#: Scores are drawn between these: a logit has no end at 0 and 1.
SCORES = 1e-3, 1 - 1e-3

#: Ticks of the scores as far as they are needed.
SCORE_TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999)


def plot_ts_against_score(candidates, score=0.9, ts=25.0, ax=None):
    """Test statistic of the likelihood against the score of the network.

    Candidates on which the two disagree, see `~gammapy_asid.likelihood.disagreements`, have a colour and a
    mark of their own, and their names as far as there is room. Scores and test statistics beyond the axes
    stand at their ends.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Fitted candidates.
    score, ts : float
        Limits from which the network and the likelihood are sure.
    ax : `~matplotlib.axes.Axes`, optional
        Axes to draw on.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    table, differ = candidates.table, disagreements(candidates, score, ts)
    ax = plt.subplots(figsize=(7, 5.2), layout="constrained")[1] if ax is None else ax
    fitted = np.isfinite(table["ts"])
    groups = {
        "both sure, or neither": (table[fitted & ~np.isin(table["name"], differ["name"])], COLOURS[0], "o"),
        "they disagree": (differ, COLOURS[1], "D"),
    }
    for label, (rows, colour, marker) in groups.items():
        places = _places(rows)
        ax.scatter(*places.T, s=24, c=colour, marker=marker, label=f"{label}: {len(rows)}", zorder=3)
    ax.axhline(ts, color="0.5", lw=0.9, ls="--", label=f"limits: score {score:g}, TS {ts:g}")
    ax.axvline(score, color="0.5", lw=0.9, ls="--")
    _scale(ax, _places(table[fitted]), score, ts)
    ax.set(xlabel="Score: probability to be real, by the network", ylabel="Test statistic (TS) of the fit")
    ax.set_title(f"{fitted.sum()} of {len(table)} candidates with a fit", fontsize=10)
    # Below the axes, where no name is
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3, frameon=False, fontsize=8)
    names = [str(name).removeprefix("ASID ") for name in differ["name"]]
    place_labels(ax, _places(differ), names, size=6)
    return ax


def _places(rows):
    """Scores and test statistics as they are drawn, shape ``(n, 2)``."""
    score = np.clip(np.asarray(rows["score"], float), *SCORES)
    return np.column_stack([score, np.maximum(np.asarray(rows["ts"], float), SMALLEST_TS)])


def _scale(ax, places, score, ts):
    """Axes that hold all candidates and both limits, with plain numbers."""
    scores, values = np.append(places[:, 0], score), np.append(places[:, 1], ts)
    ax.set(xscale="logit", yscale="log")
    spread = logit([max(scores.min(), SCORES[0]), min(scores.max(), SCORES[1])]) + np.array([-0.5, 0.5])
    ax.set_xlim(*(1 / (1 + np.exp(-spread))))
    ax.set_ylim(values.min() / 1.6, values.max() * 1.6)
    ax.xaxis.set_major_locator(FixedLocator(SCORE_TICKS))
    ax.xaxis.set_minor_locator(NullLocator())
    plain_ticks(ax.xaxis)
    # Two or three ticks in a power of ten, where there are few of them
    plain_ticks(ax.yaxis, (1, 3) if values.max() / values.min() < 3e3 else (1,))
