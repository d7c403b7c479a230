# Licensed under a 3-clause BSD style license - see LICENSE
"""Pictures of trainings."""

import matplotlib.pyplot as plt
from astropy.table import Table
from gammapy.utils.scripts import make_path

from ..display.style import COLOURS, plain_ticks, say

__all__ = ["plot_training_history"]


def plot_training_history(history, axes=None):
    """Loss, purity and recall of each epoch of a training.

    Parameters
    ----------
    history : str or path
        ``metrics.csv`` in the folder of a training.
    axes : pair of `~matplotlib.axes.Axes`, optional
        Axes for the loss and for the validation.

    Returns
    -------
    axes : `~numpy.ndarray` of `~matplotlib.axes.Axes`
        Axes.

    Raises
    ------
    ValueError
        If the file has no columns ``epoch`` and ``loss``.
    """
    table = Table.read(make_path(history), format="ascii.csv")
    if not {"epoch", "loss"} <= set(table.colnames):
        raise ValueError(f"{history} is no training history: give the metrics.csv of a training")
    if axes is None:
        _, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
    colours = {"background": COLOURS[0], "counts": COLOURS[1]}
    lines = {"precision": ":", "recall": "--", "recall95": "-"}
    labels = {
        "precision": "purity at score 0.5",
        "recall": "recall at score 0.5",
        "recall95": "recall at purity 0.95",
        "background": "with background",
        "counts": "counts only",
    }
    axes[0].plot(table["epoch"], table["loss"], color="k")
    axes[0].set(xlabel="Epoch", ylabel="Loss", yscale="log", title="Training")
    plain_ticks(axes[0].yaxis, (1, 2, 5))
    for name in table.colnames:
        kind, _, inputs = name.partition("_")
        if kind in lines and inputs in colours:
            style = {"color": colours[inputs], "linestyle": lines[kind]}
            axes[1].plot(table["epoch"], table[name], label=f"{labels[kind]}, {labels[inputs]}", **style)
    axes[1].set(xlabel="Epoch", ylabel="Purity, recall", ylim=(0, 1), title="Validation")
    if axes[1].lines:
        # Below: a legend inside would hide lines
        axes[1].legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False)
    else:
        say(axes[1], "No figures of a validation")
    return axes
