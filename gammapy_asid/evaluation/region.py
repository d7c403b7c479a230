# Licensed under a 3-clause BSD style license - see LICENSE
"""The sky that counts: valid data, samples, and matches by chance."""

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets
from gammapy.maps import Map

from .matching import near_pairs

__all__ = ["chance_share", "describe_sample", "on_valid_data", "valid_images"]

#: Random positions for the share of matches by chance, and how far from a candidate they lie, in radii.
N_CHANCE, CHANCE_DISTANCE = 4000, (3, 12)


def on_valid_data(datasets, positions):
    """Which positions lie on valid data of a dataset or of any of several.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data of the field.
    positions : `~astropy.coordinates.SkyCoord`
        Positions, shape ``(n,)``.

    Returns
    -------
    inside : `~numpy.ndarray` of bool
        Shape ``(n,)``.
    """
    inside = np.zeros(len(positions), dtype=bool)
    if len(positions) == 0:
        return inside
    for valid in valid_images(datasets):
        own = valid.geom.contains(positions)
        own[own] = valid.get_by_coord(positions[own]).astype(bool)
        inside |= own
    return inside


def valid_images(datasets):
    """Maps that are true on the valid data of each dataset, one after the other.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data.

    Yields
    ------
    valid : `~gammapy.maps.Map`
        Image of bool.
    """
    for dataset in Datasets(datasets):
        if dataset.mask is None:
            yield Map.from_geom(dataset.counts.geom.to_image(), data=True, dtype=bool)
        else:
            yield dataset.mask.reduce_over_axes(np.logical_or)


def chance_share(candidates, truth, radius, datasets=None, latitude=(0.0, 90.0)):
    """Share of random positions around candidates that have a true source within the radius.

    Parameters
    ----------
    candidates : `~gammapy_asid.evaluation.CandidateList`
        Candidates.
    truth : `~gammapy_asid.evaluation.Truth`
        True sources.
    radius : float
        Radius in deg.
    datasets, latitude
        Region in which the positions lie, see `~gammapy_asid.evaluation.evaluate_lists`.

    Returns
    -------
    share : float
        Share; NaN without candidates.
    """
    if len(candidates) == 0:
        return np.nan
    rng = np.random.default_rng(0)
    start = rng.integers(len(candidates), size=N_CHANCE)
    distance = radius * np.sqrt(rng.uniform(*np.square(CHANCE_DISTANCE), N_CHANCE))
    angle = rng.uniform(0, 360, N_CHANCE)
    moved = candidates.select(start)
    position = moved.positions.directional_offset_by(angle * u.deg, distance * u.deg)
    inside = (np.abs(position.b.deg) >= latitude[0]) & (np.abs(position.b.deg) <= latitude[1])
    if datasets is not None:
        inside &= on_valid_data(datasets, position)
    if not inside.any():
        return np.nan
    near = np.zeros(inside.sum(), dtype=bool)
    group = None if moved.group is None else moved.group[inside]
    first, _, _ = near_pairs(
        position.l.deg[inside], position.b.deg[inside], truth.lon, truth.lat, radius, group, truth.group
    )
    near[first] = True
    return float(near.mean())


def describe_sample(truth, counts, in_region, datasets=None):
    """Numbers of a sample and its place on the sky.

    Parameters
    ----------
    truth : `~gammapy_asid.evaluation.Truth`
        All true sources.
    counts, in_region : `~numpy.ndarray` of bool
        Which of them count, and which are in the region.
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`, optional
        Data that were searched.

    Returns
    -------
    sample : dict
        Numbers of sources, range of fluxes, centre, and area where it is known.
    """
    area = None
    if datasets is not None and len(Datasets(datasets)) == 1:
        (valid,) = valid_images(datasets)
        area = float((valid.data * valid.geom.solid_angle().to_value("deg2")).sum())
    center = SkyCoord(truth.select(counts).positions.cartesian.mean(), frame="galactic")
    return {
        "n_given": len(truth),
        "n_outside": int((~in_region).sum()),
        "n_too_faint": int((in_region & ~counts).sum()),
        "n_true": int(counts.sum()),
        "flux_range": (float(truth.flux[counts].min()), float(truth.flux[counts].max())),
        "center": (float(center.spherical.lon.deg), float(center.spherical.lat.deg)),
        "area_deg2": area,
        "region": "all of the tables" if datasets is None else "valid data",
        "fields": None if truth.group is None else len(np.unique(truth.group[counts])),
    }
