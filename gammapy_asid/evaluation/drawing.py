# Licensed under a 3-clause BSD style license - see LICENSE
"""What plots and figures share: axes, panels and the styles of lists."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "FigureSpec",
    "beside",
    "class_style",
    "coloured",
    "current_axes",
    "label_flux",
    "panels",
]

#: Colours of the lists, in their order.
COLOURS = ("#0b62a4", "#d1662a", "#2f8f5b", "#8a4fa3", "#a8323e", "#5d6d7e")

#: Colours of classes that all eyes tell apart (Okabe & Ito 2008), with markers for print without colours.
CLASS_STYLES = (
    ("#0072B2", "o"),
    ("#E69F00", "^"),
    ("#009E73", "s"),
    ("#CC79A7", "D"),
    ("#56B4E9", "v"),
    ("#D55E00", "P"),
    ("#7f7f7f", "X"),
)
#: Styles of the classes of sources: each has its own in all pictures.
SOURCE_CLASSES = {
    "AGN": 0,
    "PSR": 1,
    "PWN-SNR": 2,
    "FSRQ": 3,
    "BLL": 4,
    "BL LAC": 4,
    "BCU": 5,
    "FAKE": 6,
}


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


def class_style(names):
    """Colour and marker of classes.

    Parameters
    ----------
    names : sequence of str
        Classes. Those of sources (``AGN``, ``PSR``, ``PWN-SNR``, ``FSRQ``, ``BLL``, ``BCU``, ``FAKE``) look
        the same in all pictures, others by their order.

    Returns
    -------
    styles : dict of str to dict
        ``color`` and ``marker`` of each class.
    """
    known = [SOURCE_CLASSES.get(str(name).upper()) for name in names]
    free = iter([i for i in range(len(CLASS_STYLES)) if i not in known] * (1 + len(names)))
    numbers = [next(free) if number is None else number for number in known]
    return {
        name: dict(zip(("color", "marker"), CLASS_STYLES[number], strict=True))
        for name, number in zip(names, numbers, strict=True)
    }


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
