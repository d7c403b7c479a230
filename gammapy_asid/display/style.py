# Licensed under a 3-clause BSD style license - see LICENSE
"""Style of all plots: colours that all eyes tell apart, marks that differ without colours, sizes of text."""

from matplotlib import colormaps, cycler
from matplotlib.colors import ListedColormap
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from .numbers import plain_tick

__all__ = [
    "COLOURS",
    "IMAGE_MAP",
    "PAPER_STYLE",
    "SCORE_MAP",
    "class_style",
    "outlined",
    "plain_ticks",
    "say",
]

#: Colours of lists and lines, in their order (Okabe & Ito 2008).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7f7f7f")

#: Markers of classes, one with each colour, for print without colours.
MARKERS = ("o", "P", "s", "D", "^", "v", "X")

#: Number of the colour and marker of each class of sources: it has them in all pictures.
SOURCE_CLASSES = {"AGN": 0, "PSR": 4, "PWN-SNR": 2, "FSRQ": 3, "BLL": 5, "BL LAC": 5, "BCU": 1, "FAKE": 6}

#: Colours of images of the sky.
IMAGE_MAP = "gray_r"

#: Colours of scores, low to high: orange to dark blue. Both ends stand out from white and from each other.
SCORE_MAP = ListedColormap(colormaps["plasma_r"](range(70, 246)), "asid_score")

#: Settings of Matplotlib for figures on a page.
PAPER_STYLE = {
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.facecolor": "white",
    "font.size": 10,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.7,
}


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
    free = iter([i for i in range(len(COLOURS)) if i not in known] * (1 + len(names)))
    numbers = [next(free) if number is None else number for number in known]
    return {
        name: {"color": COLOURS[number], "marker": MARKERS[number]}
        for name, number in zip(names, numbers, strict=True)
    }


def outlined(width=2.0):
    """Path effects with which texts and marks stand out from an image.

    Parameters
    ----------
    width : float
        Width of the white line around them, points.

    Returns
    -------
    effects : list
        For ``set_path_effects``.
    """
    return [withStroke(linewidth=width, foreground="white")]


def plain_ticks(axis, subs=None):
    """Write the ticks of an axis as plain numbers, also where it is logarithmic.

    Parameters
    ----------
    axis : `~matplotlib.axis.Axis`
        Axis.
    subs : sequence of float, optional
        Ticks of each power of ten of a logarithmic axis, such as ``(1, 3)``; by default as they are.
    """
    if subs is not None:
        axis.set_major_locator(LogLocator(subs=subs, numticks=20))
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(plain_tick))


def say(ax, text):
    """Write on axes without data why they have none.

    Parameters
    ----------
    ax : `~matplotlib.axes.Axes`
        Axes.
    text : str
        Text.
    """
    ax.text(0.5, 0.5, text, ha="center", va="center", transform=ax.transAxes, color="0.4")
    ax.set(xticks=[], yticks=[])
