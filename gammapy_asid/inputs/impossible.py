# Licensed under a 3-clause BSD style license - see LICENSE
"""Pixels with counts where the known sky allows none."""

import logging

import numpy as np
from gammapy.maps import Map
from gammapy.modeling.models import TemplateNPredModel

from .datasets import with_models
from .expected_counts import expected_counts
from .masks import valid_bins

__all__ = ["impossible_pixels", "warn_of_impossible", "without_impossible"]

log = logging.getLogger(__name__)

#: Share of the counts where nothing is predicted, from which the known sky itself is wrong.
MOST = 0.5


def impossible_pixels(counts, expected, valid):
    """Pixels with no expectation in energy bins that have counts on such pixels.

    Counts where none can be are no data, and nor are the other pixels of the same gap:
    left in for being empty, they would bias what is measured.

    Parameters
    ----------
    counts, expected : `~numpy.ndarray`
        The energy first.
    valid : `~numpy.ndarray`
        Pixels to look at.

    Returns
    -------
    impossible : `~numpy.ndarray`
        Pixels to leave out; none where most of the counts would be lost, for then the known
        sky is not all that there is.
    """
    gap = valid & (expected <= 0)
    odd = gap & (counts > 0)
    if counts[odd].sum() > MOST * counts[valid].sum():
        return np.zeros_like(valid)
    return gap & odd.any(axis=tuple(range(1, odd.ndim)), keepdims=True)


def without_impossible(dataset):
    """The same data without pixels that have counts and no expectation, see `impossible_pixels`.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data with a background or models; left unchanged.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        The same one where there are no such pixels; otherwise one with another mask, which a warning says.

    Raises
    ------
    ValueError
        If most counts are on such pixels.
    """
    counts, valid = dataset.counts.data, valid_bins(dataset)
    expected = np.zeros(counts.shape) if dataset.background is None else dataset.background.data
    # Models are evaluated only where there is reason to
    if not np.any(valid & (counts > 0) & (expected <= 0)) and not any(map(_takes_away, dataset.models or ())):
        return dataset
    expected = expected_counts(dataset)
    if counts[valid & (expected <= 0)].sum() > MOST * counts[valid].sum():
        raise ValueError(
            f"The background and the models of dataset {dataset.name!r} predict no counts where most are: "
            "set dataset.background, or add models of the diffuse emission."
        )
    bad = impossible_pixels(counts, expected, valid)
    if not bad.any():
        return dataset
    warn_of_impossible(dataset.name, counts[bad].sum(), bad.sum())
    mask = Map.from_geom(dataset.counts.geom, data=valid & ~bad)
    return with_models(dataset, dataset.models, mask_safe=mask, mask_fit=None)


def _takes_away(model):
    """Whether a model can predict negative counts."""
    if isinstance(model, TemplateNPredModel) and np.nanmin(model.map.data) < 0:
        return True
    levels = [p.value for p in model.parameters if p.name.startswith(("amplitude", "norm"))]
    return min(levels, default=0) < 0


def warn_of_impossible(name, n_counts, n_pixels):
    """Say that pixels were left out.

    Parameters
    ----------
    name : str
        Name of the dataset.
    n_counts, n_pixels : float
        What is lost.
    """
    log.warning(
        f"Dataset {name!r} has {n_counts:.0f} counts where its background and models predict none: "
        f"these pixels and the others without a prediction in the same energy bins ({n_pixels} in all) "
        "are left out."
    )
