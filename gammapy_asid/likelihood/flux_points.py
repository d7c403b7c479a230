# Licensed under a 3-clause BSD style license - see LICENSE
"""A region as its fit leaves it, for flux points with Gammapy."""

import astropy.units as u
import numpy as np
from gammapy.datasets import Datasets
from gammapy.modeling.models import FoVBackgroundModel, Models, TemplateNPredModel

from ..inputs.known_sky import with_models
from .region_likelihood import RegionLikelihood

__all__ = ["as_fitted", "shared_edges"]

#: Edges that differ by less than this relative to themselves are one.
SAME_EDGE = 1e-4


def as_fitted(region, source):
    """Datasets of a region with the levels of all else fitted beside a source.

    Parameters
    ----------
    region : `~gammapy_asid.likelihood.region.Region`
        Region.
    source : `~gammapy.modeling.models.SkyModel`
        Fitted source.

    Returns
    -------
    datasets : `~gammapy.datasets.Datasets`
        With the source as the first of their models.
    """
    likelihood, trial = RegionLikelihood(region), source.copy(name=source.name)
    trial.freeze()
    trial.spectral_model.amplitude.frozen = False
    likelihood.minimise(trial)
    levels = iter(likelihood.levels)
    backgrounds = {dataset.name: 0.0 for dataset in region.datasets}
    neighbours = []
    for model in region.known:
        if isinstance(model, TemplateNPredModel):
            backgrounds[model.datasets_names[0]] += model.map.data
        elif isinstance(model, FoVBackgroundModel):
            name, norm = model.datasets_names[0], model.spectral_model.norm
            level = norm.value if norm.frozen else next(levels)
            backgrounds[name] = backgrounds[name] + level * region.datasets[name].background.data
        else:
            neighbour, amplitude = model.copy(name=model.name), model.spectral_model.amplitude
            neighbour.spectral_model.amplitude.value *= 1.0 if amplitude.frozen else next(levels)
            neighbours.append(neighbour)
    models = Models([source.copy(name=source.name), *neighbours])
    datasets = []
    for dataset in region.datasets:
        # Fixed, and the slices of energies take it along
        known = dataset.counts.copy(
            data=np.broadcast_to(backgrounds[dataset.name], dataset.counts.data.shape)
        )
        datasets.append(with_models(dataset, models, background=known))
    return Datasets(datasets)


def shared_edges(region):
    """Edges of energies that all datasets of a region have, as far as they reach, where they show the source.

    Parameters
    ----------
    region : `~gammapy_asid.likelihood.region.Region`
        Region.

    Returns
    -------
    edges : `~astropy.units.Quantity`
        Edges.

    Raises
    ------
    ValueError
        If there are none.
    """
    axes = [dataset.counts.geom.axes["energy"].edges.to_value("GeV") for dataset in region.datasets]
    low, high = (energy.to_value("GeV") for energy in region.energy_range)
    edges = np.unique(np.concatenate(axes))
    edges = edges[np.append(True, np.diff(edges) > SAME_EDGE * edges[1:])]
    edges = edges[(edges > low * (1 - SAME_EDGE)) & (edges < high * (1 + SAME_EDGE))]
    for axis in axes:
        beyond = (edges < axis[0] * (1 - SAME_EDGE)) | (edges > axis[-1] * (1 + SAME_EDGE))
        edges = edges[beyond | np.any(np.abs(edges[:, None] / axis - 1) < SAME_EDGE, axis=1)]
    if len(edges) < 2:
        raise ValueError("The datasets share no edges of energy: give energy_edges")
    return edges * u.GeV
