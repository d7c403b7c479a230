# Licensed under a 3-clause BSD style license - see LICENSE
"""Good time intervals as one set of intervals, and the bins in which time is divided."""

from dataclasses import dataclass
from numbers import Integral

import astropy.units as u
import numpy as np
from astropy.time import Time
from gammapy.data import GTI

from .time_bins import MAX_BINS

__all__ = ["GoodTimes", "bin_edges", "date"]

#: Deviation in s from an interval that is rounding: some files hold times in single precision.
ROUNDING = 1.0


@dataclass(frozen=True)
class GoodTimes:
    """Intervals of time, in order and without overlap.

    Parameters
    ----------
    reference : `~astropy.time.Time`
        Moment from which times are counted.
    start, stop : `~numpy.ndarray`
        Intervals in s from there.
    """

    reference: Time
    start: np.ndarray
    stop: np.ndarray

    @classmethod
    def from_gtis(cls, gtis):
        """The times that are good in any of several lists.

        Parameters
        ----------
        gtis : list of `~gammapy.data.GTI`
            Good time intervals, at least one of which is not empty.

        Returns
        -------
        times : `GoodTimes`
            Their union.

        Raises
        ------
        ValueError
            If an interval is not finite or ends before it starts, or none holds any time.
        """
        gtis = [gti for gti in gtis if len(gti.table)]
        reference = gtis[0].time_ref
        start, stop = (
            np.concatenate([(getattr(gti, name) - reference).to_value("s") for gti in gtis])
            for name in ("time_start", "time_stop")
        )
        if not np.isfinite(stop - start).all() or (stop < start).any():
            raise ValueError("Good time intervals are not finite, or stop before they start: correct the GTI")
        keep = stop > start
        if not keep.any():
            raise ValueError("Good time intervals hold no time: correct the GTI")
        order = np.argsort(start[keep], kind="stable")
        start, stop = start[keep][order], np.maximum.accumulate(stop[keep][order])
        first = np.flatnonzero(np.append(True, start[1:] > stop[:-1]))
        return cls(reference, start[first], stop[np.append(first[1:], len(start)) - 1])

    @property
    def limits(self):
        """First and last moment (`~astropy.time.Time`)."""
        return self.reference + [self.start[0], self.stop[-1]] * u.s

    @property
    def livetime(self):
        """Sum of the intervals in s."""
        return float((self.stop - self.start).sum())

    def seconds(self, time):
        """Times in s from the reference.

        Parameters
        ----------
        time : `~astropy.time.Time`
            Times.

        Returns
        -------
        seconds : `~numpy.ndarray`
            In the shape of the times.
        """
        return (time - self.reference).to_value("s")

    def contains(self, seconds):
        """Whether times lie in an interval.

        Parameters
        ----------
        seconds : `~numpy.ndarray`
            Times in s from the reference.

        Returns
        -------
        inside : `~numpy.ndarray`
            Bool.
        """
        i = np.searchsorted(self.start, seconds + ROUNDING, side="right") - 1
        return (i >= 0) & (seconds <= self.stop[np.maximum(i, 0)] + ROUNDING)

    def cut(self, low, high):
        """Part of the intervals between two times.

        Parameters
        ----------
        low, high : float
            Times in s from the reference.

        Returns
        -------
        times : `GoodTimes`
            Without intervals where there are none.
        """
        start, stop = np.clip(self.start, low, high), np.clip(self.stop, low, high)
        keep = stop > start
        return GoodTimes(self.reference, start[keep], stop[keep])

    def to_gti(self):
        """The intervals as Gammapy has them (`~gammapy.data.GTI`)."""
        return GTI.create(self.start * u.s, self.stop * u.s, self.reference)


def date(time):
    """Day of a moment for messages.

    Parameters
    ----------
    time : `~astropy.time.Time`
        Moment.

    Returns
    -------
    day : str
        Day.
    """
    return time.strftime("%Y-%m-%d")


def bin_edges(bins, limits):
    """Edges of time bins.

    Parameters
    ----------
    bins : int, `~astropy.time.Time` or `~astropy.units.Quantity`
        Number of equally long bins, or edges: moments, or times since the first limit.
    limits : `~astropy.time.Time`
        First and last moment of the data.

    Returns
    -------
    edges : `~astropy.time.Time`
        Shape ``(n_bins + 1,)``.

    Raises
    ------
    TypeError
        If the bins are something else.
    ValueError
        If their number is not 2 to `MAX_BINS`, or edges do not increase.
    """
    if isinstance(bins, Integral) and not isinstance(bins, bool):
        _check_number(int(bins))
        return limits[0] + np.linspace(0, 1, int(bins) + 1) * (limits[1] - limits[0])
    if isinstance(bins, u.Quantity):
        if not bins.unit.is_equivalent("s"):
            raise ValueError(f"Edges of time bins must be times, got them in {bins.unit}.")
        edges = limits[0] + bins
    elif isinstance(bins, Time):
        edges = bins
    else:
        raise TypeError(
            "Time bins are a number, or edges as Time or Quantity (since the first good time), got "
            f"{type(bins).__name__}."
        )
    if edges.ndim != 1:
        raise ValueError("Edges of time bins must be a list: give start and stop of each bin")
    _check_number(len(edges) - 1)
    widths = np.diff((edges - limits[0]).to_value("s"))
    if not (np.isfinite(widths) & (widths > 0)).all():
        raise ValueError("Edges of time bins must increase, and be finite.")
    return edges


def _check_number(n):
    if not 2 <= n <= MAX_BINS:
        raise ValueError(f"The number of time bins must be 2 to {MAX_BINS}, got {n}.")
