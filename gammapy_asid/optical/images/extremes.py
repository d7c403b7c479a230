# Licensed under a 3-clause BSD style license - see LICENSE
"""What the values of an image tell where its header does not: saturation, and zeros in place of data."""

import logging
from dataclasses import replace

import numpy as np

__all__ = ["with_extremes"]

log = logging.getLogger(__name__)

#: Rows read at once, and at most so many times, evenly over the image.
ROWS, STRIPS = 64, 40
#: Brightest values of each strip that are kept.
BRIGHTEST = 2000
#: Values that count as one level, as a share of it: flat fields and gains differ by less.
WIDTH = 0.05
#: Share of the pixels above half of a level that have it, from which on light has piled up there. A star that
#: falls off as a Gaussian has 7 % at its top, and values that are distributed by power laws have 5 %.
PILED = 0.25
#: Least number of pixels at that level: the top of one star that is not saturated has fewer.
LEAST = 12
#: Least level above the sky, in units of its noise: below it pixels are not full.
BRIGHT = 50.0
#: Share of zeros among the values from which on they stand for missing data.
ZEROS = 0.005


def with_extremes(image):
    """Image with the level of saturation that its values show, and without zeros in place of data.

    Parameters
    ----------
    image : `~gammapy_asid.optical.images.OpticalImage`
        Image.

    Returns
    -------
    image : `~gammapy_asid.optical.images.OpticalImage`
        With the lower one of the level of saturation that is known and of that where values pile up.
    """
    sample, brightest = _values(image)
    if not len(sample):
        return image
    sky, low = np.quantile(sample, [0.5, 0.16])
    if image.missing is None and _has_zeros(sample):
        log.warning(
            f"{image.name}: {np.mean(sample == 0):.1%} of the pixels are exactly zero: taken as no data."
        )
        image = replace(image, missing=0.0)
        sample = sample[sample != 0]
        sky, low = np.quantile(sample, [0.5, 0.16])
    level = _piled_up(np.sort(brightest)[::-1], sky, sky - low)
    if level is None or (image.saturation is not None and image.saturation <= level):
        return image
    log.info(f"{image.name}: values pile up at {level:.6g}, which is taken for saturation.")
    return replace(image, saturation=level, origin=image.origin | {"saturation": "values that pile up"})


def _values(image):
    """Every fourth value along both axes, and the brightest ones."""
    starts = np.arange(0, image.shape[0], ROWS)
    if len(starts) > STRIPS:
        starts = starts[np.linspace(0, len(starts) - 1, STRIPS).astype(int)]
    sample, brightest = [], []
    for start in starts:
        data, mask, _ = image.cut(slice(start, min(start + ROWS, image.shape[0])), slice(0, image.shape[1]))
        sample.append(data[::4, ::4][~mask[::4, ::4]])
        values = data[~mask]
        count = min(BRIGHTEST, len(values))
        brightest.append(
            np.partition(values, len(values) - count)[len(values) - count :] if count else values
        )
    return np.concatenate(sample), np.concatenate(brightest)


def _has_zeros(sample):
    """Whether zeros stand for no data: many, and no values of the sky."""
    is_zero = sample == 0
    if not ZEROS < is_zero.mean() < 1:
        return False
    others = sample[~is_zero]
    if (others == np.round(others)).all():
        sky, low = np.quantile(others, [0.5, 0.16])
        return abs(sky) > 6 * (sky - low) > 0
    return True


def _piled_up(values, sky, noise):
    """Lower edge of the level at which values pile up, or None; they begin with the brightest."""
    for above in (0, 3, 10, 30, 100):
        # A few pixels above the level are cosmic rays or hot
        if above >= len(values):
            return None
        top = values[above] - sky
        if top < BRIGHT * noise or noise <= 0:
            return None
        at_level, above_half = (np.sum(values[above:] >= sky + share * top) for share in (1 - WIDTH, 0.5))
        if at_level >= LEAST and at_level > PILED * above_half:
            return float(sky + (1 - WIDTH) * top)
    return None
