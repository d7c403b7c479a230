# Licensed under a 3-clause BSD style license - see LICENSE
"""What plots and figures share: axes, panels and the styles of lists."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from ..display.style import COLOURS

__all__ = [
    "FigureSpec",
    "beside",
    "coloured",
    "current_axes",
    "label_flux",
    "panels",
]


@dataclass(frozen=True)
class FigureSpec:
    """One figure of the page.

    Parameters
    ----------
    section : str
        Section of the page.
    title, caption : str
        Title, and what is to be seen.
    draw : callable
        Takes an `~gammapy_asid.evaluation.Evaluation`, returns a figure, or None where there is
        nothing to draw.
    missing : str
        Why there may be nothing.
    wide : bool
        Whether it needs the whole width of the page.
    """

    section: str
    title: str
    caption: str
    draw: Callable
    missing: str = ""
    wide: bool = False


def current_axes(ax):
    """The axes, or the current ones for None.

    Parameters
    ----------
    ax : `~matplotlib.axes.Axes` or None
        Axes.

    Returns
    -------
    ax : `~matplotlib.axes.Axes`
        Axes.
    """
    import matplotlib.pyplot as plt

    return plt.gca() if ax is None else ax


def panels(rows=1, columns=2, size=(4.9, 3.7), **kwargs):
    """Figure and its axes, shape ``(rows, columns)``, each of a size in inches.

    Parameters
    ----------
    rows, columns : int
        Numbers of panels.
    size : tuple of float
        Width and height of a panel in inches.
    **kwargs : dict
        Passed to `~matplotlib.figure.Figure.subplots`.

    Returns
    -------
    figure : `~matplotlib.figure.Figure`
        Figure.
    axes : `~numpy.ndarray`
        Axes, shape ``(rows, columns)``.
    """
    figure = Figure(figsize=(columns * size[0], rows * size[1]), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **kwargs)


def coloured(evaluation):
    """Results with the style of each.

    Parameters
    ----------
    evaluation : `~gammapy_asid.evaluation.Evaluation`
        Evaluation.

    Yields
    ------
    result : `~gammapy_asid.evaluation.ListResult`
        Result.
    style : dict
        Colour and label.
    """
    for i, result in enumerate(evaluation.results):
        yield result, {"color": COLOURS[i % len(COLOURS)], "label": result.label}


def beside(evaluation):
    """As `coloured`, shifted in the bins they share.

    Parameters
    ----------
    evaluation : `~gammapy_asid.evaluation.Evaluation`
        Evaluation.

    Yields
    ------
    result, style
        See `coloured`.
    """
    n = len(evaluation.results)
    for i, (result, style) in enumerate(coloured(evaluation)):
        yield result, style | {"shift": 0.16 * (i - (n - 1) / 2) if n < 6 else 0.0}


def label_flux(ax, evaluation, what="True flux"):
    """Label the axis of fluxes with their energy range.

    Parameters
    ----------
    ax : `~matplotlib.axes.Axes`
        Axes.
    evaluation : `~gammapy_asid.evaluation.Evaluation`
        Evaluation.
    what : str
        Name of the flux.
    """
    low, high = evaluation.truth.energy_range
    ax.set_xlabel(f"{what} {low:g}-{high:g} GeV [cm$^{{-2}}$ s$^{{-1}}$]")
