# Licensed under a 3-clause BSD style license - see LICENSE
"""The region of a likelihood fit: cutouts, known sky, neighbours and the candidate itself."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata.utils import NoOverlapError
from gammapy.datasets import Datasets
from gammapy.modeling.models import (
    FoVBackgroundModel,
    Models,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)

from ..inputs.changed_maps import with_changed_maps
from ..inputs.datasets import counts_model, with_models
from ..inputs.expected_counts import background_counts, sky_counts, template_counts
from ..inputs.prediction import Kernels, ModelCounts
from ..inputs.square_pixels import on_square_pixels
from .trial_models import INDEX, FitModel, free_position, neighbour, point_source

__all__ = ["MARGIN", "NORM_RANGE", "Region", "cut_dataset", "cut_region", "visible_range"]

#: Range of levels of the background: beyond it the background is not that of the data.
NORM_RANGE = (0.1, 10.0)
#: Margin on each side of a region, as a share of its width: what shines in from there is a point spread
#: function wide at a few GeV.
MARGIN = 0.25
#: Largest number of pixels that a distorted map takes for one; more would be a region of all its rim.
LARGEST_STRETCH = 20
#: Share of the photons of a source that valid pixels of a bin must have for the bin to tell its flux.
VISIBLE = 0.1


@dataclass(frozen=True, kw_only=True)
class Region:
    """What one fit needs.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        The region and a margin around it, which is masked, of the datasets that see it.
    known : `~gammapy.modeling.models.Models`
        Background, known sky and neighbours.
    source : `~gammapy.modeling.models.SkyModel`
        The candidate: a point with a power law.
    kernels : list of `~gammapy_asid.inputs.prediction.Kernels`
        Of the responses of the datasets.
    energy_range : tuple of `~astropy.units.Quantity`
        Lowest and highest energy of the valid data in which the candidate shows.
    source_class : str
        Class of the candidate, empty where it is not known.
    """

    datasets: Datasets
    known: Models
    source: SkyModel
    kernels: list
    energy_range: tuple
    source_class: str = ""


def cut_region(datasets, kernels, source, neighbours, options):
    """Cut the region of a candidate out of a field.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Data of the field; left unchanged.
    kernels : list of `~gammapy_asid.inputs.prediction.Kernels`
        Of their responses; None where they differ from place to place with the pixels.
    source : `~gammapy_asid.likelihood.listed_sources.ListedSource`
        The candidate.
    neighbours : list of `~gammapy_asid.likelihood.listed_sources.ListedSource`
        The others.
    options : `~gammapy_asid.likelihood.fit.FitOptions`
        Options.

    Returns
    -------
    region : `Region`
        Region.

    Raises
    ------
    RuntimeError
        If no dataset has valid data in which the candidate shows.
    """
    position, cutouts, own_kernels, known = source.position, [], [], []
    for dataset, own in zip(datasets, kernels, strict=True):
        cutout = cut_dataset(dataset, position, options.width, own)
        if cutout is not None:
            own_model = dataset.background_model
            free = own_model is None or len(own_model.parameters.free_parameters) > 0
            known += _known_models(cutout, options.free_background and free)
            cutouts.append(cutout)
            own_kernels.append(Kernels(cutout) if own is None else own)
    e_range = visible_range(cutouts, own_kernels, position)
    datasets = Datasets(cutouts)
    for other in neighbours:
        distance = other.position.separation(position)
        model = neighbour(other, datasets, e_range)
        free = options.free_neighbours and distance <= options.neighbour_reach
        # A flux that could not be told stays free
        model.spectral_model.amplitude.frozen = other.spectrum is not None and not free
        if not model.spectral_model.amplitude.frozen or not other.is_zero:
            known.append(model)
    model = point_source(source, datasets, e_range, index_free=True)
    free_position(model, options.position_reach)
    return Region(
        datasets=datasets,
        known=Models(known),
        source=model,
        kernels=own_kernels,
        energy_range=e_range,
        source_class=source.source_class,
    )


def cut_dataset(dataset, position, width, kernels=None):
    """The part of a dataset that a fit needs.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data; left unchanged.
    position : `~astropy.coordinates.SkyCoord`
        Centre.
    width : `~astropy.units.Quantity`
        Side.
    kernels : `~gammapy_asid.inputs.prediction.Kernels`, optional
        Of its response.

    Returns
    -------
    cutout : `~gammapy.datasets.MapDataset`
        On square pixels, which the exposure shares. Its background is that with the model of the
        background, and its only model, if there is one, the counts of the known sky. None where the
        dataset has no valid data.
    """
    # Extended models shine in from around the region
    wide = _trimmed(dataset, position, width * (1 + 2 * MARGIN))
    if wide is None:
        return None
    wide = on_square_pixels([wide])
    known, templates = sky_counts(wide, kernels), template_counts(wide)
    if templates is not None:
        known += templates
    background = None if wide.background is None else background_counts(wide)
    models = [counts_model(known, dataset.name)] if known.data.any() else []
    cutout = _trimmed(with_models(wide, models, background=background), position, width)
    return cutout if cutout is not None and (cutout.exposure.data > 0).any() else None


def _trimmed(dataset, position, width):
    """Cutout of the maps; None where the dataset does not reach."""
    image = dataset.counts.geom.to_image()
    if not image.is_hpx:
        # Along the axes of a distorted map the same angle takes another number of pixels
        x, y = (float(v[0]) for v in image.coord_to_pix(position))
        lon, lat = image.pix_to_coord((x + np.array([0, 1, 0]), y + np.array([0, 0, 1])))
        here, *beside = SkyCoord(lon, lat, frame=image.frame)
        sides = u.Quantity([here.separation(other) for other in beside])
        if not np.all(np.isfinite(sides)):
            return None
        stretch = (image.pixel_scales / sides).to_value("")
        width = width * np.clip(stretch, 1, LARGEST_STRETCH)
    try:
        cutout = with_changed_maps(dataset, lambda m, _: m.cutout(position, width))
    except NoOverlapError:
        return None
    return cutout if cutout.mask_safe.data.any() else None


def _known_models(dataset, free):
    """Models of the background, with a free level or not, and of the known sky, which a cutout gives away."""
    models, dataset.models = list(dataset.models or ()), None
    for model in models:
        model.freeze()
    if dataset.background is not None:
        background = FoVBackgroundModel(dataset_name=dataset.name)
        background.spectral_model.norm.frozen = not free
        background.spectral_model.norm.min, background.spectral_model.norm.max = NORM_RANGE
        models.append(background)
    return models


def visible_range(datasets, kernels, position):
    """Range of energies of the valid data in which a source shows.

    Parameters
    ----------
    datasets : list of `~gammapy.datasets.MapDataset`
        Data on square pixels, which the exposure shares.
    kernels : list of `~gammapy_asid.inputs.prediction.Kernels`
        Of their responses.
    position : `~astropy.coordinates.SkyCoord`
        Position of the source.

    Returns
    -------
    e_min, e_max : `~astropy.units.Quantity`
        Edges of the lowest and highest bin of any dataset of which valid pixels have the share `VISIBLE` of
        the photons.

    Raises
    ------
    RuntimeError
        If there is none.
    """
    place = PointSpatialModel.from_position(position.icrs)
    source = FitModel(PowerLawSpectralModel(index=INDEX), place, name="source")
    low, high = [], []
    for dataset, own in zip(datasets, kernels, strict=True):
        photons = ModelCounts(source, dataset, own)()
        total, inside = (image.sum(axis=(1, 2)) for image in (photons, photons * dataset.mask_safe.data))
        visible = (total > 0) & (inside >= VISIBLE * total)
        edges = dataset.counts.geom.axes["energy"].edges
        low, high = [*low, *edges[:-1][visible]], [*high, *edges[1:][visible]]
    if not low:
        raise RuntimeError("no valid data show the position")
    return min(low), max(high)
