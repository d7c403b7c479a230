# Licensed under a 3-clause BSD style license - see LICENSE
"""Tiles of an image, all of one shape."""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil

__all__ = ["Tile", "tiles_of"]


@dataclass(frozen=True)
class Tile:
    """Part of an image, and the inner part of it: the inner parts of all tiles are the image once.

    Parameters
    ----------
    ys, xs : slice
        Rows and columns of the tile.
    inner_ys, inner_xs : slice
        Rows and columns of its inner part.
    """

    ys: slice
    xs: slice
    inner_ys: slice
    inner_xs: slice


def tiles_of(shape, size, overlap):
    """Tiles that cover an image.

    Parameters
    ----------
    shape : tuple of int
        ``(ny, nx)``.
    size : int
        Largest side of the tiles. They are smaller where so many of them need less.
    overlap : int
        Least distance of the inner part from sides of the tile that lie in the image.

    Returns
    -------
    tiles : list of `Tile`
        Rows of tiles follow each other.

    Raises
    ------
    ValueError
        If tiles have no inner part.
    """
    if overlap < 0 or size <= 2 * overlap:
        raise ValueError(f"A tile of {size} pixels has no inner part at an overlap of {overlap}.")
    rows, columns = (_cuts(n, size, overlap) for n in shape)
    return [Tile(ys, xs, inner_ys, inner_xs) for ys, inner_ys in rows for xs, inner_xs in columns]


def _cuts(n, size, overlap):
    """Outer and inner slices along one axis: as few as possible, the inner ones of like size.

    Tiles end where the image does: like images of the training, they have nothing beyond.
    """
    count = max(1, ceil((n - 2 * overlap) / (size - 2 * overlap)))
    size = ceil((n + 2 * (count - 1) * overlap) / count)
    starts = [round(i * (n - size) / (count - 1)) for i in range(count)] if count > 1 else [0]
    edges = [0, *((first + size + second) // 2 for first, second in pairwise(starts)), n]
    return [
        (slice(start, start + size), slice(*inner))
        for start, inner in zip(starts, pairwise(edges), strict=True)
    ]
