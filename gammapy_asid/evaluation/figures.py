# Licensed under a 3-clause BSD style license - see LICENSE
"""Figures of the page of an evaluation."""

from io import BytesIO

from matplotlib import cycler, rc_context

from .detection_figures import DETECTION_FIGURES
from .drawing import COLOURS
from .measurement_figures import MEASUREMENT_FIGURES
from .sky_figure import SKY_FIGURES

__all__ = ["FIGURES", "draw_figures"]

STYLE = {
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
# Sharp on a page of 1080 pixels.
DPI = 130

#: Figures of the page, in order.
FIGURES = DETECTION_FIGURES | MEASUREMENT_FIGURES | SKY_FIGURES


def draw_figures(evaluation):
    """Draw all figures that the evaluation has numbers for.

    Parameters
    ----------
    evaluation : `~gammapy_asid.evaluation.Evaluation`
        Evaluation.

    Returns
    -------
    figures : dict of str to bytes
        PNG files by the names of `FIGURES`.
    """
    figures = {}
    # Ticks and texts are made when a figure is saved: that needs the style, too
    with rc_context(STYLE):
        for name, spec in FIGURES.items():
            figure = spec.draw(evaluation)
            if figure is not None:
                buffer = BytesIO()
                figure.savefig(buffer, format="png", dpi=DPI)
                figures[name] = buffer.getvalue()
    return figures
