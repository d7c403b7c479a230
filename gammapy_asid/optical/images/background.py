# Licensed under a 3-clause BSD style license - see LICENSE
"""Level and noise of the sky of blocks of pixels, in crowds too."""

from functools import lru_cache

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import gamma

__all__ = ["SHARES", "block_noise", "correlation_factor", "dark_spread", "dark_values", "sky_level"]

#: Shares of the pixels of a block whose values tell its level: the dark side, down to what dead pixels spoil.
SHARES = np.array([0.01, 0.02, 0.05, 0.1, 0.16, 0.3, 0.5, 0.6])
#: Share of the darkest pixels of a block on which noise is measured: they have the least light of sources.
DARK = 0.3
#: Median of the absolute value of a normal distribution of unit width.
MEDIAN = 0.6745
#: Side of blocks from which on every fourth pixel is enough.
DENSE = 32
#: Least share of valid pixels of a block.
LEAST = 0.1
#: Shape parameters and mean widths, in units of the noise, of the light in pixels.
SHAPES, SCALES = np.geomspace(0.1, 1.5, 8), np.geomspace(0.1, 50, 14)
#: Weight of no light over each of the other hypotheses: chosen on empty images, whose level comes out right.
EMPTY_WEIGHT = 200.0


def block_noise(blocks, step=1):
    """Noise of pixels by their second differences, in the darkest pixels of each block.

    Stars are smooth over `step` pixels and hardly count, even in crowds. A pixel's second difference does not
    depend on the mean of the nine pixels that says how dark it is.

    Parameters
    ----------
    blocks : `~numpy.ndarray`
        Pixels, NaN where there are no data, shape ``(n, ny, nx)``.
    step : int
        Distance of the pixels whose differences are taken.

    Returns
    -------
    noise : `~numpy.ndarray`
        Standard deviation of white noise with these differences, shape ``(n,)``; NaN for blocks with too few
        pixels.
    """
    parts = blocks
    for axis in (1, 2):
        size = parts[0].shape[axis] if isinstance(parts, tuple) else parts.shape[axis]
        thirds = [slice(i * step, size - (2 - i) * step, 2) for i in range(3)]
        take = (slice(None),) * axis
        pairs = parts if isinstance(parts, tuple) else (parts, parts)
        difference = (
            pairs[0][(*take, thirds[0])] - 2 * pairs[0][(*take, thirds[1])] + pairs[0][(*take, thirds[2])]
        )
        total = pairs[1][(*take, thirds[0])] + pairs[1][(*take, thirds[1])] + pairs[1][(*take, thirds[2])]
        parts = difference, total
    difference, light = (part.reshape(len(blocks), -1) for part in parts)
    light = np.where(np.isfinite(light), light, np.inf)
    chosen = max(1, int(DARK * light.shape[1]))
    darkest = np.argpartition(light, chosen - 1, axis=1)[:, :chosen]
    size = np.sort(np.abs(np.take_along_axis(difference, darkest, 1)), axis=1)
    count = np.isfinite(size).sum(1)
    median = size[np.arange(len(size)), np.maximum(count // 2, 0)]
    # Squares of the factors 1, -2, 1 along both axes sum to 36
    return np.where(count < max(3, LEAST * chosen), np.nan, median / (6 * MEDIAN))


def correlation_factor(near, wide):
    """Standard deviation of pixels over that of `block_noise`, for noise of neighbours that belongs together.

    Parameters
    ----------
    near, wide : `~numpy.ndarray`
        Noise of blocks by differences of step 1 and 2.

    Returns
    -------
    factor : float
        1 for white noise; for noise as of a resampled image that of a Gaussian correlation with their ratio
        in the blocks with the fewest stars.
    """
    ratio = near / wide
    ratio = ratio[np.isfinite(ratio)]
    if not len(ratio):
        return 1.0
    # Stars lower the ratio: the upper quartile belongs to blocks with few of them
    ratio = np.clip(np.quantile(ratio, 0.75), 0.02, 1)
    widths = np.linspace(0.2, 1.5, 200)
    by_step = [
        1 - 4 / 3 * np.exp(-(k**2) / (4 * widths**2)) + np.exp(-(k**2) / widths**2) / 3 for k in (1, 2)
    ]
    return float(np.interp(-ratio, -by_step[0] / by_step[1], 1 / by_step[0]))


def dark_values(blocks):
    """Values below which lie `SHARES` of the pixels of each block, apart from the slope of its sky.

    Parameters
    ----------
    blocks : `~numpy.ndarray`
        Pixels, NaN where there are no data, shape ``(n, ny, nx)``.

    Returns
    -------
    values : `~numpy.ndarray`
        Shape ``(n, len(SHARES))``; NaN for blocks with too few pixels.
    """
    sample = blocks if min(blocks.shape[1:]) < DENSE else blocks[:, ::2, ::2]
    values = np.sort((sample - _planes(sample)).reshape(len(sample), -1), axis=1)
    count = np.isfinite(values).sum(1)[:, None]
    at = np.minimum((SHARES * count).astype(int), np.maximum(count - 1, 0))
    return np.where(count < LEAST * sample[0].size, np.nan, np.take_along_axis(values, at, 1))


def dark_spread(values):
    """Standard deviation of a normal distribution with the darker half of the values of blocks.

    It is the noise where there are no sources, and more than that in crowds.

    Parameters
    ----------
    values : `~numpy.ndarray`
        By `dark_values`, shape ``(..., len(SHARES))``.

    Returns
    -------
    spread : `~numpy.ndarray`
        Slope of the values over those of the normal distribution, shape ``(...)``.
    """
    half = (SHARES > 0.01) & (SHARES <= 0.5)
    normal = ndtri(SHARES[half])
    normal -= normal.mean()
    return values[..., half] @ normal / (normal**2).sum()


def sky_level(values, noise, n_pixels):
    """Level of the sky below the light of sources.

    The values of the darker pixels are compared with those of a level with normal noise and the light of
    sources, distributed as a gamma function (the idea is that of Condon 1974, ApJ 188, 279); the level is the
    mean of all such fits, weighted by how well they do. In crowds where no pixel is without stars it is less
    biased than the mode.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Of blocks, by `dark_values`.
    noise : `~numpy.ndarray`
        Noise of each block, shape ``(n,)``.
    n_pixels : int
        Pixels in a block.

    Returns
    -------
    level : `~numpy.ndarray`
        Shape ``(n,)``.
    """
    values = values / noise[:, None]
    light, is_empty = _light_quantiles()
    # Errors of quantiles of normal noise, with half as much again where pixels are correlated, and what the
    # distribution itself is wrong by
    density = np.exp(-(ndtri(SHARES) ** 2) / 2) / np.sqrt(2 * np.pi)
    error = 1.5 * np.sqrt(SHARES * (1 - SHARES) / n_pixels) / density
    weights = 1 / (error**2 + 0.03**2)
    shares = weights / weights.sum()
    levels = (values @ shares)[:, None] - light @ shares
    chi2 = (values[:, None] - light - levels[..., None]) ** 2 @ weights
    likelihood = np.exp(-(chi2 - chi2.min(1, keepdims=True)) / 2) * np.where(is_empty, EMPTY_WEIGHT, 1)
    return (likelihood * levels).sum(1) / likelihood.sum(1) * noise


@lru_cache
def _light_quantiles():
    """Values at `SHARES` of noise of unit width with light of each kind, and which kind is no light."""
    shares = (np.arange(100) + 0.5) / 100
    light = np.concatenate([np.zeros((1, 100)), *(np.outer(SCALES, gamma.ppf(shares, k)) for k in SHAPES)])
    # The values wanted lie below the light of the brightest third and three standard deviations
    grid = np.linspace(-3.5, light[:, 70] + 3.5, 160, axis=1)
    below = ndtr(grid[..., None] - light[:, None]).mean(-1)
    values = [np.interp(SHARES, *pair) for pair in zip(below, grid, strict=True)]
    return np.array(values), np.arange(len(values)) == 0


def _planes(blocks, parts=4):
    """Slope of the sky over each block: medians of the slopes between all pairs of its parts."""
    n, ny, nx = blocks.shape
    if min(ny, nx) < 4 * parts:
        return np.zeros((), blocks.dtype)
    h, w = ny // parts, nx // parts
    cells = blocks[:, : h * parts, : w * parts].reshape(n, parts, h, parts, w).swapaxes(2, 3)
    cells = np.sort(cells.reshape(n, parts, parts, h * w), axis=-1)
    count = np.isfinite(cells).sum(-1, keepdims=True)
    quarter = np.take_along_axis(cells, count // 4, -1)[..., 0]
    first, second = np.triu_indices(parts, 1)
    slopes = []
    for level, size in ((quarter, h), (quarter.swapaxes(1, 2), w)):
        pairs = ((level[:, second] - level[:, first]) / ((second - first) * size)[:, None]).reshape(n, -1)
        pairs.sort(axis=1)
        middle = np.isfinite(pairs).sum(1) // 2
        slopes.append(np.nan_to_num(pairs[np.arange(n), middle])[:, None])
    y, x = (slope * (np.arange(size) - (size - 1) / 2) for slope, size in zip(slopes, (ny, nx), strict=True))
    return (y[:, :, None] + x[:, None]).astype(blocks.dtype)
