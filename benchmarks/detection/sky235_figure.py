# Licensed under a 3-clause BSD style license - see LICENSE
"""Figures of the benchmark of Panes et al. 2021."""

import matplotlib.pyplot as plt
import numpy as np

from gammapy_asid.evaluation import (
    plot_fraction,
    plot_offset,
    plot_purity_recall,
    plot_reliability,
    purity_recall,
)

from .scoring import match

__all__ = ["figure"]

EDGES = np.logspace(-11, -8, 13)


def figure(sky, predictions, case, purity=0.95):
    """Purity against recall of all cases; reliability, completeness and offsets of one.

    Parameters
    ----------
    sky : `~benchmarks.skies.sky235.Sky`
        The sky.
    predictions : dict of `~astropy.table.Table`
        Predictions by name of the case.
    case : str
        Case of the other panels.
    purity : float
        Purity at which completeness and offsets are drawn.
    """
    curves, matches = {}, {}
    for name, table in predictions.items():
        matches[name] = match(sky, table)
        curves[name] = purity_recall(table["score"], matches[name].is_matched, matches[name].n_true)
    own, score = matches[case], np.asarray(predictions[case]["score"])
    found = own.true_score(score) >= curves[case].threshold_at_purity(purity)

    fig, axes = plt.subplots(2, 2, figsize=(11, 9), layout="constrained")
    plot_purity_recall(curves, ax=axes[0, 0]).set(xlim=(0.3, 0.8), ylim=(0.7, 1.005))
    plot_reliability(score, own.is_matched, ax=axes[0, 1])
    for label, cut in {"|b| > 20 deg": np.abs(sky.lat) > 20, "|b| < 5 deg": np.abs(sky.lat) < 5}.items():
        plot_fraction(sky.flux[cut], found[cut], EDGES, ax=axes[1, 0], label=label)
    axes[1, 0].set_ylabel(f"Completeness at purity {purity:g}")
    axes[1, 0].legend(loc="upper left")
    source = np.flatnonzero(found)
    plot_offset(sky.flux[source], own.separation[own.pred_index[source]], EDGES, ax=axes[1, 1])
    return fig
