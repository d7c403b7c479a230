# Licensed under a 3-clause BSD style license - see LICENSE
"""Masks of an image by what they show, one bit each of a byte a pixel."""

from collections.abc import Mapping

import numpy as np

__all__ = ["MASKS", "PixelMasks"]

#: Names of the masks, in the order of their bits.
MASKS = ("cosmic_ray", "trail")


class PixelMasks(Mapping):
    """Bool arrays by name, which a large image could not hold at once.

    Parameters
    ----------
    bits : `~numpy.ndarray`
        Sum of ``2**i`` for each mask ``i`` of `MASKS` that covers the pixel, ``uint8`` of the shape of the
        image.
    """

    def __init__(self, bits):
        self.bits = np.asarray(bits, np.uint8)

    @classmethod
    def from_arrays(cls, **masks):
        """Masks of bool arrays of one shape by their names.

        Parameters
        ----------
        **masks : `~numpy.ndarray`
            Bool arrays.
        """
        bits = np.zeros(next(iter(masks.values())).shape, np.uint8)
        for name, mask in masks.items():
            bits |= mask.astype(np.uint8) << MASKS.index(name)
        return cls(bits)

    @property
    def shape(self):
        """Shape of the image."""
        return self.bits.shape

    def __getitem__(self, name):
        if name not in MASKS:
            raise KeyError(f"No mask {name!r}: there are {', '.join(MASKS)}")
        return (self.bits & (1 << MASKS.index(name))) > 0

    def __iter__(self):
        return iter(MASKS)

    def __len__(self):
        return len(MASKS)

    def __repr__(self):
        counts = (f"{name}: {np.count_nonzero(self[name])} pixels" for name in MASKS)
        return f"<{type(self).__name__} {', '.join(counts)}>"
