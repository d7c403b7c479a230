# Licensed under a 3-clause BSD style license - see LICENSE
"""A region as its fit leaves it, for flux points with Gammapy."""

import logging

import astropy.units as u
import numpy as np
from astropy.table import Table
from gammapy.datasets import Datasets
from gammapy.estimators import FluxPoints, FluxPointsEstimator
from gammapy.maps import Map
from gammapy.modeling.models import Models

from ..catalog.flux_points import SAME_EDGE
from ..inputs.datasets import with_models
from .region_likelihood import RegionLikelihood

__all__ = ["as_fitted", "edges_of_bins", "flux_points", "shared_edges"]

log = logging.getLogger(__name__)

NO_COMMON_EDGES = (
    "The datasets share no two edges of energy, so no point holds whole bins of all: give them one by one"
)
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
    # Gammapy wants the same datasets and bins in all points of one table
    rows = []
    for pair in zip(edges[:-1], edges[1:], strict=True):
        row = FluxPointsEstimator(u.Quantity(pair), **options).estimate_flux_point(datasets, *pair)
        rows.append({name: row[name] for name in POINT_COLUMNS if name in row})
    meta = {"n_sigma": 1, "n_sigma_ul": 2, "sed_type_init": "likelihood"}
    return FluxPoints.from_table(
        Table(rows, meta=meta),
        format="gadf-sed",
        reference_model=source.spectral_model.copy(),
        gti=datasets.gti,
    )


def edges_of_bins(region, wanted):
    """Edges of points where all datasets of a region have an edge.

    Parameters
    ----------
    region : `~gammapy_asid.likelihood.region.Region`
        Region.
    wanted : `~astropy.units.Quantity`
        Edges that the points should have.

    Returns
    -------
    edges : `~astropy.units.Quantity`
        The nearest of the datasets to each; those beyond the data as they are.

    Raises
    ------
    ValueError
        If the datasets share no edges, or no bins lie between two of the edges.
    """
    shared, edges = _common_edges(region), wanted.to_value("GeV")
    if len(shared) < 2:
        raise ValueError(NO_COMMON_EDGES)
    nearest = shared[np.abs(np.log(edges[:, None] / shared)).argmin(axis=1)]
    inside = (edges > shared[0]) & (edges < shared[-1])
    own = np.where(inside, nearest, edges)
    bad = np.flatnonzero(np.diff(own) <= SAME_EDGE * own[1:])
    if len(bad):
        low, high = edges[bad[0]], edges[bad[0] + 1]
        raise ValueError(
            f"energy_edges: {low:.4g}-{high:.4g} GeV holds no whole energy bin of the data: give edges "
            f"of them, which are {_list(shared)} GeV"
        )
    moved = np.abs(own / edges - 1) > SAME_EDGE
    if moved.any():
        log.warning(
            f"Points of fluxes can't cut energy bins: their edges are {_list(own[moved])} GeV in place of "
            f"{_list(edges[moved])} GeV."
        )
    return own * u.GeV


def _list(edges):
    return ", ".join(f"{edge:.4g}" for edge in edges)


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
    low, high = (energy.to_value("GeV") for energy in region.energy_range)
    edges = _common_edges(region)
    edges = edges[(edges > low * (1 - SAME_EDGE)) & (edges < high * (1 + SAME_EDGE))]
    if len(edges) < 2:
        raise ValueError(NO_COMMON_EDGES)
    return edges * u.GeV


def _common_edges(region):
    """Edges in GeV that all datasets of a region have, as far as they reach."""
    axes = [dataset.counts.geom.axes["energy"].edges.to_value("GeV") for dataset in region.datasets]
    edges = np.unique(np.concatenate(axes))
    edges = edges[np.append(True, np.diff(edges) > SAME_EDGE * edges[1:])]
    for axis in axes:
        beyond = (edges < axis[0] * (1 - SAME_EDGE)) | (edges > axis[-1] * (1 + SAME_EDGE))
        edges = edges[beyond | np.any(np.abs(edges[:, None] / axis - 1) < SAME_EDGE, axis=1)]
    return edges
