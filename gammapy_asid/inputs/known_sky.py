# Licensed under a 3-clause BSD style license - see LICENSE
"""The known sky of a dataset: what its background and its models, of any kind, predict."""

import logging

import astropy.units as u
import numpy as np
from gammapy.datasets import MapDataset
from gammapy.maps import Map
from gammapy.modeling.models import FoVBackgroundModel, TemplateNPredModel

from .field import Field, PixelGrid, same_image
from .masks import valid_bins
from .prediction import Kernels, ModelCounts
from .response import exposure_at

__all__ = [
    "background_counts",
    "counts_model",
    "expected_counts",
    "impossible_pixels",
    "is_on",
    "renamed_models",
    "sky_counts",
    "sky_models",
    "template_counts",
    "warn_of_impossible",
    "with_changed_maps",
    "with_models",
    "with_own_exposure",
    "without_impossible",
]

log = logging.getLogger(__name__)

#: Share of the counts where nothing is predicted, from which the known sky itself is wrong.
MOST = 0.5


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


def renamed_models(dataset, name):
    """Copies of the models of a dataset for one of another name."""
    models = []
    for model in dataset.models or ():
        if isinstance(model, FoVBackgroundModel):
            models.append(model.copy(dataset_name=name, name=model.name))
        else:
            models.append(model.copy(name=model.name, datasets_names=[name]))
    return models


def is_on(m, image):
    """Whether a map has the pixels of an image."""
    return same_image(m.geom.to_image(), image)


def counts_model(counts, name):
    """Model of the dataset of a name that predicts a map of counts."""
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
    """Background of a dataset times its model (`~gammapy.maps.Map`)."""
    background, model = dataset.background, dataset.background_model
    if model is None:
        return background
    factor = model.spectral_model(background.geom.axes["energy"].center)
    factor = np.reshape(u.Quantity(factor).to_value(""), (-1, *[1] * (background.data.ndim - 1)))
    if model.spatial_model is not None:
        factor = factor * model.spatial_model.evaluate_geom(background.geom).value
    return background.copy(data=background.data * factor)


def sky_models(dataset):
    """Models of a dataset that its response shows: neither background nor templates of counts."""
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
    image = Field([grid], grid.size / 2).geom
    empty = Map.from_geom(image.to_cube(dataset.counts.geom.axes))
    no_maps = {"background": None, "mask_safe": None, "mask_fit": None}
    fine = with_models(dataset, sky_models(dataset), counts=empty, **no_maps)
    density = sky_counts(with_own_exposure(fine))
    density.data /= image.solid_angle().to_value("deg2")
    geom = dataset.counts.geom
    values = density.interp_by_coord(geom.get_coord(), fill_value=0)
    return np.nan_to_num(values * geom.solid_angle().to_value("deg2"))


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
    """Say that pixels were left out."""
    log.warning(
        f"Dataset {name!r} has {n_counts:.0f} counts where its background and models predict none: "
        f"these pixels and the others without a prediction in the same energy bins ({n_pixels} in all) "
        "are left out."
    )
