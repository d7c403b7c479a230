# Licensed under a 3-clause BSD style license - see LICENSE
"""Datasets with other models, the data shared."""

from gammapy.datasets import MapDataset

__all__ = ["with_models"]


def with_models(dataset, models):
    """The same data with other models.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data; left unchanged, also its caches.
    models : list of models
        Models of the result.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        Dataset of the same name that shares the maps.
    """
    return MapDataset(
        counts=dataset.counts,
        exposure=dataset.exposure,
        background=dataset.background,
        psf=dataset.psf,
        edisp=dataset.edisp,
        mask_safe=dataset.mask_safe,
        mask_fit=dataset.mask_fit,
        gti=dataset.gti,
        name=dataset.name,
        models=models,
    )
