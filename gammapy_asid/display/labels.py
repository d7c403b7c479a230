# Licensed under a 3-clause BSD style license - see LICENSE
"""Names beside marks that neither hide each other nor are cut."""

import numpy as np
from matplotlib.font_manager import FontProperties

from .style import outlined

__all__ = ["place_labels"]

#: Directions in which a name may stand from its mark, the first ones preferred.
DIRECTIONS = ((1, 1), (1, -1), (-1, 1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))

#: Distances from the mark in points; names farther away are joined to it by a line.
DISTANCES = (7, 15, 26)

#: Points between two names.
GAP = 2


def place_labels(ax, points, texts, colours=None, fontsize=7, size=8):
    """Write names beside marks where there is room: some of a crowd have none.

    Parameters
    ----------
    ax : `~matplotlib.axes.Axes`
        Axes, with their final limits.
    points : array-like
        Places of the marks in data coordinates, shape ``(n, 2)``.
    texts : sequence of str
        Names; empty ones are passed over.
    colours : sequence of str, optional
        Colours of the names, black by default.
    fontsize : float
        Size of the names, points.
    size : float
        Size of the marks, points.

    Returns
    -------
    number : int
        Names that were written.
    """
    points = np.reshape(np.asarray(points, float), (-1, 2))
    # Where the axes will be is known once the layout is done; that of axes with an aspect takes two steps
    for _ in range(2):
        ax.figure.draw_without_rendering()
    unit = ax.figure.dpi / 72
    places = ax.transData.transform(points) / unit
    frame = ax.bbox.extents / unit
    half = size / 2
    taken = [(x - half, y - half, x + half, y + half) for x, y in places]
    measure = ax.figure.canvas.get_renderer().get_text_width_height_descent
    font, number = FontProperties(size=fontsize), 0
    # All lines of text are as high as one with these letters
    line = measure("lp", font, False)[1] / unit
    colours = ["black"] * len(points) if colours is None else colours
    for (x, y), point, text, colour in zip(places, points, texts, colours, strict=True):
        if not text:
            continue
        width, height = (value / unit for value in measure(text, font, False)[:2])
        found = _free_place((x, y), (width, max(height, line)), taken, frame)
        if found is None:
            continue
        box, distance = found
        taken.append(box)
        number += 1
        leader = {"arrowstyle": "-", "lw": 0.5, "color": "0.4", "shrinkA": 0, "shrinkB": half / 2}
        note = ax.annotate(
            text,
            point,
            xytext=(box[0] + GAP - x, box[1] - y),
            textcoords="offset points",
            fontsize=fontsize,
            color=colour,
            va="bottom",
            annotation_clip=True,
            arrowprops=leader if distance > DISTANCES[0] else None,
        )
        note.set_path_effects(outlined())
    return number


def _free_place(place, size, taken, frame):
    """First free box around a place, and its distance; None where all is taken."""
    for distance in DISTANCES:
        for direction in DIRECTIONS:
            # The corner or the middle of a side that is nearest to the mark
            low = [
                p + distance * d * 0.7 - s * (1 - d) / 2
                for p, d, s in zip(place, direction, size, strict=True)
            ]
            box = (low[0] - GAP, low[1], low[0] + size[0] + GAP, low[1] + size[1])
            inside = box[0] > frame[0] and box[1] > frame[1] and box[2] < frame[2] and box[3] < frame[3]
            if inside and not any(_overlap(box, other) for other in taken):
                return box, distance
    return None


def _overlap(one, two):
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]
