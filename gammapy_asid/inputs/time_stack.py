# Licensed under a 3-clause BSD style license - see LICENSE
"""Datasets of many runs, stacked to bins of time."""

import numpy as np
from gammapy.datasets import Datasets, MapDataset, MapDatasetOnOff
from gammapy.maps import Map, WcsGeom
from gammapy.modeling.models import FoVBackgroundModel, Models, TemplateNPredModel

from .datasets import as_list, with_models
from .good_times import GoodTimes, bin_edges, date
from .masks import valid_bins

__all__ = ["stack_in_time"]


def stack_in_time(datasets, bins=10):
    """Stack datasets of many runs or weeks to a few bins of time.

    A dataset belongs to the bin in which its middle lies.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Data of one field, each with its good times; left unchanged. Their geometries are equal, or cutouts
        of one.
    bins : int, `~astropy.time.Time` or `~astropy.units.Quantity`
        Number of equally long bins, 2 to 20, or edges: moments, or times since the first good one.

    Returns
    -------
    datasets : `~gammapy.datasets.Datasets`
        One a bin, in the order of time, named ``time-01`` and so on. They have the models of the sky; models
        of the background are part of their background.

    Raises
    ------
    TypeError
        If one is no map dataset, or the bins are no bins.
    ValueError
        If a dataset has no good times, is longer than a bin, or can't be stacked with the others, or if a bin
        is empty.
    """
    datasets = as_list(datasets)
    for dataset in datasets:
        _check(dataset)
    _check_together(datasets)
    times = [_times(dataset) for dataset in datasets]
    whole = GoodTimes.from_gtis([dataset.gti for dataset in datasets])
    edges = bin_edges(bins, whole.limits)
    limits = np.array([whole.seconds(own.limits) for own in times])
    seconds = whole.seconds(edges)
    index = np.searchsorted(seconds, limits.mean(axis=1), side="right") - 1
    for dataset, i, length in zip(datasets, index, np.diff(limits, axis=1)[:, 0], strict=True):
        inside = 0 <= i < len(seconds) - 1
        if inside and length > (seconds[i + 1] - seconds[i]) * (1 + 1e-6):
            raise ValueError(
                f"Dataset {dataset.name!r} is longer than a time bin: divide it with its events by "
                "gammapy_asid.inputs.split_in_time, or give longer bins."
            )
    for i in range(len(seconds) - 1):
        if i not in index:
            raise ValueError(
                f"No dataset lies between {date(edges[i])} and {date(edges[i + 1])}: give bins that all "
                "hold some."
            )
    names = [f"time-{i + 1:02d}" for i in range(len(seconds) - 1)]
    members = [[datasets[k] for k in np.flatnonzero(index == i)] for i in range(len(names))]
    stacked = Datasets([_stacked(own, datasets, name) for own, name in zip(members, names, strict=True)])
    stacked.models = _sky_models(datasets, names)
    return stacked


def _check(dataset):
    """Check that a dataset can be stacked at all."""
    if not isinstance(dataset, MapDataset) or isinstance(dataset, MapDatasetOnOff):
        raise TypeError(f"Only a MapDataset can be stacked in time, got {type(dataset).__name__}.")
    if dataset.gti is None or not len(dataset.gti.table):
        raise ValueError(f"Dataset {dataset.name!r} has no good time intervals: set dataset.gti.")
    for what in ("counts", "exposure", "psf"):
        if getattr(dataset, what) is None:
            raise ValueError(f"Dataset {dataset.name!r} has no {what}: set dataset.{what}.")
    templates = [model.name for model in dataset.models or () if isinstance(model, TemplateNPredModel)]
    if templates:
        raise ValueError(
            f"Dataset {dataset.name!r} has a model of counts, {templates[0]!r}, which can't be stacked: add "
            "it to dataset.background."
        )


def _check_together(datasets):
    """Check that datasets have the same parts, and pixels and energies of one geometry."""
    first = datasets[0]
    for dataset in datasets[1:]:
        for what in ("background", "edisp"):
            if (getattr(dataset, what) is None) != (getattr(first, what) is None):
                raise ValueError(
                    f"One of the datasets {first.name!r} and {dataset.name!r} has no {what}, and the other "
                    "has one: make both in the same way."
                )
        own, wanted = dataset.geoms, first.geoms
        if own.keys() != wanted.keys() or not all(_is_aligned(own[key], wanted[key]) for key in own):
            raise ValueError(
                f"Datasets {first.name!r} and {dataset.name!r} have geometries that can't be stacked: make "
                "them on one geometry, or on cutouts of it (MapDataset.cutout)."
            )


def _is_aligned(one, other):
    if isinstance(one, WcsGeom) and isinstance(other, WcsGeom):
        return one.axes.names == other.axes.names and one.is_aligned(other)
    return type(one) is type(other) and one == other


def _times(dataset):
    try:
        return GoodTimes.from_gtis([dataset.gti])
    except ValueError as error:
        raise ValueError(f"Dataset {dataset.name!r}: {error}.") from None


def _stacked(members, everything, name):
    """Sum of datasets, on a geometry that holds those of all bins."""
    geoms = {key: _union([dataset.geoms[key] for dataset in everything]) for key in members[0].geoms}
    stacked = MapDataset.from_geoms(**geoms, name=name)
    for dataset in members:
        # Without masks Gammapy takes the sum as masked
        mask = Map.from_geom(dataset.counts.geom, data=valid_bins(dataset))
        background = [model for model in dataset.models or () if isinstance(model, FoVBackgroundModel)]
        stacked.stack(with_models(dataset, background, mask_safe=mask, mask_fit=None))
    if members[0].background is None:
        stacked.background = None
    return stacked


def _union(geoms):
    """Geometry that holds all of several cutouts of one."""
    first = geoms[0]
    if not isinstance(first, WcsGeom):
        return first
    corner = np.array([geom.wcs.wcs.crpix for geom in geoms])
    npix = np.array([geom.data_shape[:-3:-1] for geom in geoms])
    # Pixels at the left and below the reference, and those from there
    low = corner.max(axis=0)
    high = (npix - corner).max(axis=0)
    wcs = first.wcs.deepcopy()
    wcs.wcs.crpix = low
    return WcsGeom(wcs, npix=tuple(np.rint(low + high).astype(int)), axes=first.axes)


def _sky_models(datasets, names):
    """Copies of the models that predict fluxes, for all bins."""
    models = {}
    for model in (model for dataset in datasets for model in dataset.models or ()):
        if not isinstance(model, FoVBackgroundModel) and model.name not in models:
            models[model.name] = model.copy(name=model.name)
            models[model.name].datasets_names = None if model.datasets_names is None else names
    return Models(models.values()) if models else None
