# Licensed under a 3-clause BSD style license - see LICENSE
"""Figures of the benchmark of Panes et al. 2021."""

import matplotlib.pyplot as plt
import numpy as np

from gammapy_asid.evaluation import plot_fraction, plot_offset, plot_purity_recall, plot_reliability
from gammapy_asid.evaluation.matching import match_brightest
from gammapy_asid.evaluation.metrics import purity_recall

__all__ = ["save_figure"]

EDGES = np.logspace(-11, -8, 13)


def save_figure(path, sky, predictions, case, purity=0.95):
    """Purity against recall of all cases; reliability, completeness and offsets of one.

    Parameters
    ----------
    path : path
        Image file.
    sky : `~benchmarks.sky235.Sky`
        The sky.
    predictions : dict of `~astropy.table.Table`
        Predictions by name of the case.
    case : str
        Case of the other figures.
    purity : float
        Purity at which completeness and offsets are drawn.
    """
    curves, matches = {}, {}
    for name, table in predictions.items():
        matches[name] = match_brightest(
            table["lon"],
            table["lat"],
            table["score"],
            *(sky.lon, sky.lat, sky.flux),
            pred_group=table["patch"],
            true_group=sky.patch,
        )
        curves[name] = purity_recall(table["score"], matches[name].is_matched, matches[name].n_true)
    match, score = matches[case], np.asarray(predictions[case]["score"])
    found = match.true_score(score) >= curves[case].threshold_at_purity(purity)

    figure, axes = plt.subplots(2, 2, figsize=(11, 9), layout="constrained")
    plot_purity_recall(curves, ax=axes[0, 0]).set(xlim=(0.3, 0.8), ylim=(0.7, 1.005))
    plot_reliability(score, match.is_matched, ax=axes[0, 1])
    for label, cut in {"|b| > 20 deg": np.abs(sky.lat) > 20, "|b| < 5 deg": np.abs(sky.lat) < 5}.items():
        plot_fraction(sky.flux[cut], found[cut], EDGES, ax=axes[1, 0], label=label)
    axes[1, 0].set_ylabel(f"Completeness at purity {purity:g}")
    axes[1, 0].legend(loc="upper left")
    source = np.flatnonzero(found)
    plot_offset(sky.flux[source], match.separation[match.pred_index[source]], EDGES, ax=axes[1, 1])
    figure.savefig(path, dpi=120)
    plt.close(figure)
