# Licensed under a 3-clause BSD style license - see LICENSE
"""Bright, compact, unsaturated peaks of an image, and their sizes: where stars are looked for."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Moments", "find_peaks", "measure_moments", "stamps_at"]


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Moments within a Gaussian window that fits the source itself, arrays of one value a source.

    Parameters
    ----------
    x, y : `~numpy.ndarray`
        Centres in pixels of the image.
    xx, xy, yy : `~numpy.ndarray`
        Second moments of the Gaussian that fits, in pixels squared.
    flux, snr : `~numpy.ndarray`
        Flux of the Gaussian and its significance.
    """

    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    xy: np.ndarray
    yy: np.ndarray
    flux: np.ndarray
    snr: np.ndarray

    @property
    def sigma(self):
        """Width of a circle of equal area, in pixels."""
        return np.clip(self.xx * self.yy - self.xy**2, 1e-6, None) ** 0.25

    def __getitem__(self, chosen):
        return Moments(**{name: value[chosen] for name, value in vars(self).items()})

    def __len__(self):
        return len(self.x)


def find_peaks(signal, valid, saturated, threshold, border):
    """Pixels brighter than their eight neighbours, the brightest first.

    Parameters
    ----------
    signal : `~numpy.ndarray`
        Image over the noise of its sky, shape ``(ny, nx)``.
    valid, saturated : `~numpy.ndarray`
        Pixels with data, and those at saturation, bool of the same shape.
    threshold : float
        Lowest signal of the pixel.
    border : int
        Pixels at the edges without peaks.

    Returns
    -------
    y, x : `~numpy.ndarray`
        Rows and columns.
    """
    inside = signal[border:-border, border:-border]
    y, x = np.nonzero(inside > threshold)
    y, x = y + border, x + border
    value = signal[y, x]
    highest = valid[y, x] & ~saturated[y, x]
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            if (dy, dx) > (0, 0):
                highest &= value > signal[y + dy, x + dx]
            elif (dy, dx) < (0, 0):
                highest &= value >= signal[y + dy, x + dx]
    y, x = y[highest], x[highest]
    order = np.argsort(-signal[y, x], kind="stable")
    return y[order], x[order]


def stamps_at(image, y, x, half):
    """Squares around pixels, shape ``(n, 2 * half + 1, 2 * half + 1)``; all of them within the image."""
    steps = np.arange(-half, half + 1)
    return image[y[:, None, None] + steps[:, None], x[:, None, None] + steps]


def measure_moments(stamps, x, y, iterations=12):
    """Adaptive moments (Bernstein & Jarvis 2002, AJ 123, 583): the Gaussian that fits each source best.

    Parameters
    ----------
    stamps : `~numpy.ndarray`
        Squares around the sources over the noise of the sky, 0 where not valid, shape ``(n, m, m)``.
    x, y : `~numpy.ndarray`
        Pixels in the middle of the squares.
    iterations : int
        Steps; each brings the window to the source's own shape.

    Returns
    -------
    moments : `Moments`
        Of all sources; those that do not converge have a ``snr`` of 0.
    """
    half = stamps.shape[-1] // 2
    steps = np.arange(-half, half + 1, dtype=np.float32)
    n = len(stamps)
    cx, cy, xy = (np.zeros(n, dtype=np.float32) for _ in range(3))
    xx, yy = (np.full(n, 2.0, dtype=np.float32) for _ in range(2))
    with np.errstate(all="ignore"):
        for _ in range(iterations):
            dx, dy = steps[None, None, :] - cx[:, None, None], steps[None, :, None] - cy[:, None, None]
            det = xx * yy - xy**2
            a, b, c = (value[:, None, None] for value in (yy / det, -xy / det, xx / det))
            weight = np.exp(-0.5 * (a * dx**2 + 2 * b * dx * dy + c * dy**2))
            light = weight * stamps
            total = light.sum((1, 2))
            mx, my = (light * dx).sum((1, 2)) / total, (light * dy).sum((1, 2)) / total
            cx, cy = cx + 2 * mx, cy + 2 * my
            vxx, vyy, vxy = (
                (light * one * other).sum((1, 2)) / total - first * second
                for one, other, first, second in ((dx, dx, mx, mx), (dy, dy, my, my), (dx, dy, mx, my))
            )
            # The product of source and window is a Gaussian with the sum of the inverse matrices
            det, old = vxx * vyy - vxy**2, xx * yy - xy**2
            ia, ib, ic = vyy / det - yy / old, -vxy / det + xy / old, vxx / det - xx / old
            new = ia * ic - ib**2
            good = (new > 0) & (ia > 0) & np.isfinite(new)
            xx, yy, xy = (
                np.where(good, np.clip(value, low, half**2), 4 * before)
                for value, low, before in (
                    (ic / new, 0.1, xx),
                    (ia / new, 0.1, yy),
                    (-ib / new, -(half**2), xy),
                )
            )
        noise = np.sqrt((weight**2).sum((1, 2)))
        fine = good & (np.hypot(cx, cy) < 2) & (total > 0) & (xx < half**2 / 4) & (yy < half**2 / 4)
    snr = np.where(fine, total / noise, 0)
    return Moments(x=x + cx, y=y + cy, xx=xx, xy=xy, yy=yy, flux=2 * total, snr=snr)
