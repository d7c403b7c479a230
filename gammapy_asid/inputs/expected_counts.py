# Licensed under a 3-clause BSD style license - see LICENSE
"""The known sky of a dataset: what its background and its models, of any kind, predict."""

import astropy.units as u
import numpy as np
from gammapy.maps import Map
from gammapy.modeling.models import FoVBackgroundModel, TemplateNPredModel

from .datasets import with_models, with_own_exposure
from .field_pixels import FieldPixels
from .masks import valid_bins
from .pixel_grid import PixelGrid
from .prediction import Kernels, ModelCounts

__all__ = ["background_counts", "expected_counts", "sky_counts", "sky_models", "template_counts"]


def template_counts(dataset):
    """Counts of all `~gammapy.modeling.models.TemplateNPredModel` of a dataset.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data; left unchanged.

    Returns
    -------
    counts : `~gammapy.maps.Map`
        On the geometry of the counts; None without such a model.

    Raises
    ------
    ValueError
        If the map of a model has other pixels or energies than the counts.
    """
    models = [model for model in dataset.models or () if isinstance(model, TemplateNPredModel)]
    if not models:
        return None
    geom = dataset.counts.geom
    total = Map.from_geom(geom, dtype=float)
    for model in models:
        own = model.map.geom
        # A HEALPix map has one spatial axis, for which the model itself is not made
        factor = model.spectral_model(own.axes["energy"].center).value
        data = model.map.data * factor.reshape(-1, *[1] * (model.map.data.ndim - 1))
        if model.spatial_model is not None:
            data = data * model.spatial_model.evaluate_geom(own).value
        try:
            if own.axes["energy"] != geom.axes["energy"]:
                raise ValueError
            total.stack(Map.from_geom(own, data=data, dtype=float))
        except ValueError:
            raise ValueError(
                f"The map of the model {model.name!r} does not fit the counts of dataset {dataset.name!r}: "
                "it needs the same energies, and the same pixels or some of them."
            ) from None
    return total


def expected_counts(dataset, without=()):
    """Counts that the background and all models of a dataset predict.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data, on pixels of any kind; left unchanged.
    without : sequence of str
        Names of models that are not part of it.

    Returns
    -------
    counts : `~numpy.ndarray`
        In the shape of the counts; None without background and models.

    Raises
    ------
    ValueError
        If a model can't be evaluated on the geometry of the dataset.
    """
    models = [model for model in dataset.models or () if model.name not in without]
    bare = with_models(dataset, models)
    parts = []
    if dataset.background is not None:
        parts.append(background_counts(bare).data)
    templates = template_counts(bare)
    if templates is not None:
        parts.append(templates.data)
    if sky_models(bare):
        parts.append(_on_any_pixels(bare))
    # As in Gammapy: a model may be negative, what is expected with it is not
    return np.maximum(sum(parts), 0) if models else parts[0] if parts else None


def background_counts(dataset):
    """Background of a dataset times its model (`~gammapy.maps.Map`).

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data with a background.

    Returns
    -------
    counts : `~gammapy.maps.Map`
        On the geometry of the background.
    """
    background, model = dataset.background, dataset.background_model
    if model is None:
        return background
    factor = model.spectral_model(background.geom.axes["energy"].center)
    factor = np.reshape(u.Quantity(factor).to_value(""), (-1, *[1] * (background.data.ndim - 1)))
    if model.spatial_model is not None:
        factor = factor * model.spatial_model.evaluate_geom(background.geom).value
    return background.copy(data=background.data * factor)


def sky_models(dataset):
    """Models of a dataset that its response shows: neither background nor templates of counts.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data.

    Returns
    -------
    models : list of `~gammapy.modeling.models.SkyModel`
        The models themselves.
    """
    others = FoVBackgroundModel | TemplateNPredModel
    return [model for model in dataset.models or () if not isinstance(model, others)]


def sky_counts(dataset, kernels=None):
    """Counts of the `sky_models` of a dataset.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data on square pixels, which the exposure shares; left unchanged.
    kernels : `~gammapy_asid.inputs.prediction.Kernels`, optional
        Kernels of its response.

    Returns
    -------
    counts : `~gammapy.maps.Map`
        On the geometry of the counts.
    """
    kernels = Kernels(dataset) if kernels is None else kernels
    total = Map.from_geom(dataset.counts.geom, dtype=float)
    for model in sky_models(dataset):
        ModelCounts(model, dataset, kernels).add_to(total)
    return total


def _on_any_pixels(dataset):
    """Counts of the sky models in the shape of those of the dataset."""
    grid = PixelGrid(dataset.counts.geom.to_image(), None)
    if grid.is_nominal:
        return sky_counts(with_own_exposure(dataset)).data
    # On square pixels half as large, which those of the dataset then read
    grid.valid = valid_bins(dataset).any(axis=0).ravel()
    image = FieldPixels([grid], grid.size / 2).geom
    empty = Map.from_geom(image.to_cube(dataset.counts.geom.axes))
    no_maps = {"background": None, "mask_safe": None, "mask_fit": None}
    fine = with_models(dataset, sky_models(dataset), counts=empty, **no_maps)
    density = sky_counts(with_own_exposure(fine))
    density.data /= image.solid_angle().to_value("deg2")
    geom = dataset.counts.geom
    values = density.interp_by_coord(geom.get_coord(), fill_value=0)
    return np.nan_to_num(values * geom.solid_angle().to_value("deg2"))
