# Licensed under a 3-clause BSD style license - see LICENSE
"""Pixels joined into blocks, fields padded to whole blocks, images moved to other pixels."""

import numpy as np
from gammapy.maps import WcsGeom
from scipy import sparse

__all__ = ["Regrid", "block_mean", "block_sum", "box_regrid", "pad_to_block", "padded_geom"]


def block_sum(array, k):
    """Sum over blocks of ``k x k`` pixels.

    Parameters
    ----------
    array : `~numpy.ndarray`
        Last two axes are the image, both multiples of ``k``.
    k : int
        Pixels along a side of a block.
    """
    *lead, ny, nx = array.shape
    return array.reshape(*lead, ny // k, k, nx // k, k).sum(axis=(-3, -1))


def block_mean(array, k):
    """Mean over blocks of ``k x k`` pixels, as `block_sum`.

    Parameters
    ----------
    array, k
        See `block_sum`.

    Returns
    -------
    mean : `~numpy.ndarray`
        Last two axes are the blocks.
    """
    return block_sum(array, k) / k**2


def pad_to_block(array, block):
    """Zeros (False) added at the top and right, up to a multiple of ``block``.

    Parameters
    ----------
    array : `~numpy.ndarray`
        Last two axes are the image.
    block : int
        Pixels along a side of a block.

    Returns
    -------
    padded : `~numpy.ndarray`
        A copy.
    """
    pad = [(0, 0)] * (array.ndim - 2) + [(0, -n % block) for n in array.shape[-2:]]
    return np.pad(array, pad)


def padded_geom(geom, block):
    """Image geometry of `pad_to_block`: the same WCS, more pixels.

    Parameters
    ----------
    geom : `~gammapy.maps.WcsGeom`
        Image geometry.
    block : int
        Pixels along a side of a block.

    Returns
    -------
    geom : `~gammapy.maps.WcsGeom`
        Image geometry.
    """
    ny, nx = geom.data_shape
    return WcsGeom(geom.wcs.deepcopy(), npix=(nx + -nx % block, ny + -ny % block))


class Regrid:
    """Transfer from the pixels of one image to those of another.

    Parameters
    ----------
    matrix : `~scipy.sparse.csc_array`
        Share of each native pixel (column) that falls in each target pixel
        (row); the columns of all pixels with data sum to 1.
    shape : tuple of int
        Target image shape ``(ny, nx)``.
    """

    def __init__(self, matrix, shape):
        self.matrix = matrix
        self.shape = shape

    @property
    def reached(self):
        """Native pixels that have a place in the target, shape ``(n_pix,)``."""
        return np.diff(self.matrix.indptr) > 0

    def spread(self, images):
        """Each pixel's value divided over the target pixels, sums conserved.

        Parameters
        ----------
        images : `~numpy.ndarray`
            Shape ``(n, n_pix)``, native pixels flattened.

        Returns
        -------
        spread : `~numpy.ndarray`
            Shape ``(n, ny, nx)``, float64.
        """
        images = np.asarray(images, dtype=float)
        return np.stack([(self.matrix @ image).reshape(self.shape) for image in images])

    def scatter(self, counts, rng):
        """Each count put in one target pixel, drawn with the shares of its native pixel.

        Keeps Poisson counts Poisson. Counts that are not integers (Asimov data)
        are spread instead.

        Parameters
        ----------
        counts : `~numpy.ndarray`
            Shape ``(n, n_pix)``, native pixels flattened.
        rng : `~numpy.random.Generator`
            Source of the draws.
        """
        whole = np.rint(counts)
        if self.matrix.nnz <= self.matrix.shape[1] or not np.array_equal(whole, counts):
            return self.spread(counts)
        cumulative = np.concatenate([[0.0], np.cumsum(self.matrix.data)])
        first, last = cumulative[self.matrix.indptr[:-1]], cumulative[self.matrix.indptr[1:]]
        images = []
        for image in whole.astype(int):
            pixel = np.repeat(np.arange(image.size), image)
            draw = first[pixel] + rng.random(pixel.size) * (last - first)[pixel]
            entry = np.searchsorted(cumulative, draw, side="right") - 1
            entry = np.clip(entry, self.matrix.indptr[pixel], self.matrix.indptr[pixel + 1] - 1)
            row = self.matrix.indices[entry]
            images.append(np.bincount(row, minlength=self.matrix.shape[0]).reshape(self.shape))
        return np.stack(images).astype(float)


def box_regrid(x, y, width, shape):
    """Regrid of native pixels made of small boxes.

    Every box has equal weight and is divided over the up to four target pixels
    that it overlaps, so that a uniform image stays uniform to about 1e-3.

    Parameters
    ----------
    x, y : `~numpy.ndarray`
        Centres of the boxes in target pixels, shape ``(n_pix, n_boxes)``.
        Pixels where they are not finite are left out.
    width : `~numpy.ndarray`
        Widths of the boxes along x and y in target pixels, at most 1; shape ``(2,)``
        or ``(2, n_pix, 1)``.
    shape : tuple of int
        Target image shape ``(ny, nx)``.

    Returns
    -------
    regrid : `Regrid`
        The transfer.
    """
    n_pix, n_boxes = x.shape
    good = np.isfinite(x) & np.isfinite(y)
    column = np.broadcast_to(np.arange(n_pix)[:, None], x.shape)[good]
    (ix, over_x), (iy, over_y) = (
        _split(a[good], np.broadcast_to(w, x.shape)[good]) for a, w in zip((x, y), width, strict=True)
    )
    rows, columns, shares = [], [], []
    for dx, share_x in ((0, 1 - over_x), (1, over_x)):
        for dy, share_y in ((0, 1 - over_y), (1, over_y)):
            share = share_x * share_y / n_boxes
            col, row = ix + dx, iy + dy
            keep = (share > 1e-6) & (col >= 0) & (col < shape[1]) & (row >= 0) & (row < shape[0])
            rows.append((row * shape[1] + col)[keep])
            columns.append(column[keep])
            shares.append(share[keep])
    entries = (np.concatenate(shares), (np.concatenate(rows), np.concatenate(columns)))
    matrix = sparse.coo_array(entries, shape=(shape[0] * shape[1], n_pix)).tocsc()
    total = matrix.sum(axis=0)
    matrix.data /= np.repeat(total, np.diff(matrix.indptr))
    return Regrid(matrix, shape)


def _split(centre, width):
    """Pixel of the lower edge of intervals, and the share of each that lies in the next pixel."""
    low = centre - width / 2 + 0.5
    index = np.floor(low).astype(int)
    return index, np.clip((low + width - index - 1) / width, 0, 1)
