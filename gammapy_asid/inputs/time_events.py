# Licensed under a 3-clause BSD style license - see LICENSE
"""Lists of events that are to be divided in time: read, and compared with the dataset of the whole."""

import logging
from dataclasses import dataclass
from os import PathLike
from types import SimpleNamespace

import numpy as np
from gammapy.data import GTI, EventList, Observation, Observations
from gammapy.maps import Map

from ..utils.fits_files import open_fits
from .good_times import GoodTimes, date
from .longitudes import wrapped_geom
from .masks import valid_bins
from .selection import Selection, read_gti, read_selection

__all__ = [
    "TimedEvents",
    "check_counts_of",
    "counts_of",
    "field_events",
    "good_times",
    "read_events",
    "selected_sky",
]

log = logging.getLogger(__name__)

#: Relative difference of livetimes, or of numbers of photons, from which they are those of other data.
SAME_DATA = 0.01
#: Photons by which numbers may differ in any case: positions and energies on an edge are rounded.
FEW = 3


@dataclass(frozen=True)
class TimedEvents:
    """A list of events with what its file says.

    Parameters
    ----------
    name : str
        What it is, for messages.
    events : `~gammapy.data.EventList`
        Events.
    gti : `~gammapy.data.GTI` or None
        Good time intervals.
    selection : `~gammapy_asid.inputs.selection.Selection`
        Sky and energies that were selected.
    """

    name: str
    events: EventList
    gti: GTI | None
    selection: Selection


def read_events(events):
    """Lists of events, read where they are files.

    Parameters
    ----------
    events : `~gammapy.data.EventList`, str or path, or list of them
        Events.

    Returns
    -------
    lists : list of `TimedEvents`
        At least one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If they are something else.
    ValueError
        If a file holds no events with times.
    """
    if isinstance(events, (Observation, Observations)):
        raise TypeError(
            "Observations of telescopes differ in pointing: make a dataset of each with MapDatasetMaker, and "
            "bins of these with gammapy_asid.inputs.stack_in_time."
        )
    several = events if isinstance(events, (list, tuple)) else [events]
    if not several:
        raise ValueError("No events were given: give an EventList or the name of a file.")
    return [_read(one, i) for i, one in enumerate(several)]


def _read(events, i):
    if isinstance(events, EventList):
        name = f"list {i + 1}"
        return TimedEvents(
            name, events, None, read_selection([SimpleNamespace(header=events.table.meta)], name)
        )
    if not isinstance(events, (str, PathLike)):
        raise TypeError(f"Events must be an EventList or the name of a file, got {type(events).__name__}.")
    with open_fits(events) as hdulist:
        if "EVENTS" not in hdulist:
            raise ValueError(f"{events} holds no list of events (no HDU EVENTS).")
        selection, gti = read_selection(hdulist, events), read_gti(hdulist, events)
    try:
        return TimedEvents(str(events), EventList.read(events), gti, selection)
    except (KeyError, ValueError, TypeError) as error:
        raise ValueError(f"{events} holds no events with times, positions and energies ({error}).") from None


def good_times(dataset, lists):
    """Good times of a dataset, or of its events where it has none.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data of the whole.
    lists : list of `TimedEvents`
        Its events.

    Returns
    -------
    times : `GoodTimes`
        Times.

    Raises
    ------
    ValueError
        If there are none, or those of the events have another livetime than those of the dataset.
    """
    own = [dataset.gti] if dataset.gti is not None and len(dataset.gti.table) else []
    given = [one.gti for one in lists if one.gti is not None]
    if not own and len(given) < len(lists):
        raise ValueError(
            f"Dataset {dataset.name!r} has no good time intervals, and nor have its events: set dataset.gti, "
            "e.g. to GTI.read(file_of_events), since exposure and background are divided by them."
        )
    times = GoodTimes.from_gtis(own or given)
    if own and len(given) == len(lists):
        other = GoodTimes.from_gtis(given)
        if abs(other.livetime / times.livetime - 1) > SAME_DATA:
            raise ValueError(
                f"The good times of dataset {dataset.name!r} are {_days(times)}, those of its events "
                f"{_days(other)}: give the events of the same time."
            )
    return times


def _days(times):
    first, last = times.limits
    return f"{times.livetime / 86400:.4g} days from {date(first)} to {date(last)}"


