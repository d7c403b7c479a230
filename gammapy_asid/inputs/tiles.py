# Licensed under a 3-clause BSD style license - see LICENSE
"""Fields larger than the network's view: cut into overlapping tiles and stitched."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Tile", "Tiling"]


@dataclass(frozen=True)
class Tile:
    """One tile of a field, in finest pixels.

    Parameters
    ----------
    outer : tuple of slice
        What the network sees, ``(y, x)``.
    inner : tuple of slice
        What is kept of it: the inner parts of all tiles partition the field.
    """

    outer: tuple
    inner: tuple

    def cut(self, array, level=0):
        """Outer part of an array whose last two axes have pixels of `level`.

        Parameters
        ----------
        array : `~numpy.ndarray` or `~torch.Tensor`
            Array of the field.
        level : int
            Resolution level.

        Returns
        -------
        part : `~numpy.ndarray` or `~torch.Tensor`
            View of it.
        """
        y, x = (slice(s.start >> level, s.stop >> level) for s in self.outer)
        return array[..., y, x]

    def put(self, result, out):
        """Write the inner part of a tile's result (finest pixels) into the field's array.

        Parameters
        ----------
        result : `~numpy.ndarray`
            Result of the tile, its last two axes the outer part.
        out : `~numpy.ndarray`
            Array of the field, which is changed.
        """
        y, x = (
            slice(i.start - o.start, i.stop - o.start) for i, o in zip(self.inner, self.outer, strict=True)
        )
        out[(..., *self.inner)] = result[..., y, x]


class Tiling:
    """Tiles that cover a field with overlap.

    Each inner part lies at least ``overlap`` pixels inside its tile, except at
    the edge of the field. With an overlap of at least the receptive field's
    reach, the stitched result is that of the whole field at once.

    Parameters
    ----------
    shape : tuple of int
        Shape of the field in finest pixels, multiples of `block`.
    tile : int
        Largest side of a tile; a multiple of `block`.
    overlap : int
        Margin around the inner part; a multiple of `block`.
    block : int
        Finest pixels along the coarsest one: tiles start at its multiples.

    Raises
    ------
    ValueError
        If sizes are no multiples of `block`, or if tiles have no inner part.
    """

    def __init__(self, shape, tile=384, overlap=96, block=8):
        if any(n % block for n in (*shape, tile, overlap)):
            raise ValueError(
                f"Field {tuple(shape)}, tile {tile} and overlap {overlap} must be multiples of {block}."
            )
        if tile <= 2 * overlap:
            raise ValueError(
                f"A tile of {tile} pixels has no inner part at an overlap of {overlap}: enlarge it."
            )
        self.shape = tuple(int(n) for n in shape)
        rows, columns = (_cuts(n, tile, overlap, block) for n in self.shape)
        self.tiles = [Tile((oy, ox), (iy, ix)) for oy, iy in rows for ox, ix in columns]

    def __len__(self):
        return len(self.tiles)

    def __iter__(self):
        return iter(self.tiles)

    def stitch(self, results):
        """Field of the inner parts of the tiles' results.

        Parameters
        ----------
        results : iterable of `~numpy.ndarray`
            One for each tile in order, shape ``(..., ny_tile, nx_tile)``.

        Returns
        -------
        field : `~numpy.ndarray`
            Shape ``(..., ny, nx)``.
        """
        field = None
        for tile, result in zip(self.tiles, results, strict=True):
            if field is None:
                field = np.empty((*result.shape[:-2], *self.shape), dtype=result.dtype)
            tile.put(result, field)
        return field


def _cuts(n, tile, overlap, block):
    """Outer and inner slices along one axis: as few tiles as possible, inner parts of like size."""
    if n <= tile:
        return [(slice(0, n), slice(0, n))]
    count = int(np.ceil((n - 2 * overlap) / (tile - 2 * overlap)))
    edges = [block * round((overlap + i * (n - 2 * overlap) / count) / block) for i in range(count + 1)]
    edges[0], edges[-1] = 0, n
    pairs = list(zip(edges[:-1], edges[1:], strict=True))
    return [(slice(max(0, a - overlap), min(n, b + overlap)), slice(a, b)) for a, b in pairs]
