# Licensed under a 3-clause BSD style license - see LICENSE
"""Which rows of a table of sources fulfil conditions."""

import astropy.units as u
import numpy as np
from gammapy.maps import RegionGeom
from regions import SkyRegion

from ..utils.arguments import check_kind

__all__ = ["chosen_rows"]


def chosen_rows(sources, keep, region, without, ranges, find):
    """Numbers of the rows that fulfil all conditions.

    Parameters
    ----------
    sources : `~gammapy_asid.catalog.source_table.ShownTable`
        Sources.
    keep, region, without, ranges
        See `~gammapy_asid.catalog.source_table.ShownTable.select`.
    find : callable
        Gives the row of a name.

    Returns
    -------
    rows : `~numpy.ndarray`
        Numbers of rows, in the order that `keep` gives.

    Raises
    ------
    KeyError, TypeError, ValueError
        If a condition can't be checked.
    """
    table = sources.own_table
    good = np.ones(len(sources), bool)
    if region is not None:
        check_kind("region", region, SkyRegion)
        good &= RegionGeom(region).contains(sources.positions).reshape(-1)
    good &= (np.asarray(table["flags"]) & _flag_bits(sources.flag_class, without)) == 0
    for name, limits in ranges.items():
        good &= _in_range(table, name, limits)
    rows = np.arange(len(sources)) if keep is None else _kept(sources, keep, find)
    return rows[good[rows]]


def _kept(sources, keep, find):
    """Numbers of the rows that names, a mask, numbers or a slice choose."""
    numbers = np.arange(len(sources))
    if isinstance(keep, slice):
        return numbers[keep]
    keep = np.atleast_1d(np.asarray(keep))
    if keep.dtype.kind in "US":
        return np.array([find(sources, str(name)) for name in keep], int)
    if keep.dtype.kind == "b" and keep.shape != numbers.shape:
        raise ValueError(f"The mask has shape {keep.shape}, but there are {sources.summary}")
    if keep.size == 0:
        return numbers[:0]
    if keep.dtype.kind not in "biu":
        raise TypeError("Choose sources by their names, a mask, row numbers or a slice")
    return numbers[keep]


def _flag_bits(flags, without):
    """Bit mask of flags that are given by it or in words."""
    if isinstance(without, int | np.integer):
        return int(without)
    bits = 0
    for word in [without] if isinstance(without, str) else without:
        own = {flag.word: flag for flag in flags}
        flag = word if isinstance(word, int) else own.get(str(word).lower().replace("_", " "))
        if flag is None:
            raise ValueError(f"There is no flag {word!r}, but {', '.join(own)}")
        bits |= int(flag)
    return bits


def _in_range(table, name, limits):
    """Rows whose value of a column lies in a range."""
    numbers = [own for own in table.colnames if table[own].dtype.kind in "fiu" and table[own].ndim == 1]
    if name not in numbers:
        raise ValueError(f"There is no column of numbers {name!r}, but {', '.join(numbers)}")
    if np.ndim(limits) == 0 or len(limits) != 2:
        raise ValueError(f"{name}: give the lowest and highest value, None for no limit, such as (0.9, None)")
    values, unit = table[name], getattr(table[name], "unit", None)
    good = np.isfinite(np.asarray(values))
    for limit, is_low in zip(limits, (True, False), strict=True):
        if limit is None:
            continue
        try:
            limit = u.Quantity(limit, unit or "").value if isinstance(limit, u.Quantity) else float(limit)
        except u.UnitConversionError:
            raise ValueError(f"{name} is in {unit or 'no unit'}, got a limit in {limit.unit}") from None
        good &= np.asarray(values) >= limit if is_low else np.asarray(values) <= limit
    return good
