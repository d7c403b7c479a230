# Licensed under a 3-clause BSD style license - see LICENSE
"""Figures with their 68 % and 95 % intervals: Wilson for shares, bootstrap for what is no share."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

__all__ = ["Interval", "bootstrap_intervals", "bootstrap_weights", "share_intervals", "short"]

#: Contents of the intervals.
CONTENTS = (0.68, 0.95)


@dataclass(frozen=True)
class Interval:
    """A figure with its intervals; NaN where it is not defined.

    Parameters
    ----------
    value : float
        Figure.
    low_68, high_68, low_95, high_95 : float
        Ends of the intervals.
    """

    value: float
    low_68: float
    high_68: float
    low_95: float
    high_95: float

    def __str__(self):
        return f"{short(self.value)} [{short(self.low_68)}, {short(self.high_68)}]"

    @property
    def text_95(self):
        """The 95 % interval as text."""
        return f"[{short(self.low_95)}, {short(self.high_95)}]"

    @property
    def numbers(self):
        """The figure and its intervals, as JSON holds them (dict)."""
        ends = {"interval_68": [self.low_68, self.high_68], "interval_95": [self.low_95, self.high_95]}
        return {"value": self.value} | ends


def short(value):
    """Three digits without the zero before the point; a dash for NaN.

    Parameters
    ----------
    value : float
        Value.

    Returns
    -------
    text : str
        Text.
    """
    return "-" if not np.isfinite(value) else f"{value:.3f}".replace("0.", ".", 1)


def share_intervals(share, number):
    """Wilson intervals of shares.

    Parameters
    ----------
    share : array-like
        Shares, 0 to 1, any shape; NaN where there is none.
    number : array-like
        Number of sources of each, of the same shape. Of weighted sources the effective one, the squared sum
        of the weights over the sum of their squares.

    Returns
    -------
    intervals : list of `Interval`
        One of each share.
    """
    share, number = np.ravel(share).astype(float), np.ravel(number).astype(float)
    columns = [share]
    with np.errstate(divide="ignore", invalid="ignore"):
        for content in CONTENTS:
            z2 = norm.isf((1 - content) / 2) ** 2
            middle = (share + z2 / (2 * number)) / (1 + z2 / number)
            half = np.sqrt(z2 * (share * (1 - share) / number + z2 / (4 * number**2))) / (1 + z2 / number)
            # A share of nothing or of all ends there: without what rounding adds
            columns += [np.minimum(np.maximum(middle - half, 0), share), np.maximum(middle + half, share)]
    return [Interval(*map(float, np.clip(row, 0, 1))) for row in np.transpose(columns)]


def bootstrap_weights(n_sources, n_resamples, seed=0):
    """Weights of the sources in each resample of a Bayesian bootstrap (Rubin 1981, Ann. Stat. 9, 130).

    No class of a few sources is ever lost, as it is where sources are drawn.

    Parameters
    ----------
    n_sources, n_resamples : int
        Numbers.
    seed : int
        Seed.

    Returns
    -------
    weights : `~numpy.ndarray`
        Shape ``(1 + n_resamples, n_sources)``; the first row are ones, the sources as they are.
    """
    weights = np.random.default_rng(seed).standard_exponential((1 + n_resamples, n_sources), dtype=np.float32)
    weights[0] = 1
    return weights


def bootstrap_intervals(values, mirrored=False):
    """Intervals of figures from their resamples.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Shape ``(1 + n_resamples, n_figures)``, in the first row the figures themselves.
    mirrored : bool
        Mirror the resamples at the figure (the basic bootstrap). A distance, such as a calibration error,
        grows by chance in the sample, and again in its resamples: mirrored, the second growth takes off the
        first.

    Returns
    -------
    intervals : list of `Interval`
        One of each figure.
    """
    ends = [(1 + sign * content) / 2 for content in CONTENTS for sign in (-1, 1)]
    columns = np.quantile(values[1:], ends, axis=0)
    if mirrored:
        columns = np.maximum(2 * values[0] - columns[[1, 0, 3, 2]], 0)
    return [Interval(*map(float, row)) for row in np.vstack([values[:1], columns]).T]
