# Licensed under a 3-clause BSD style license - see LICENSE
"""Bright, compact, unsaturated peaks of an image, and their sizes: where stars are looked for."""

from dataclasses import dataclass

import numpy as np

from ..batch import HALF
from .locus import find_locus

__all__ = ["Moments", "find_candidates", "find_peaks", "measure_moments", "stamps_at"]

#: Signal of the faintest peaks that are fitted as neighbours, and of the faintest candidates.
FAINTEST_PEAK, FAINTEST_CANDIDATE = 5.0, 8.0
#: Significance of the faintest candidates: a width with an error of five per cent.
FAINTEST_SNR = 20
#: Peaks whose shape is measured, the brightest ones, and candidates that are kept.
MOST_CANDIDATES, MOST_STARS = 600, 80
#: Smallest width of a star in pixels: hot pixels are narrower.
SHARPEST = 0.45
#: Largest ellipticity of a star: tracks of cosmic rays have more.
LONGEST = 0.5
#: Error of sizes and ellipticities beyond the noise.
SIZE_ERROR = 0.015
#: Largest error of sizes by the place of a star on its pixel.
MOST_ALIASING = 0.15
#: Least second moment of the windows in pixels squared: in narrower ones sums over pixels are no integrals.
WINDOW = 1.5


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

    @property
    def ellipticity(self):
        """The two parts of the ellipticity, shape ``(2, n)``."""
        return np.stack([self.xx - self.yy, 2 * self.xy]) / (self.xx + self.yy)

    @property
    def error(self):
        """Standard error of the logarithm of the size, and of the ellipticities."""
        size = self.sigma**2
        # Sums over pixels are no integrals where the source within its window is narrow beside them
        product = size * np.maximum(size, WINDOW) / (size + np.maximum(size, WINDOW))
        aliasing = np.minimum(20 * np.exp(-2 * np.pi**2 * product), MOST_ALIASING)
        return np.sqrt(SIZE_ERROR**2 + aliasing**2 + (1.4 / self.snr) ** 2)

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
    """Squares around pixels.

    Parameters
    ----------
    image : `~numpy.ndarray`
        Image, shape ``(ny, nx)``.
    y, x : `~numpy.ndarray`
        Rows and columns in the middle, at least ``half`` from the edges, shape ``(n,)``.
    half : int
        Pixels on either side.

    Returns
    -------
    stamps : `~numpy.ndarray`
        Shape ``(n, 2 * half + 1, 2 * half + 1)``.
    """
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
            wxx, wyy = np.maximum(xx, WINDOW), np.maximum(yy, WINDOW)
            old = wxx * wyy - xy**2
            a, b, c = (value[:, None, None] for value in (wyy / old, -xy / old, wxx / old))
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
            det = vxx * vyy - vxy**2
            ia, ib, ic = vyy / det - wyy / old, -vxy / det + xy / old, vxx / det - wxx / old
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
    snr = np.where(fine, total / np.maximum(noise, 1e-6), 0)
    return Moments(x=x + cx, y=y + cy, xx=xx, xy=xy, yy=yy, flux=2 * total, snr=snr)


def find_candidates(signal, valid, saturated):
    """Bright peaks that look like stars, see `find_locus`.

    Parameters
    ----------
    signal, valid, saturated : `~numpy.ndarray`
        Image with an invalid border of at least ``HALF`` pixels.

    Returns
    -------
    candidates : `Moments`
        The brightest first.
    peaks : `~numpy.ndarray`
        Positions ``(x, y)`` of all peaks, shape ``(n, 2)``.
    start : `~numpy.ndarray`
        Parameters of a `~gammapy_asid.optical.psf.profile.Moffat` profile of that shape.
    is_certain : bool
        Whether they are stars beyond doubt.
    """
    y, x = find_peaks(signal, valid, saturated, FAINTEST_PEAK, HALF + 1)
    peaks = np.stack([x, y], 1).astype(float)
    bright = signal[y, x] > FAINTEST_CANDIDATE
    y, x = y[bright], x[bright]
    # Without a neighbour that is out of range: its light is not known
    unknown = stamps_at(~valid, y, x, 2).any((1, 2))
    y, x = y[~unknown][:MOST_CANDIDATES], x[~unknown][:MOST_CANDIDATES]
    if not len(y):
        return _no_moments(), peaks, None, False
    width = np.median(measure_moments(stamps_at(signal, y[:60], x[:60], HALF), x[:60], y[:60]).sigma)
    half = int(np.clip(np.ceil(3 * width), 4, HALF))
    moments = measure_moments(stamps_at(signal, y, x, half), x, y)
    is_round = np.hypot(*moments.ellipticity) < LONGEST
    moments = moments[(moments.snr > FAINTEST_SNR) & (moments.sigma > SHARPEST) & is_round]
    if not len(moments):
        return moments, peaks, None, False
    near, middle, is_certain = find_locus(moments)
    start = np.array([np.log(2.3548 * moments.sigma[middle] * 0.95), np.log(3.0), 0, 0, 0])
    candidates = moments[near]
    order = np.argsort(-candidates.snr, kind="stable")[:MOST_STARS]
    return candidates[order], peaks, start, is_certain


def _no_moments():
    return Moments(**{name: np.zeros(0) for name in ("x", "y", "xx", "xy", "yy", "flux", "snr")})
