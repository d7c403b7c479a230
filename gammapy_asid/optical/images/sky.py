# Licensed under a 3-clause BSD style license - see LICENSE
"""Level and noise of the sky over an image, measured strip by strip."""

import logging
from dataclasses import dataclass

import numpy as np

from .background import SHARES, block_noise, correlation_factor, dark_spread, dark_values, sky_level
from .binning import binned_cut
from .crowds import beside_crowds
from .mesh import Mesh, smooth_mesh

__all__ = ["Sky", "measure_sky"]

log = logging.getLogger(__name__)

#: Side of the blocks in which the sky is measured, in pixels (as SExtractor).
BLOCK = 64
#: Noise over that by the map of errors that gets a warning: resampling and clipping change it less.
DIFFERENT = 1.5


@dataclass(frozen=True, eq=False)
class Sky:
    """Level and noise of the sky over an image.

    Parameters
    ----------
    level : `Mesh`
        Light of the sky above the background that was given, or all of it, in the unit of the image.
    noise : `Mesh`
        Standard deviation of a pixel of sky.
    """

    level: Mesh
    noise: Mesh


def measure_sky(image, binning=1):
    """Level and noise of the sky of an image, read in strips of blocks.

    Parameters
    ----------
    image : `~gammapy_asid.optical.images.OpticalImage`
        Image.
    binning : int
        Pixels of the image along the side of the pixels that count.

    Returns
    -------
    sky : `Sky`
        Of the binned pixels.

    Raises
    ------
    ValueError
        If there are no pixels that can be used, or no noise.
    """
    shape = tuple(n // binning for n in image.shape)
    blocks = [max(1, round(n / BLOCK)) for n in shape]
    rows, columns = (np.linspace(0, n, count + 1).astype(int) for n, count in zip(shape, blocks, strict=True))
    near, wide, given = np.empty((3, *blocks))
    dark = np.empty((*blocks, len(SHARES)))
    random, without = np.random.default_rng(0), 0
    for row, ys in enumerate(slice(*pair) for pair in zip(rows[:-1], rows[1:], strict=True)):
        pixels = binned_cut(image, binning, ys, slice(0, shape[1]))
        without += pixels.n_without_error
        data = pixels.data if pixels.background is None else pixels.data - pixels.background
        if _is_coarse(data):
            # Between whole numbers: quantiles of few different values are off by a good part of a step
            data = data + random.uniform(-0.5, 0.5, data.shape).astype(np.float32)
        values = _by_block(np.where(pixels.valid & ~pixels.saturated, data, np.nan), columns)
        near[row], wide[row] = (block_noise(values, step) for step in (1, 2))
        dark[row] = dark_values(values)
        if pixels.variance is not None:
            errors = _by_block(np.where(pixels.valid, np.sqrt(pixels.variance), np.nan), columns)
            given[row] = dark_values(errors)[:, SHARES == 0.3][:, 0]
    _check(image, dark)
    # Blocks of one value only are no sky
    dark[~(np.ptp(dark, axis=-1) > 0)] = np.nan
    near[~(near > 0)] = np.nan
    near, wide, spread = (smooth_mesh(values) for values in (near, wide, dark_spread(dark)))
    noise = np.fmin(near * correlation_factor(near, wide), spread)
    if image.error is not None:
        _warn_of_errors(image, without)
        noise = _agreed(image, noise, smooth_mesh(given))
    level = np.array([sky_level(*of_row, BLOCK**2 // 4) for of_row in zip(dark, noise, strict=True)])
    level, noise = beside_crowds(smooth_mesh(level), noise, spread)
    _check_gain(image, level / binning**2, noise / binning)
    return Sky(level=Mesh(level, shape), noise=Mesh(noise, shape, is_straight=False))


def _is_coarse(data):
    """Whether values are whole numbers, and not all the same."""
    return (data == np.round(data)).all() and np.ptp(np.quantile(data[::4, ::4], [0.2, 0.8])) > 0


def _check_gain(image, level, noise):
    """Warn where photons of the sky alone make more noise than there is."""
    if image.gain is None or image.background is not None:
        return
    ratio = np.median(noise**2 * image.gain / np.maximum(level, 1e-30))
    if ratio < 1 / DIFFERENT**2:
        log.warning(
            f"The sky of {image.name} has {np.sqrt(ratio):.2g} times the noise that its photons make at a "
            f"gain of {image.gain:g} electrons a unit: is the gain right, and is no bias left in the image?"
        )


def _agreed(image, measured, given):
    """Noise of the sky by the map of errors, with a warning where the image has another."""
    ratio = np.median(measured / given)
    if not 1 / DIFFERENT < ratio < DIFFERENT:
        log.warning(
            f"The noise of {image.name} is {ratio:.2g} times that of its error map, which is used: "
            "are these standard deviations in the unit of the image?"
        )
    return given


def _warn_of_errors(image, without):
    """Warn of pixels that have data, but no error."""
    if without:
        share = without / np.prod(image.shape)
        log.warning(f"{share:.2g} of the error map of {image.name} is not positive: they are masked.")


def _check(image, dark):
    """Raise an error where there are no usable pixels, or no noise."""
    if not np.isfinite(dark).any():
        raise ValueError(
            f"{image.name} has no pixels that can be used: all are masked, NaN, infinite or saturated, "
            "or their errors are no positive numbers."
        )
    if not np.nanmax(np.ptp(dark, axis=-1)) > 0:
        raise ValueError(
            f"{image.name} has no noise, so nothing tells a source from the sky: is it constant, or a model?"
        )


def _by_block(strip, columns):
    """Values of each block of a strip, NaN where blocks are narrower than others, shape ``(n, ny, nx)``."""
    width = np.diff(columns).max()
    values = np.full((len(columns) - 1, len(strip), width), np.nan, strip.dtype)
    for block, first, last in zip(values, columns[:-1], columns[1:], strict=True):
        block[:, : last - first] = strip[:, first:last]
    return values
