# Licensed under a 3-clause BSD style license - see LICENSE
"""Flags of sources by the pixels around them."""

import numpy as np

from .flags import OpticalFlag

__all__ = ["pixel_flags"]

#: Rows of an image that are looked at together.
ROWS = 1024


def pixel_flags(image, x, y, fwhm, bits=None):
    """Flags of sources by the pixels around them: edge, masked, saturated, cosmic rays and trails.

    Parameters
    ----------
    image : `~gammapy_asid.optical.images.OpticalImage`
        Image.
    x, y : `~numpy.ndarray`
        Positions in pixels, NaN where there are none, shape ``(n,)``.
    fwhm : float
        Width of the point spread function in pixels: within half of it lies the core.
    bits : `~numpy.ndarray`, optional
        Bits of `~gammapy_asid.optical.pixel_masks.PixelMasks`.

    Returns
    -------
    flags : `~numpy.ndarray`
        Bits of `~gammapy_asid.optical.flags.OpticalFlag`, shape ``(n,)``.
    """
    ny, nx = image.shape
    column, row = (
        np.round(np.nan_to_num(v, nan=-9).clip(-9, n + 9)).astype(int) for v, n in ((x, nx), (y, ny))
    )
    inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    flags = np.where(inside, 0, OpticalFlag.OUTSIDE).astype("i4")
    reach = max(int(np.ceil(fwhm)), 1)
    offset = np.arange(-reach, reach + 1)
    distance = np.hypot(*np.meshgrid(offset, offset))
    dy, dx = (v - reach for v in np.nonzero(distance <= reach))
    core = np.hypot(dx, dy) <= max(fwhm / 2, 0.5)
    for first in range(0, ny, ROWS):
        own = np.flatnonzero(inside & (row >= first) & (row < first + ROWS))
        if len(own) == 0:
            continue
        ys = slice(max(first - reach, 0), min(first + ROWS + reach, ny))
        codes = _codes(image, ys, bits)
        rows, columns = row[own, None] + dy, column[own, None] + dx
        there = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
        code = codes[rows.clip(0, ny - 1) - ys.start, columns.clip(0, nx - 1)]
        code = np.where(there, code, OpticalFlag.MASKED)
        masked = codes[row[own] - ys.start, column[own]] & OpticalFlag.MASKED
        near = np.where((code & OpticalFlag.MASKED).any(1), OpticalFlag.NEAR_EDGE, 0)
        # ~ of a flag leaves out the bits above it in Python 3.11.0 to 3.11.3
        others = np.bitwise_or.reduce(code[:, core], axis=1) & ~int(OpticalFlag.MASKED)
        flags[own] |= masked | near | others
    return flags


def _codes(image, ys, bits):
    """Flags of each pixel of some rows."""
    data, mask, _ = image.cut(ys, slice(0, image.shape[1]))
    codes = np.where(mask, OpticalFlag.MASKED, 0).astype("i4")
    if image.saturation is not None:
        codes |= np.where(data >= image.saturation, OpticalFlag.SATURATED, 0)
    if bits is not None:
        codes |= np.where(bits[ys] & 1, OpticalFlag.COSMIC_RAY, 0)
        codes |= np.where(bits[ys] & 2, OpticalFlag.TRAIL, 0)
    return codes
