# Licensed under a 3-clause BSD style license - see LICENSE
"""Figures of the benchmark of classes and sizes."""

import numpy as np
import torch
from scipy.ndimage import uniform_filter

from gammapy_asid.evaluation.classification import confusion
from gammapy_asid.evaluation.classification_plots import (
    plot_accuracy,
    plot_activations,
    plot_class_activation,
    plot_confusion,
    plot_embedding,
)
from gammapy_asid.evaluation.drawing import panels
from gammapy_asid.evaluation.interpretation import activation_maps, attributions, class_activation_maps, embed
from gammapy_asid.evaluation.measurement_plots import plot_size_recovery

__all__ = ["draw_figures"]

TS_EDGES = np.geomspace(1, 1e5, 11)
SIZE_EDGES = np.geomspace(0.03, 1, 16)
#: Sources with error bars.
N_SHOWN = 300
#: Pixels over which attributions are averaged.
SMOOTHED = 5


def draw_figures(model, stamps, truth, predicted, survey):
    """Accuracy, a look at the last layer, and activation maps.

    `stamps` are those of the first sources; `survey` is the truth and the prediction of a second set, drawn
    beside the first.
    """
    edges, names = model.card.edges, np.array(model.card.classes)
    true, called = truth.classes(edges), predicted.probability.argmax(axis=1)
    figure, axes = panels(2, 2)
    plot_confusion(confusion(true, called, len(names)), names, axes[0, 0])
    for (what, guess), label in (((truth, predicted), "isolated"), (survey, "survey")):
        right = what.classes(edges), guess.probability.argmax(axis=1)
        plot_accuracy(*right, what.ts, TS_EDGES, axes[0, 1], label=label)
        plot_accuracy(*right, what.size, SIZE_EDGES, axes[1, 0], label=label)
    axes[0, 1].set(xlabel="Expected TS of the source", ylim=(0.3, 1.02))
    axes[1, 0].set(xlabel="True size [deg]", ylim=(0.3, 1.02))
    for edge in edges:
        axes[1, 0].axvline(edge, color="0.6", linestyle=":")
    axes[0, 1].legend()
    bright = np.flatnonzero(truth.ts > 25)[:N_SHOWN]
    plot_size_recovery(truth.size[bright], predicted.size[bright][:, 1:4], axes[1, 1], edges)
    figures = {"": figure}

    figure, axes = panels(2, 2)
    n = len(stamps)
    for row, method in zip(axes, ("pca", "tsne"), strict=True):
        points = embed(model, stamps, method)
        plot_embedding(points, names[true[:n]], row[0], "True class")
        plot_embedding(points, np.log10(truth.size[:n]), row[1], "log$_{10}$ true size [deg]")
        row[0].set_title({"pca": "Principal components", "tsne": "t-SNE"}[method])
    figures["_embedding"] = figure

    # One source of each class that is bright, but not so bright that every picture would do.
    usual = (truth.ts[:n] > 300) & (truth.ts[:n] < 3000)
    rows = [int(np.flatnonzero(usual & (true[:n] == i))[0]) for i in range(len(names))]
    stamps = stamps[torch.tensor(rows)]
    figure, axes = panels(len(rows), 5, size=(2.2, 2.2))
    for i, name in enumerate(names):
        own = stamps[i : i + 1]
        counts = own.counts[0, 1:].sum(0).numpy()
        plot_class_activation(counts, class_activation_maps(model, own, i)[0], axes[i, 0])
        axes[i, 0].set_ylabel(f"{name}, {truth.size[rows[i]]:.2f} deg")
        for band, (ax, share) in enumerate(zip(axes[i, 1:], attributions(model, own, i)[0], strict=True)):
            image = uniform_filter(share, SMOOTHED)
            limit = np.abs(image).max()
            ax.imshow(image, origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit)
            low, high = model.card.bands.edges[band : band + 2]
            ax.set_title(f"{low / 1e3:g}-{high / 1e3:g} TeV: {share.sum():+.1f}", fontsize=8)
            ax.set(xticks=[], yticks=[])
    figures["_activation"] = figure
    figures["_layers"] = plot_activations(activation_maps(model, stamps), 1)
    return figures