def field_events(dataset, lists, times):
    """Coordinates and times of the events in the field and in the good times.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data of the whole.
    lists : list of `TimedEvents`
        Its events.
    times : `GoodTimes`
        Good times.

    Returns
    -------
    events : list of tuple
        `~gammapy.maps.MapCoord` and times in s from the reference of `times`, for each list.

    Raises
    ------
    ValueError
        If there are none, or many are of another time.
    """
    geom, kept, lost, total = wrapped_geom(dataset.counts.geom), [], 0, 0
    for one in lists:
        coords = one.events.map_coord(geom)
        inside = geom.contains(coords)
        coords, seconds = coords.apply_mask(inside), times.seconds(one.events.time[inside])
        good = times.contains(seconds)
        lost, total = lost + np.count_nonzero(~good), total + good.size
        kept.append((coords.apply_mask(good), seconds[good]))
    if total == 0:
        raise ValueError(f"None of the events lies in the field and in the energies of {dataset.name!r}.")
    if lost:
        what = f"{lost} of {total} events in the field of {dataset.name!r} lie outside of its good times"
        if lost > SAME_DATA * total:
            raise ValueError(f"{what}, {_days(times)}: give the events of this time, or set dataset.gti.")
        log.warning(f"{what}: they are left out.")
    return kept


def counts_of(geom, events, low=-np.inf, high=np.inf):
    """Map of the events between two times.

    Parameters
    ----------
    geom : `~gammapy.maps.Geom`
        Geometry.
    events : list of tuple
        See `field_events`.
    low, high : float
        Times; the latter excluded.

    Returns
    -------
    counts : `~gammapy.maps.Map`
        Counts.
    """
    counts = Map.from_geom(wrapped_geom(geom))
    for coords, seconds in events:
        counts.fill_by_coord(coords.apply_mask((seconds >= low) & (seconds < high)))
    # Maps of the whole sky have no numbers outside of it
    return Map.from_geom(geom, data=np.nan_to_num(counts.data))


def check_counts_of(dataset, events):
    """Check that events are those of the counts of a dataset, if it has any.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data of the whole.
    events : list of tuple
        See `field_events`.

    Raises
    ------
    ValueError
        If their numbers differ at the energies of the dataset.
    """
    valid, image_axes = valid_bins(dataset), tuple(range(1, dataset.counts.data.ndim))
    wanted = np.where(valid, np.nan_to_num(dataset.counts.data), 0).sum(axis=image_axes)
    if not wanted.any():
        return
    found = np.where(valid, counts_of(dataset.counts.geom, events).data, 0).sum(axis=image_axes)
    if np.abs(found - wanted).sum() > max(SAME_DATA * wanted.sum(), FEW):
        worst = np.argmax(np.abs(found - wanted))
        edges = dataset.counts.geom.axes["energy"].edges.to_value("GeV")
        raise ValueError(
            f"The events are not those of dataset {dataset.name!r}: it has {wanted.sum():.0f} counts and they"
            f" are {found.sum():.0f}, at {edges[worst]:.3g}-{edges[worst + 1]:.3g} GeV {wanted[worst]:.0f} "
            f"and {found[worst]:.0f}. Give events of the same class, type, region, energies and time, or "
            "make the dataset of them."
        )


def selected_sky(dataset, lists):
    """Mask of the bins that the selection of the events leaves in.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data of the whole.
    lists : list of `TimedEvents`
        Its events.

    Returns
    -------
    mask : `~gammapy.maps.Map` or None
        Valid and selected bins; the mask of the dataset itself where that leaves in all that is valid.

    Raises
    ------
    ValueError
        If nothing is left.
    """
    geom, valid = dataset.counts.geom, valid_bins(dataset)
    edges, selected = geom.axes["energy"].edges.to_value("GeV"), np.ones(valid.shape, bool)
    for selection in (one.selection for one in lists):
        inside = selection.contains(geom.to_image()) | ~np.isfinite(geom.to_image().get_coord().lon)
        selected &= selection.whole_bins(edges).reshape(-1, *[1] * inside.ndim) & inside
    lost = np.count_nonzero(valid & ~selected)
    if not lost:
        return dataset.mask_safe
    if lost == np.count_nonzero(valid):
        raise ValueError(
            "The events were selected in another region or at other energies than those of dataset "
            f"{dataset.name!r}."
        )
    log.warning(
        f"{lost} of {np.count_nonzero(valid)} bins of dataset {dataset.name!r} lie outside of the region and "
        "the energies in which the events were selected: they are masked."
    )
    return Map.from_geom(geom, data=valid & selected)
