# Licensed under a 3-clause BSD style license - see LICENSE
"""What datasets must be like to be bins of time."""

import logging
from collections import Counter

import numpy as np

from .masks import valid_bins
from .pixel_grid import same_pixels

__all__ = ["WITHOUT_TIME", "check_bins", "time_groups", "time_limits", "warn_of_gaps"]

log = logging.getLogger(__name__)

#: Datasets whose times begin and end together, up to this share of their length, belong to one bin:
#: event types with other zenith cuts have slightly other good times.
SAME_TIME = 0.01
#: Overlap in s that is rounding.
ROUNDING = 1.0
#: A gap is long from this share of the shorter of the bins beside it.
LONG_GAP = 0.5
#: Relative tolerance of energy edges: files hold single precision.
ENERGY_TOLERANCE = 1e-3

WITHOUT_TIME = "set dataset.gti to None in all of them to leave time out"


def time_limits(dataset):
    """First and last moment of the good time intervals of a dataset.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data.

    Returns
    -------
    start, stop : `~astropy.time.Time`
        Moments.

    Raises
    ------
    ValueError
        If the intervals hold no time.
    """
    gti = dataset.gti
    length = gti.time_delta.to_value("s")
    if not np.isfinite(length).all() or (length < 0).any() or not length.any():
        raise ValueError(
            f"Dataset {dataset.name!r} has good time intervals without a livetime: correct dataset.gti, "
            f"leave the dataset out, or {WITHOUT_TIME}."
        )
    return gti.time_start.min(), gti.time_stop.max()


def time_groups(datasets, start, stop):
    """Group of each dataset: those of one group begin and end together, groups follow each other.

    Parameters
    ----------
    datasets : list of `~gammapy.datasets.MapDataset`
        Data.
    start, stop : `~numpy.ndarray`
        Their first and last moments in s.

    Returns
    -------
    index : `~numpy.ndarray`
        Numbers of the groups from 0, in the order of time.

    Raises
    ------
    ValueError
        If times overlap in part.
    """
    index, n_bins, head, end = np.zeros(len(start), int), 0, None, -np.inf
    for i in np.lexsort((stop, start)):
        if head is not None:
            tolerance = SAME_TIME * (stop[head] - start[head])
            if max(abs(start[i] - start[head]), abs(stop[i] - stop[head])) <= tolerance:
                index[i], end = n_bins - 1, max(end, stop[i])
                continue
            if start[i] < end - ROUNDING:
                first, second = (_described(datasets[k]) for k in (head, i))
                raise ValueError(
                    f"The times of {first} and {second} overlap in part: time bins must follow each other, "
                    "and components of one bin must begin and end together. Cut events and exposure at "
                    f"common times, or {WITHOUT_TIME}."
                )
        index[i], head, end = n_bins, i, stop[i]
        n_bins += 1
    return index


def _described(dataset):
    first, last = (time.strftime("%Y-%m-%d %H:%M") for time in time_limits(dataset))
    return f"dataset {dataset.name!r} ({first} to {last})"


def check_bins(members):
    """Check that time bins have names, counts and exposure, and pixels and energies as the first one.

    Parameters
    ----------
    members : list of list of `~gammapy.datasets.MapDataset`
        Datasets of each bin.

    Raises
    ------
    ValueError
        If not.
    """
    _check_each([dataset for own in members for dataset in own])
    for own in members[1:]:
        open_ = list(members[0])
        if len(own) != len(open_):
            raise ValueError(
                f"The time bins of {_names(open_)} and of {_names(own)} have {len(open_)} and {len(own)} "
                f"datasets: all bins need the same components, or {WITHOUT_TIME}."
            )
        for dataset in own:
            same = next((other for other in open_ if _alike(dataset, other)), None)
            if same is None:
                raise ValueError(
                    f"Dataset {dataset.name!r} has other pixels or energies than the first time bin, "
                    f"{_names(members[0])}: make all bins on one geometry (runs are stacked "
                    f"to bins by gammapy_asid.inputs.stack_in_time), or {WITHOUT_TIME}."
                )
            open_.remove(same)


def _names(datasets):
    return ", ".join(repr(dataset.name) for dataset in datasets)


def _check_each(datasets):
    """Check the name, the counts and the exposure of each dataset."""
    twice = [name for name, n in Counter(dataset.name for dataset in datasets).items() if n > 1]
    if twice:
        raise ValueError(
            f"Several time bins have the name {twice[0]!r}: give each dataset a name of its own."
        )
    for dataset in datasets:
        exposure = dataset.exposure
        if exposure is None or not np.any(np.isfinite(exposure.data) & (exposure.data > 0)):
            raise ValueError(
                f"Dataset {dataset.name!r} is a time bin without exposure: set dataset.exposure, or leave "
                "it out."
            )
        if dataset.counts is None or not valid_bins(dataset).any():
            what = "has no counts" if dataset.counts is None else "is masked everywhere"
            raise ValueError(f"Dataset {dataset.name!r} is a time bin that {what}: mend it or leave it out.")


def _alike(one, other):
    """Whether two datasets have the same pixels and energies."""
    one, other = one.counts.geom, other.counts.geom
    if one.axes.names != other.axes.names or one.data_shape != other.data_shape:
        return False
    edges = [geom.axes["energy"].edges.to_value("GeV") for geom in (one, other)]
    close = np.allclose(*edges, rtol=ENERGY_TOLERANCE, atol=0)
    return close and same_pixels(one.to_image(), other.to_image())


def warn_of_gaps(start, stop):
    """Say once that the light curve is not contiguous.

    Parameters
    ----------
    start, stop : `~numpy.ndarray`
        Limits of the bins in years.
    """
    gaps, widths = start[1:] - stop[:-1], stop - start
    long = gaps > LONG_GAP * np.minimum(widths[1:], widths[:-1])
    if long.any():
        log.warning(
            f"{long.sum()} of {len(gaps)} gaps between time bins are long, up to {gaps.max():.3g} years: the "
            "light curves are not contiguous."
        )
