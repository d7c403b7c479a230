# Licensed under a 3-clause BSD style license - see LICENSE
"""Names of sources by their positions."""

import string
from collections import Counter
from itertools import count, product

import numpy as np

__all__ = ["iau_names"]


# What a source without a position is called.
NOWHERE = "ASID nowhere"


def iau_names(positions):
    """IAU style designations ``ASID JHHMM.m+DDMM``, truncated as the IAU asks.

    Parameters
    ----------
    positions : `~astropy.coordinates.SkyCoord`
        Positions, shape ``(n,)``.

    Returns
    -------
    names : list of str
        Sources that would share a designation get a, b, ..., z, aa, ab, ... appended in their order; those
        without a position are called so.
    """
    icrs = positions.icrs
    known = np.isfinite(icrs.ra) & np.isfinite(icrs.dec)
    # A microarcsecond keeps a coordinate given to full minutes from falling below them
    tenths = np.floor(np.where(known, icrs.ra.wrap_at("360d").hour, 0) * 600 + 1e-8).astype(int) % 14400
    minutes = np.floor(np.where(known, np.abs(icrs.dec.deg), 0) * 60 + 1e-8).astype(int)
    signs = np.where(icrs.dec.deg < 0, "-", "+")
    names = [
        f"ASID J{t // 600:02d}{t % 600 // 10:02d}.{t % 10}{sign}{m // 60:02d}{m % 60:02d}" if k else NOWHERE
        for k, t, m, sign in zip(known, tenths, minutes, signs, strict=True)
    ]
    number = Counter(names)
    letters = {name: _letters() for name in names if number[name] > 1}
    return [name + next(letters[name]) if name in letters else name for name in names]


def _letters():
    for length in count(1):
        yield from map("".join, product(string.ascii_lowercase, repeat=length))
