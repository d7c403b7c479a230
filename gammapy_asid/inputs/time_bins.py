# Licensed under a 3-clause BSD style license - see LICENSE
"""Datasets that are bins of time: which they are, and what the band cube holds in each."""

from dataclasses import dataclass

import numpy as np
from astropy.time import Time
from gammapy.datasets import Datasets, MapDataset

from .bands import BandCube, cube_from_arrays
from .datasets import as_list
from .field_parts import FieldParts
from .prepare import prepare_dataset, usable_datasets
from .time_checks import WITHOUT_TIME, check_bins, time_groups, time_limits, warn_of_gaps

__all__ = ["MAX_BINS", "TimeBins", "TimeCounts", "find_time_bins", "time_counts", "usable_in_time"]

#: Largest number of time bins.
MAX_BINS = 20


@dataclass(frozen=True, repr=False, eq=False)
class TimeBins:
    """Datasets in bins of time, in the order of time.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        All datasets in the order in which they were given.
    index : `~numpy.ndarray`
        Bin of each dataset, from 0.
    start, stop : `~astropy.time.Time`
        First and last moment of each bin, shape ``(n_bins,)``.
    """

    datasets: Datasets
    index: np.ndarray
    start: Time
    stop: Time

    def __len__(self):
        return len(self.start)

    def __repr__(self):
        first, last = (time.strftime("%Y-%m-%d") for time in (self.start[0], self.stop[-1]))
        widths = np.subtract(*self.years[::-1])
        return (
            f"<TimeBins: {len(self)} bins of {widths.min():.3g}-{widths.max():.3g} years, {first} to {last}, "
            f"{len(self.datasets)} datasets>"
        )

    @property
    def members(self):
        """Datasets of each bin (list of `~gammapy.datasets.Datasets`)."""
        return [
            Datasets([dataset for dataset, own in zip(self.datasets, self.index, strict=True) if own == i])
            for i in range(len(self))
        ]

    @property
    def years(self):
        """Start and stop of the bins in Julian years since the first start, arrays of shape ``(n_bins,)``."""
        return tuple((time - self.start[0]).to_value("yr") for time in (self.start, self.stop))


@dataclass(frozen=True)
class TimeCounts:
    """What a band cube holds in each bin of time.

    Parameters
    ----------
    counts : list of `~numpy.ndarray`
        Counts per band, shape ``(n_bins, ny / 2**level, nx / 2**level)``; their sum over the bins
        is that of the cube.
    share : list of `~numpy.ndarray`
        Share of each bin in the known sky, or in the exposure where the cube has none; shape as `counts`.
        They add to 1 on pixels that are valid in any bin, and are 0 elsewhere and where the bin is masked.
    exposure_share : `~numpy.ndarray`
        Share of each bin in the exposure, mean of the field; shape ``(n_bins, n_bands)``. It is 0 in bands
        that the data lack.
    """

    counts: list
    share: list
    exposure_share: np.ndarray


def find_time_bins(datasets):
    """Tell which datasets are bins of time by their good time intervals.

    Datasets whose times begin and end together are components of one observation, such as event types;
    those whose times follow each other are time bins.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data of one field in any order; left unchanged.

    Returns
    -------
    time_bins : `TimeBins` or None
        None where there is no time: no dataset has good time intervals, or all have the same ones, or
        the data are a `BandCube`.

    Raises
    ------
    TypeError
        If the data are no map datasets.
    ValueError
        If times overlap in part or are missing in some, if there are more than `MAX_BINS`, or if a bin has no
        livetime, no exposure, or other pixels or energies than the others.
    """
    if isinstance(datasets, BandCube):
        return None
    datasets = as_list(datasets)
    for dataset in datasets:
        if not isinstance(dataset, MapDataset):
            raise TypeError(f"Expected a MapDataset or Datasets of them, got {type(dataset).__name__}.")
    timeless = [dataset.name for dataset in datasets if dataset.gti is None or len(dataset.gti.table) == 0]
    if len(timeless) == len(datasets):
        return None
    if timeless:
        raise ValueError(
            f"Dataset {timeless[0]!r} has no good time intervals and others have: set dataset.gti, or "
            f"{WITHOUT_TIME}."
        )
    limits = Time([limit for dataset in datasets for limit in time_limits(dataset)]).reshape(-1, 2)
    start, stop = ((limits[:, i] - limits[0, 0]).to_value("s") for i in (0, 1))
    index = time_groups(datasets, start, stop)
    n_bins = index.max() + 1
    if n_bins == 1:
        return None
    if n_bins > MAX_BINS:
        raise ValueError(
            f"The datasets have {n_bins} separate times, and at most {MAX_BINS} time bins are possible: "
            "stack them into bins with gammapy_asid.inputs.stack_in_time(datasets, bins=10), or without time "
            "with datasets.stack_reduce()."
        )
    groups = [np.flatnonzero(index == i) for i in range(n_bins)]
    check_bins([[datasets[i] for i in group] for group in groups])
    first = [group[np.argmin(start[group])] for group in groups]
    last = [group[np.argmax(stop[group])] for group in groups]
    return TimeBins(Datasets(datasets), index, limits[first, 0], limits[last, 1])


