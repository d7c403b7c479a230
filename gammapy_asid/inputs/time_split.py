# Licensed under a 3-clause BSD style license - see LICENSE
"""A dataset and its events, divided in bins of time."""

from itertools import pairwise

import astropy.units as u
import numpy as np
from gammapy.datasets import Datasets
from gammapy.modeling.models import FoVBackgroundModel, Models, TemplateNPredModel

from .checks import check_dataset
from .datasets import with_models
from .good_times import bin_edges, date
from .masks import valid_bins
from .time_events import check_counts_of, counts_of, field_events, good_times, read_events, selected_sky
from .time_shares import exposure_shares

__all__ = ["split_in_time"]


def split_in_time(dataset, events, bins=10):
    """Divide a dataset and its events in bins of time.

    Exposure and background are divided by the good time in each bin, or by the photons of the steady parts
    of the field where these tell that it was observed more in some bins than in others, which is warned of.
    Exposures that were made for each bin are better. Bins should be long against the scan of the sky: two
    months for Fermi-LAT.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data of the whole time; left unchanged. Its counts are replaced; where it has any, the events must be
        the same.
    events : `~gammapy.data.EventList`, str or path, or list of them
        Events, for example of several files. Without ``dataset.gti`` their files must have good
        time intervals.
    bins : int, `~astropy.time.Time` or `~astropy.units.Quantity`
        Number of equally long bins, 2 to 20, or edges: moments, or times since the first good one.

    Returns
    -------
    datasets : `~gammapy.datasets.Datasets`
        One a bin, in the order of time, named by the dataset and a number, with its counts, good times and
        share of exposure and background. Models of the sky are shared by all; those of counts are divided.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If an argument is of another kind.
    ValueError
        If the events are of another time, region or energies than the dataset, have no good times, or a
        bin has none.
    """
    check_dataset(dataset)
    lists = read_events(events)
    times = good_times(dataset, lists)
    edges = bin_edges(bins, times.limits)
    own = field_events(dataset, lists, times)
    check_counts_of(dataset, own)
    mask = selected_sky(dataset, lists)
    seconds = times.seconds(edges)
    good = [times.cut(low, high) for low, high in pairwise(seconds)]
    empty = [i for i, own_times in enumerate(good) if own_times.livetime == 0]
    if empty:
        first, stop = (date(edge) for edge in edges[empty[0] : empty[0] + 2])
        raise ValueError(f"There is no good time from {first} to {stop}: give other bins.")
    # What lies on the last edge belongs to the last bin
    ends = np.append(seconds[1:-1], np.nextafter(seconds[-1], np.inf))
    counts = [counts_of(dataset.counts.geom, own, *limits) for limits in zip(seconds[:-1], ends, strict=True)]
    shares = _shares(dataset, times, good, counts, own)
    names = [f"{dataset.name}-{i + 1:02d}" for i in range(len(good))]
    shared, datasets = _sky_models(dataset, names), []
    for name, own_times, own_counts, share in zip(names, good, counts, shares, strict=True):
        maps = {
            "counts": own_counts,
            "exposure": _scaled_exposure(dataset.exposure, share),
            "background": None if dataset.background is None else dataset.background * share,
            "psf": _scaled_irf(dataset.psf, share),
            "edisp": _scaled_irf(dataset.edisp, share),
            "mask_safe": mask,
            "gti": own_times.to_gti(),
        }
        part = with_models(dataset, None, name, **maps)
        part.models = Models([*shared, *_count_models(dataset, name, share)])
        datasets.append(part)
    return Datasets(datasets)


def _shares(dataset, times, good, counts, events):
    """Share of each bin in the exposure of the whole, of which the bins may leave out some time."""
    valid = valid_bins(dataset)
    images = [np.where(valid, m.data, 0).sum(axis=0) for m in counts]
    livetime = [part.livetime / times.livetime for part in good]
    # Less is rounding
    if sum(livetime) < 1 - 1e-6:
        whole = np.where(valid, counts_of(dataset.counts.geom, events).data, 0).sum(axis=0)
        images, livetime = [*images, whole - sum(images)], [*livetime, 1 - sum(livetime)]
    image = dataset.counts.geom.to_image()
    return exposure_shares(np.array(images), np.array(livetime), valid.any(axis=0), image, dataset.name)[
        : len(good)
    ]


def _scaled_exposure(exposure, share):
    """Share of an exposure and of the livetime that it states."""
    scaled = exposure * share
    if isinstance(scaled.meta.get("livetime") if scaled.meta else None, u.Quantity):
        scaled.meta = {**scaled.meta, "livetime": scaled.meta["livetime"] * share}
    return scaled


def _scaled_irf(irf, share):
    """Response with its share of the exposure, by which several are averaged."""
    if irf is None or irf.exposure_map is None:
        return irf
    name = "psf_map" if hasattr(irf, "psf_map") else "edisp_map"
    return type(irf)(getattr(irf, name), irf.exposure_map * share)


def _sky_models(dataset, names):
    """Copies of the models that predict fluxes, for all bins."""
    models = []
    for model in dataset.models or ():
        if not isinstance(model, (FoVBackgroundModel, TemplateNPredModel)):
            models.append(model.copy(name=model.name))
            models[-1].datasets_names = None if model.datasets_names is None else list(names)
    return models


def _count_models(dataset, name, share):
    """Copies of the models of counts for one bin."""
    models = []
    for model in dataset.models or ():
        if isinstance(model, FoVBackgroundModel):
            models.append(model.copy(dataset_name=name, name=f"{model.name} of {name}"))
        elif isinstance(model, TemplateNPredModel):
            own = {"map": model.map * share, "spatial_model": model.spatial_model, "filename": None}
            models.append(model.copy(name=f"{model.name} of {name}", datasets_names=[name], **own))
    return models
