# Licensed under a 3-clause BSD style license - see LICENSE
"""Figure of the sky with what is found, for the page of an evaluation."""

import numpy as np

from .drawing import FigureSpec, coloured, panels

__all__ = ["SKY_FIGURES"]


def _draw_sky(evaluation):
    """Sources found and missed, and fakes."""
    n = len(evaluation.results)
    lon, lat = _centred(evaluation, evaluation.truth)
    width = max(np.ptp(lon), 1.0) / max(np.ptp(lat), 1.0)
    columns = 1 if width > 1.6 else min(n, 2)
    rows = -(-n // columns)
    panel = 9.8 / max(columns, 1) if columns > 1 else 6.5 if width < 1.6 else 9.8
    figure, axes = panels(rows, columns, (panel, np.clip(panel / width, 3.2, 6) + 0.5))
    for ax in axes.ravel()[n:]:
        ax.set_visible(False)
    for ax, (result, style) in zip(axes.ravel(), coloured(evaluation), strict=False):
        size = 6 + 14 * np.clip(np.log10(evaluation.truth.flux / evaluation.edges[0]), 0, 3)
        found, kept = result.found, result.kept
        real = result.matches.is_matched
        x, y = _centred(evaluation, result.candidates.select(kept & ~real))
        ax.scatter(
            lon[~found], lat[~found], s=size[~found], facecolors="none", edgecolors="0.55", label="missed"
        )
        ax.scatter(lon[found], lat[found], s=size[found], color=style["color"], lw=0, label="found")
        ax.scatter(x, y, marker="x", s=28, color="#111111", linewidths=1.2, label="fake")
        ax.set_title(result.label, loc="left")
        ax.set(xlabel="l [deg]", ylabel="b [deg]", aspect="equal")
        ax.invert_xaxis()
        ax.xaxis.set_major_formatter(lambda value, _: f"{value % 360:g}")
        # Above the axes, where no source is
        ax.legend(loc="lower right", bbox_to_anchor=(1, 0.99), ncols=3, columnspacing=1.2, handletextpad=0.2)
    return figure


def _centred(evaluation, rows):
    """Longitude near that of the centre, and latitude."""
    centre = evaluation.sample["center"][0]
    return centre + (rows.lon - centre + 180) % 360 - 180, rows.lat


#: Figure of the page.
SKY_FIGURES = {
    "sky": FigureSpec(
        "Sky",
        "Where sources are found and missed",
        "True sources, larger the brighter, and fakes at the working threshold. Galactic coordinates.",
        _draw_sky,
        wide=True,
    ),
}
