# Licensed under a 3-clause BSD style license - see LICENSE
"""Plots of classifiers of sources."""

import numpy as np

from ..display.style import class_style
from ..learning.score_calibration import expected_calibration_error
from .class_checks import checked_classes
from .class_metrics import RankedClass, calibration_by_chance
from .classification import accuracy_in_bins
from .detection_plots import plot_reliability
from .drawing import current_axes, panels
from .intervals import bootstrap_intervals, bootstrap_weights, share_intervals

__all__ = [
    "plot_accuracy",
    "plot_activations",
    "plot_class_activation",
    "plot_class_reliability",
    "plot_confusion",
    "plot_embedding",
    "plot_one_against_rest",
]


def plot_confusion(matrix, names, ax=None, number=None):
    """Confusion matrix with its numbers.

    Parameters
    ----------
    matrix : `~numpy.ndarray`
        Result of `gammapy_asid.evaluation.classification.confusion`.
    names : list of str
        Names of the classes.
    ax : `~matplotlib.axes.Axes`, optional
        Axes.
    number : array-like of int, optional
        Sources of each true class: stated beside the names, and shares get their 68 % intervals.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    ax, n_classes = current_axes(ax), len(names)
    ax.imshow(matrix, vmin=0, vmax=1, cmap="Blues")
    texts = [f"{value:.3f}" for value in np.ravel(matrix)]
    rows = list(names)
    if number is not None:
        rows = [f"{name}\n({n} sources)" for name, n in zip(names, number, strict=True)]
        shares = share_intervals(matrix, np.repeat(number, n_classes))
        texts = [str(share).replace(" ", "\n") if np.isfinite(share.value) else "-" for share in shares]
        texts = [text.replace(",\n", ", ") for text in texts]
    for text, ((row, column), value) in zip(texts, np.ndenumerate(matrix), strict=True):
        ax.text(column, row, text, ha="center", va="center", color="w" if value > 0.5 else "k")
    ticks = np.arange(n_classes)
    ax.set(xticks=ticks, yticks=ticks, xticklabels=names, yticklabels=rows)
    ax.set(xlabel="Class", ylabel="True class")
    ax.grid(False)
    return ax


def plot_class_reliability(true, probability, names=None, n_bins=15):
    """Share of the sources that are of a class against its probability, a panel for each class.

    Beside the calibration error stands what exactly true probabilities have by chance in so small a sample.

    Parameters
    ----------
    true, probability, names
        See `~gammapy_asid.evaluation.evaluate_classes`; sources without probabilities are left out.
    n_bins : int
        Bins of equal count.

    Returns
    -------
    figure : `~matplotlib.figure.Figure`
        Figure.
    """
    true, probability, names, judged = checked_classes(true, probability, names)
    true, probability = true[judged], probability[judged]
    figure, axes = panels(1, len(names), size=(3.4, 3.6))
    for i, (ax, (name, style)) in enumerate(zip(axes[0], class_style(names).items(), strict=True)):
        is_class, own = true == i, probability[:, i]
        error = expected_calibration_error(own, is_class, n_bins)
        chance = np.median(calibration_by_chance(own, np.ones(len(own)), n_bins))
        label = f"calibration error {error:.3f}\n({chance:.3f} by chance)"
        plot_reliability(own, is_class, n_bins, ax, label=label, **style)
        ax.legend(loc="lower right")
        ax.set(
            xlabel=f"Probability of {name}",
            ylabel=f"Share that is {name}",
            title=f"{name}: {is_class.sum()} of {len(true)} sources",
        )
    return figure


def plot_one_against_rest(true, probability, names=None, n_resamples=200, seed=0):
    """Each class against all others: receiver operating characteristic, and precision against recall.

    Bands hold 68 % of the curves of a bootstrap.

    Parameters
    ----------
    true, probability, names
        See `~gammapy_asid.evaluation.evaluate_classes`; sources without probabilities are left out.
    n_resamples : int
        Resamples of the bootstrap.
    seed : int
        Its seed.

    Returns
    -------
    figure : `~matplotlib.figure.Figure`
        Figure of two panels.
    """
    true, probability, names, judged = checked_classes(true, probability, names)
    true, probability = true[judged], probability[judged]
    weights = bootstrap_weights(len(true), n_resamples, seed)
    figure, axes = panels(1, 2, size=(4.6, 4.4))
    (roc, precise), recalls = axes[0], np.linspace(0, 1, 201)
    # Less than one source in all cannot be seen
    shares = np.geomspace(0.5 / len(true), 1, 201)
    for i, (name, style) in enumerate(class_style(names).items()):
        is_class = true == i
        if is_class.all() or not is_class.any():
            continue
        ranked = RankedClass(probability[:, i], is_class)
        figures = ranked.figures(weights, precision=1.0)
        curves = [_curves(*found, shares, recalls) for found in zip(*ranked.found(weights), strict=True)]
        panel = ((roc, "roc_area", shares), (precise, "average_precision", recalls))
        for (ax, key, grid), values in zip(panel, np.swapaxes(curves, 0, 1), strict=True):
            interval = bootstrap_intervals(figures[key][:, None])[0]
            low, high = np.quantile(values[1:], [0.16, 0.84], axis=0)
            ax.fill_between(grid, low, high, color=style["color"], alpha=0.2, linewidth=0)
            label = f"{name} ({is_class.sum()}): {interval}"
            every = dict(markevery=25, markersize=4) | style
            ax.plot(grid, values[0], label=label, **every)
        precise.axhline(is_class.mean(), color=style["color"], linestyle=":", linewidth=1)
    roc.plot(shares, shares, color="0.5", linestyle="--", linewidth=1)
    roc.set(
        xscale="log",
        xlim=(shares[0], 1),
        xlabel="Share of the others",
        ylabel="Recall",
        title=f"{len(true)} sources",
    )
    precise.set(xlim=(0, 1), xlabel="Recall", ylabel="Precision", title="Dotted: share of the class")
    for ax, what in ((roc, "area"), (precise, "average precision")):
        ax.set_ylim(0, 1.02)
        ax.legend(loc="lower right" if ax is roc else "lower left", title=f"Class (sources): {what}")
    return figure


def _curves(right, wrong, shares, recalls):
    """Recall at shares of the others, and precision at recalls, of weights at or above each threshold."""
    recall = np.append(0, right / right[-1])
    characteristic = np.interp(shares, np.append(0, wrong / wrong[-1]), recall)
    first = np.minimum(np.searchsorted(recall[1:], recalls - 1e-6), len(right) - 1)
    return characteristic, (right / (right + wrong))[first]


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
    style = {"s": 14, "linewidths": 0, "rasterized": True} | kwargs
    if values.dtype.kind in "US":
        for name, own_style in class_style([str(name) for name in np.unique(values)]).items():
            own = values == name
            ax.scatter(*points[own].T, label=f"{name} ({own.sum()})", **(own_style | style))
        ax.legend(title=label, markerscale=2)
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
