# Licensed under a 3-clause BSD style license - see LICENSE
"""Tiles of an image, all of one shape."""

from dataclasses import dataclass

__all__ = ["BLOCK", "Tile", "tiles_of"]

#: Sides of tiles below the largest are multiples of this: networks halve them up to four times.
BLOCK = 16


@dataclass(frozen=True)
class Tile:
    """Part of an image, and the inner part of it: the inner parts of all tiles are the image once.

    Parameters
    ----------
    ys, xs : slice
        Rows and columns of the tile, which may lie beyond the image.
    inner_ys, inner_xs : slice
        Rows and columns of its inner part, which lie in the image.
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
        Largest side of the tiles. They are smaller, multiples of `BLOCK`, where so many of them, or the
        whole image, need less.
    overlap : int
        Distance of the inner part from the side of the tile.

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
    """Outer and inner slices along one axis: as few as possible, the inner ones of like size."""
    count = -(-n // (size - 2 * overlap))
    size = min(size, -(-(-(-n // count) + 2 * overlap) // BLOCK) * BLOCK)
    edges = [round(i * n / count) for i in range(count + 1)]
    cuts = []
    for first, last in zip(edges[:-1], edges[1:], strict=True):
        start = (first + last - size) // 2
        cuts.append((slice(start, start + size), slice(first, last)))
    return cuts
