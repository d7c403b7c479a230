# Licensed under a 3-clause BSD style license - see LICENSE
"""Figures of the page of an evaluation."""

from io import BytesIO

from matplotlib import rc_context

from ..display.style import PAPER_STYLE
from .detection_figures import DETECTION_FIGURES
from .measurement_figures import MEASUREMENT_FIGURES
from .sky_figure import SKY_FIGURES

__all__ = ["FIGURES", "draw_figures"]

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
    with rc_context(PAPER_STYLE):
        for name, spec in FIGURES.items():
            figure = spec.draw(evaluation)
            if figure is not None:
                buffer = BytesIO()
                figure.savefig(buffer, format="png", dpi=DPI)
                figures[name] = buffer.getvalue()
    return figures
