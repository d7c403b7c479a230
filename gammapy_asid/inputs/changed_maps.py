# Licensed under a 3-clause BSD style license - see LICENSE
"""Datasets with another part of each of their maps."""

from gammapy.maps import Map
from gammapy.modeling.models import TemplateNPredModel

from .datasets import counts_model, is_on, with_models
from .expected_counts import template_counts
from .masks import valid_bins

__all__ = ["with_changed_maps"]


def with_changed_maps(dataset, change):
    """The same data with another part of each map on the pixels of the counts.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data; left unchanged.
    change : callable
        Gives another map of a map and of what it is: ``counts``, ``background``, ``exposure``, ``mask`` or
        ``templates``.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        Dataset with ``mask_safe`` alone. An exposure on other pixels stays, and all
        `~gammapy.modeling.models.TemplateNPredModel` have become one.
    """
    image, counts = dataset.counts.geom.to_image(), dataset.counts
    mask = Map.from_geom(counts.geom, data=valid_bins(dataset))
    maps = {"counts": change(counts, "counts"), "mask_safe": change(mask, "mask"), "mask_fit": None}
    if dataset.background is not None:
        maps["background"] = change(dataset.background, "background")
    if is_on(dataset.exposure, image):
        maps["exposure"] = change(dataset.exposure, "exposure")
    models, templates = (
        [m for m in dataset.models or () if not isinstance(m, TemplateNPredModel)],
        template_counts(dataset),
    )
    if templates is not None:
        models.append(counts_model(change(templates, "templates"), dataset.name))
    return with_models(dataset, models, **maps)
