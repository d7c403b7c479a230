# Licensed under a 3-clause BSD style license - see LICENSE
"""A region as its fit leaves it, for flux points with Gammapy."""

import astropy.units as u
import numpy as np
from astropy.table import vstack
from gammapy.datasets import Datasets
from gammapy.estimators import FluxPoints, FluxPointsEstimator
from gammapy.maps import Map
from gammapy.modeling.models import Models

from ..inputs.datasets import with_models
from .region_likelihood import RegionLikelihood

__all__ = ["as_fitted", "flux_points", "shared_edges"]

#: Edges that differ by less than this relative to themselves are one: files hold single precision.
SAME_EDGE = 1e-4
#: Columns that points of other datasets share.
POINT_COLUMNS = (
    *("e_ref", "e_min", "e_max", "ref_dnde", "ref_flux", "ref_eflux", "norm", "norm_err", "norm_ul"),
    *("ts", "sqrt_ts", "stat", "stat_null", "success", "is_ul"),
)


def as_fitted(region, source):
    """Datasets of a region with a source, all else fitted beside it and fixed as their background.

    Parameters
    ----------
    region : `~gammapy_asid.likelihood.region.Region`
        Region.
    source : `~gammapy.modeling.models.SkyModel`
        Fitted source.

    Returns
    -------
    datasets : `~gammapy.datasets.Datasets`
        With the source as their model.
    """
    likelihood, trial = RegionLikelihood(region), source.copy(name=source.name)
    trial.freeze()
    trial.spectral_model.amplitude.frozen = False
    likelihood.minimise(trial)
    known = likelihood.pixels.images(likelihood.fixed + likelihood.levels @ likelihood.free)
    datasets = Datasets(
        [
            with_models(dataset, None, background=Map.from_geom(dataset.counts.geom, data=image))
            for dataset, image in zip(region.datasets, known, strict=True)
        ]
    )
    datasets.models = Models([source.copy(name=source.name)])
    return datasets


def flux_points(region, source, edges):
    """Flux points of a source.

    Parameters
    ----------
    region : `~gammapy_asid.likelihood.region.Region`
        Region.
    source : `~gammapy.modeling.models.SkyModel`
        Fitted source.
    edges : `~astropy.units.Quantity`
        Edges of the points.

    Returns
    -------
    points : `~gammapy.estimators.FluxPoints`
        Points. Where the datasets have other energies they do not tell how much each dataset gave.
    """
    datasets = as_fitted(region, source)
    options = {"source": source.name, "selection_optional": ["ul"]}
    axes = [dataset.counts.geom.axes["energy"] for dataset in datasets]
    if all(axis == axes[0] for axis in axes):
        return FluxPointsEstimator(edges, **options).run(datasets)
    # Gammapy wants the same datasets in all points of one table
    tables = []
    for pair in zip(edges[:-1], edges[1:], strict=True):
        points = FluxPointsEstimator(u.Quantity(pair), **options).run(datasets)
        table = points.to_table(sed_type="likelihood")
        table.remove_columns([name for name in table.colnames if name not in POINT_COLUMNS])
        tables.append(table)
    table = vstack(tables, metadata_conflicts="silent")
    return FluxPoints.from_table(table, sed_type="likelihood", reference_model=source.spectral_model)


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
