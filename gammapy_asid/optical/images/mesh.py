# Licensed under a 3-clause BSD style license - see LICENSE
"""Values on a mesh of blocks, smooth between their centres."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import distance_transform_edt, median_filter

__all__ = ["Mesh", "smooth_mesh"]


@dataclass(frozen=True, eq=False)
class Mesh:
    """Values at the centres of blocks that cover an image.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Shape ``(rows, columns)``.
    shape : tuple of int
        Shape of the image.
    is_straight : bool
        Whether values go straight on beyond the outermost centres, else they stay the same.
    """

    values: np.ndarray
    shape: tuple
    is_straight: bool = True

    def cut(self, ys, xs):
        """Values at the pixels of a part inside the image, by splines through the centres.

        Parameters
        ----------
        ys, xs : slice
            Rows and columns.

        Returns
        -------
        values : `~numpy.ndarray`
            Values in single precision, none beyond those of the blocks.
        """
        rows, columns = (np.arange(s.start, s.stop) for s in (ys, xs))
        if not (len(rows) and len(columns)):
            return np.zeros((len(rows), len(columns)), np.float32)
        values = self.values
        for axis in (0, 1):
            values = self._padded(values, axis)
        nodes = [
            (np.arange(-1, count + 1) + 0.5) * n / count - 0.5
            for n, count in zip(self.shape, self.values.shape, strict=True)
        ]
        kx, ky = (min(3, len(node) - 1) for node in nodes)
        part = RectBivariateSpline(*nodes, values, kx=kx, ky=ky)(rows, columns)
        return np.clip(part, values.min(), values.max()).astype(np.float32)

    def _padded(self, values, axis):
        """One more centre on either side."""
        if not self.is_straight or values.shape[axis] == 1:
            return np.pad(values, [(int(i == axis),) * 2 for i in (0, 1)], mode="edge")
        first, second, before, last = (np.take(values, [i], axis) for i in (0, 1, -2, -1))
        return np.concatenate([2 * first - second, values, 2 * last - before], axis)


def smooth_mesh(values):
    """Mesh without gaps and without single blocks that differ from all around them.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Values of blocks, NaN where there are none.

    Returns
    -------
    values : `~numpy.ndarray`
        Medians of three by three blocks; gaps have the value of the nearest block.
    """
    gaps = ~np.isfinite(values)
    if gaps.any():
        nearest = distance_transform_edt(gaps, return_distances=False, return_indices=True)
        values = values[tuple(nearest)]
    return median_filter(values, size=3, mode="nearest")