def usable_in_time(datasets):
    """Prepared datasets of which no bin of time is left out.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data; left unchanged. A `BandCube` is returned as it is.

    Returns
    -------
    datasets : list of `~gammapy.datasets.MapDataset`
        As from `~gammapy_asid.inputs.prepare.usable_datasets`.

    Raises
    ------
    TypeError, ValueError
        If they can't be used, or one that is a bin of time or a part of it can't.
    """
    if find_time_bins(datasets) is None:
        return usable_datasets(datasets)
    return [prepare_dataset(dataset) for dataset in datasets]


def time_counts(time_bins, cube, seed=0, without=()):
    """Counts of a band cube in each bin of time, and the share of each bin in its known sky and exposure.

    Parameters
    ----------
    time_bins : `TimeBins`
        Datasets in time bins.
    cube : `BandCube`
        What `~gammapy_asid.inputs.to_band_cube` made of all of them together, also without its known sky.
    seed, without
        Those of `~gammapy_asid.inputs.to_band_cube` with which it was made.

    Returns
    -------
    time_counts : `TimeCounts`
        Arrays of float32.

    Raises
    ------
    ValueError
        If the cube is made of other data, or nothing of a bin was used in it.
    """
    warn_of_gaps(*time_bins.years)
    used = cube.meta.get("datasets", [])
    pairs = [(d, i) for d, i in zip(time_bins.datasets, time_bins.index, strict=True) if d.name in used]
    lost = set(range(len(time_bins))) - {i for _, i in pairs}
    if lost:
        names = ", ".join(time_bins.members[min(lost)].names)
        raise ValueError(
            f"Nothing of time bin {min(lost)} (dataset {names}) can be used: mend it or leave it out."
        )
    # In the order of the cube, so that counts of pixels that are divided fall in the same places
    parts = FieldParts([dataset for dataset, _ in pairs], cube.bands, without)
    ny, nx = parts.pixels.geom.data_shape
    response, mask = cube.response, cube.mask[:, :ny, :nx]
    shapes = [(len(time_bins), *image.shape) for image in cube.counts]
    counts, known, exposure = ([np.zeros(shape, np.float32) for shape in shapes] for _ in range(3))
    total = np.zeros((len(time_bins), len(cube.bands)))
    for (_, i), part in zip(pairs, parts.reduced(seed), strict=True):
        background = part.background if cube.has_background else None
        own = cube_from_arrays(part.counts, parts.pixels.geom, response, background, mask, part.exposure)
        if own.geom.data_shape != cube.geom.data_shape:
            raise ValueError(
                "The band cube has other pixels than the time bins: make it of the same datasets"
            )
        total[i] += part.exposure.sum(axis=(1, 2))
        for b in range(len(cube.bands)):
            counts[b][i] += own.counts[b]
            exposure[b][i] += own.exposure[b]
            known[b][i] += own.background[b] if background is not None else 0
    for image, whole in zip(counts, cube.counts, strict=True):
        if not np.allclose(image.sum(axis=0), whole, rtol=1e-4, atol=1e-3):
            raise ValueError(
                "The band cube has other counts than the time bins: make it of the same datasets"
            )
    return TimeCounts(
        counts=counts,
        share=[_share(*pair) for pair in zip(known, exposure, strict=True)],
        exposure_share=_share(np.where(response.present, total, 0)),
    )


def _share(*values):
    """Share of the first axis in the sum of the first values; of the next ones where that is zero."""
    share = np.zeros_like(values[0])
    for own in values:
        total = own.sum(axis=0)
        open_ = ~share.any(axis=0) & (total > 0)
        share = np.where(open_, own / np.where(total > 0, total, 1), share)
    return share
