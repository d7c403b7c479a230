# Licensed under a 3-clause BSD style license - see LICENSE
"""Light of the sky and its noise, on a mesh of blocks."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import distance_transform_edt, median_filter

__all__ = ["Mesh", "block_sky", "smooth_mesh"]

#: Rounds and limit of the clipping of sources, in standard deviations (as SExtractor).
ROUNDS, LIMIT = 10, 3.0
#: Share of the pixels of a block that must be valid for it to count.
SHARE = 0.2


def block_sky(values):
    """Level and noise of the sky of blocks of pixels.

    The values are clipped at three standard deviations about their median until nothing changes; the level
    is then the mode ``2.5 median - 1.5 mean``, or the median where the two differ by more than 0.3 standard
    deviations (Bertin & Arnouts 1996). The noise is the spread of the values below the level.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Values of the pixels of each block, shape ``(n, k)``; NaN where there are none. It is sorted in place.

    Returns
    -------
    level, noise : `~numpy.ndarray`
        Shape ``(n,)``; NaN for blocks with too few pixels.
    """
    values.sort(axis=1)
    k = values.shape[1]
    count = np.isfinite(values).sum(1)
    few = count < max(SHARE * k, 2)
    filled = np.where(np.isfinite(values), values, 0)
    shift = filled[:, :1].astype(float)
    sums = np.zeros((2, len(values), k + 1))
    centred = np.where(np.isfinite(values), filled - shift, 0)
    np.cumsum(centred, axis=1, out=sums[0, :, 1:])
    np.cumsum(centred**2, axis=1, out=sums[1, :, 1:])
    rows = np.arange(len(values))
    low, high = np.zeros(len(values), int), np.maximum(count, 1)
    for _ in range(ROUNDS):
        n = np.maximum(high - low, 1)
        mean, square = (s[rows, high] - s[rows, low] for s in sums)
        mean, square = mean / n, square / n
        std = np.sqrt(np.maximum(square - mean**2, 0))
        median = centred[rows, (low + high) // 2]
        lowest, highest = median - LIMIT * std, median + LIMIT * std
        inside = np.arange(k) < count[:, None]
        new_low = ((centred < lowest[:, None]) & inside).sum(1)
        new_high = np.maximum(((centred <= highest[:, None]) & inside).sum(1), new_low + 1)
        if (new_low == low).all() and (new_high == high).all():
            break
        low, high = new_low, np.minimum(new_high, np.maximum(count, 1))
    level = np.where(np.abs(mean - median) < 0.3 * std, 2.5 * median - 1.5 * mean, median)
    # The 16 % quantile of a normal distribution that has its mode there, from the values below it
    below = (centred < level[:, None]) & (np.arange(k) < count[:, None])
    at = below.sum(1) * 0.3173
    noise = level - centred[rows, np.minimum(at.astype(int), k - 1)]
    level = level + shift[:, 0]
    return np.where(few, np.nan, level), np.where(few, np.nan, noise)


@dataclass(frozen=True, eq=False)
class Mesh:
    """Values at the centres of blocks, smooth between them.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Shape ``(rows, columns)``.
    shape : tuple of int
        Shape of the image.
    """

    values: np.ndarray
    shape: tuple

    def cut(self, ys, xs):
        """Values at the pixels of a part, float32; beyond the image those of its edge."""
        y, x = (
            np.clip(np.arange(s.start, s.stop), 0, n - 1) for s, n in zip((ys, xs), self.shape, strict=True)
        )
        return self._spline()(y, x).astype(np.float32)

    def _spline(self):
        """Cubic where there are enough blocks; beyond the outermost centres straight on."""
        nodes, values = [], self.values
        for axis, n in enumerate(self.shape):
            size = n / values.shape[axis]
            nodes.append((np.arange(-1, values.shape[axis] + 1) + 0.5) * size - 0.5)
            first, last = np.take(values, [0], axis), np.take(values, [-1], axis)
            if values.shape[axis] > 1:
                second, before = np.take(values, [1], axis), np.take(values, [-2], axis)
                first, last = 2 * first - second, 2 * last - before
            values = np.concatenate([first, values, last], axis)
        degrees = {k: min(3, len(nodes[i]) - 1) for i, k in enumerate(("kx", "ky"))}
        return RectBivariateSpline(*nodes, values, **degrees)


def smooth_mesh(values):
    """Mesh without gaps and without single deviating blocks."""
    good = np.isfinite(values)
    if not good.all():
        nearest = distance_transform_edt(~good, return_distances=False, return_indices=True)
        values = values[tuple(nearest)]
    return median_filter(values, size=3, mode="nearest")
