# Licensed under a 3-clause BSD style license - see LICENSE
"""Plots of classifiers of sources."""

import numpy as np

from .classification import accuracy_in_bins
from .drawing import current_axes, panels

__all__ = [
    "plot_accuracy",
    "plot_activations",
    "plot_class_activation",
    "plot_confusion",
    "plot_embedding",
]


def plot_confusion(matrix, names, ax=None):
    """Confusion matrix with its numbers.

    Parameters
    ----------
    matrix : `~numpy.ndarray`
        Result of `gammapy_asid.evaluation.classification.confusion`.
    names : list of str
        Names of the classes.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax = current_axes(ax)
    ax.imshow(matrix, vmin=0, vmax=1, cmap="Blues")
    for (row, column), value in np.ndenumerate(matrix):
        ax.text(column, row, f"{value:.3f}", ha="center", va="center", color="w" if value > 0.5 else "k")
    ticks = np.arange(len(names))
    ax.set(
        xticks=ticks, yticks=ticks, xticklabels=names, yticklabels=names, xlabel="Class", ylabel="True class"
    )
    return ax


def plot_accuracy(true, predicted, values, edges, ax=None, **kwargs):
    """Share of right classes against a quantity, on a logarithmic axis.

    Parameters
    ----------
    true, predicted, values, edges
        See `gammapy_asid.evaluation.classification.accuracy_in_bins`.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    **kwargs : dict
        Passed to `~matplotlib.axes.Axes.errorbar`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax, edges = current_axes(ax), np.asarray(edges, dtype=float)
    share, error, _ = accuracy_in_bins(true, predicted, values, edges)
    style = {"fmt": "o-", "markersize": 4, "capsize": 2} | kwargs
    ax.errorbar(np.sqrt(edges[:-1] * edges[1:]), share, yerr=error, **style)
    ax.set(xscale="log", ylabel="Share of right classes")
    return ax


def plot_embedding(points, values, ax=None, label=None, **kwargs):
    """Last hidden layer in two dimensions, coloured by class or by size.

    Parameters
    ----------
    points : `~numpy.ndarray`
        Result of `gammapy_asid.evaluation.interpretation.embed`.
    values : `~numpy.ndarray`
        Names of classes, or numbers, shape ``(n,)``.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    label : str, optional
        What the colour shows.
    **kwargs : dict
        Passed to `~matplotlib.axes.Axes.scatter`.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax, values = current_axes(ax), np.asarray(values)
    style = {"s": 5, "linewidths": 0, "rasterized": True} | kwargs
    if values.dtype.kind in "US":
        for name in np.unique(values):
            own = values == name
            ax.scatter(*points[own].T, label=name, **style)
        ax.legend(title=label, markerscale=3)
    else:
        shown = ax.scatter(*points.T, c=values, **style)
        ax.figure.colorbar(shown, ax=ax, label=label)
    ax.set(xticks=[], yticks=[])
    return ax


def plot_activations(maps, source=0, n_channels=6):
    """Most active channels of every block for one source.

    Parameters
    ----------
    maps : list of `~numpy.ndarray`
        Result of `gammapy_asid.evaluation.interpretation.activation_maps`.
    source : int
        Row.
    n_channels : int
        Channels of each block, those with the largest variance.

    Returns
    -------
    figure : `~matplotlib.figure.Figure`
        Figure.
    """
    figure, axes = panels(len(maps), n_channels, size=(1.5, 1.6))
    for number, (row, block) in enumerate(zip(axes, maps, strict=True), start=1):
        strongest = np.argsort(-block[source].var(axis=(1, 2)), kind="stable")
        for ax, channel in zip(row, strongest, strict=False):
            ax.imshow(block[source, channel], origin="lower", cmap="magma")
        for ax in row:
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(f"Block {number}")
    return figure


def plot_class_activation(counts, activation, ax=None):
    """Class-activation map as contours on an image of the counts.

    Parameters
    ----------
    counts : `~numpy.ndarray`
        Counts or excess, shape ``(size, size)``.
    activation : `~numpy.ndarray`
        One map of `gammapy_asid.evaluation.interpretation.class_activation_maps`.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax = current_axes(ax)
    ax.imshow(counts, origin="lower", cmap="gray_r")
    if activation.max() > 0:
        ax.contour(activation / activation.max(), levels=[0.25, 0.5, 0.75], cmap="autumn")
    ax.set(xticks=[], yticks=[])
    return ax
