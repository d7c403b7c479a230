# Licensed under a 3-clause BSD style license - see LICENSE
"""Figures of the page of an evaluation."""

from dataclasses import dataclass
from io import BytesIO

from matplotlib import cycler, rc_context

from .detection_figures import (
    draw_faint,
    draw_flux,
    draw_flux_by_latitude,
    draw_flux_distribution,
    draw_latitude,
    draw_purity_recall,
    draw_reliability,
    draw_sky,
)
from .drawing import COLOURS
from .measurement_figures import draw_coverage, draw_flux_pull, draw_flux_recovery, draw_offset

__all__ = ["FIGURES", "FigureSpec", "draw_figures"]

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
DPI = 130


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
    """

    section: str
    title: str
    caption: str
    draw: callable
    missing: str = ""


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


#: Figures of the page, in order.
FIGURES = {
    "flux": FigureSpec(
        "Purity and completeness",
        "Against flux",
        "Share of true sources found, and of candidates that are real, with 68 % binomial intervals. "
        "Both at the working threshold.",
        draw_flux,
    ),
    "latitude": FigureSpec(
        "Purity and completeness",
        "Against Galactic latitude",
        "The same against the absolute value of the latitude, for sources of all fluxes.",
        draw_latitude,
    ),
    "flux_by_latitude": FigureSpec(
        "Purity and completeness",
        "Against flux, by latitude",
        "Completeness (top) and purity (bottom) in ranges of latitude.",
        draw_flux_by_latitude,
        "Fewer than two ranges of latitude hold ten true sources.",
    ),
    "purity_recall": FigureSpec(
        "Precision and recall",
        "All thresholds",
        "Published matching: in order of decreasing score each candidate claims the brightest source left "
        "within the radius. Optimal matching: as many pairs as possible at each threshold. Dots mark the "
        "working thresholds.",
        draw_purity_recall,
    ),
    "faint": FigureSpec(
        "Precision and recall",
        "Faint sources gained against fakes",
        "As the threshold goes down, faint true sources are gained, and fakes with them. "
        "Dots mark the working thresholds.",
        draw_faint,
    ),
    "reliability": FigureSpec(
        "Precision and recall",
        "Reliability of the score",
        "Of candidates with a score of 0.8, four in five should be real. Bins hold equal numbers.",
        draw_reliability,
        "No list has scores between 0 and 1.",
    ),
    "offset": FigureSpec(
        "Positions",
        "Offset against flux",
        "Distance of each real candidate from its source, and the 68 % percentile in bins. "
        "Dashed: the matching radius, beyond which nothing is counted.",
        draw_offset,
        "No candidate is real.",
    ),
    "coverage": FigureSpec(
        "Positions",
        "Coverage of error ellipses",
        "Share of true positions inside the stated regions, against the stated probability; dots at 68 and "
        "95 %. Above the diagonal errors are too large, below too small. Right: its derivative, flat if the "
        "errors are true.",
        draw_coverage,
        "No list has error ellipses.",
    ),
    "flux_recovery": FigureSpec(
        "Fluxes",
        "Measured against true flux",
        "Real candidates at the working threshold. Faint ones are found where they fluctuate upwards.",
        draw_flux_recovery,
        "No list has fluxes.",
    ),
    "flux_pull": FigureSpec(
        "Fluxes",
        "Flux errors",
        "Measured minus true flux over the error on that side; dashed: a normal distribution.",
        draw_flux_pull,
        "No list has errors of fluxes in an energy range in which the truth is known.",
    ),
    "flux_distribution": FigureSpec(
        "Fluxes",
        "Distribution of fluxes",
        "All true sources, and those found at the working threshold.",
        draw_flux_distribution,
    ),
    "sky": FigureSpec(
        "Sky",
        "Where sources are found and missed",
        "True sources, larger the brighter, and fakes at the working threshold. Galactic coordinates.",
        draw_sky,
    ),
}
