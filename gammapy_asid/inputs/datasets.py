# Licensed under a 3-clause BSD style license - see LICENSE
"""Lists of datasets, and datasets with other models or maps."""

import numpy as np
from gammapy.datasets import Datasets, MapDataset
from gammapy.maps import Map
from gammapy.modeling.models import FoVBackgroundModel, TemplateNPredModel

from .exposure import exposure_at
from .pixel_grid import same_image

__all__ = [
    "as_list",
    "counts_model",
    "is_on",
    "renamed_models",
    "with_models",
    "with_own_exposure",
]


def as_list(datasets):
    """One dataset or several as a list.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data.

    Returns
    -------
    datasets : list of `~gammapy.datasets.MapDataset`
        The same.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If there is none.
    """
    if isinstance(datasets, MapDataset):
        return [datasets]
    if not isinstance(datasets, (list, tuple, Datasets)):
        raise TypeError(
            f"Expected a MapDataset or Datasets of them, got {type(datasets).__name__}: "
            "read one with MapDataset.read(filename)."
        )
    datasets = list(datasets)
    if not datasets:
        raise ValueError("No dataset was given: give a MapDataset or Datasets with at least one.")
    return datasets


def with_models(dataset, models, name=None, **maps):
    """The same data with other models.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data; left unchanged, also its caches.
    models : list of models
        Models of the result.
    name : str, optional
        Its name, by default that of the dataset.
    **maps
        Maps to replace, by the name of their argument of `~gammapy.datasets.MapDataset`.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        Dataset that shares the other maps.
    """
    own = {
        "counts": dataset.counts,
        "exposure": dataset.exposure,
        "background": dataset.background,
        "psf": dataset.psf,
        "edisp": dataset.edisp,
        "mask_safe": dataset.mask_safe,
        "mask_fit": dataset.mask_fit,
        "gti": dataset.gti,
    }
    return MapDataset(**own | maps, name=name or dataset.name, models=models)


def renamed_models(dataset, name):
    """Copies of the models of a dataset for one of another name.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data.
    name : str
        Name of the other dataset.

    Returns
    -------
    models : list of models
        Copies with their names.
    """
    models = []
    for model in dataset.models or ():
        if isinstance(model, FoVBackgroundModel):
            models.append(model.copy(dataset_name=name, name=model.name))
        else:
            models.append(model.copy(name=model.name, datasets_names=[name]))
    return models


def is_on(m, image):
    """Whether a map has the pixels of an image.

    Parameters
    ----------
    m : `~gammapy.maps.Map`
        Map.
    image : `~gammapy.maps.Geom`
        Image geometry.

    Returns
    -------
    is_on : bool
        True if so.
    """
    return same_image(m.geom.to_image(), image)


def counts_model(counts, name):
    """Model of the dataset of a name that predicts a map of counts.

    Parameters
    ----------
    counts : `~gammapy.maps.Map`
        Counts.
    name : str
        Name of the dataset.

    Returns
    -------
    model : `~gammapy.modeling.models.TemplateNPredModel`
        Model, which shares the map.
    """
    return TemplateNPredModel(counts, name=f"templates of {name}", datasets_names=[name], copy_data=False)


def with_own_exposure(dataset):
    """The same data with the exposure on the pixels of the counts, as Gammapy's predictions need it.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data on a WCS geometry; left unchanged.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        The same one where the exposure has these pixels and is finite.
    """
    exposure, image = dataset.exposure, dataset.counts.geom.to_image()
    same = is_on(exposure, image)
    if same and np.isfinite(exposure.data).all():
        return dataset
    geom = image.to_cube([exposure.geom.axes["energy_true"]])
    values = np.nan_to_num(exposure.quantity.to_value("cm2 s")) if same else exposure_at(exposure, image)
    return with_models(dataset, dataset.models, exposure=Map.from_geom(geom, data=values, unit="cm2 s"))
