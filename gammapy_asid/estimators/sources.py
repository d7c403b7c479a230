# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources that an estimator is given, and their place in a field."""

from dataclasses import dataclass

import numpy as np
from astropy.coordinates import SkyCoord, UnitSphericalRepresentation
from gammapy.datasets import MapDataset
from gammapy.modeling.models import DatasetModels
from scipy.spatial import KDTree

from ..catalog.candidates import Candidates
from ..catalog.columns import CandidateFlag
from ..catalog.names import iau_names

__all__ = ["GivenSources", "given_sources", "place_sources"]

# Positions nearer than this in nominal finest pixels are one.
SAME = 0.5


@dataclass
class GivenSources:
    """Sources that an estimator is given.

    Parameters
    ----------
    names : list of str
        Names.
    positions : `~astropy.coordinates.SkyCoord`
        Positions, shape ``(n,)``.
    scores : `~numpy.ndarray`, optional
        Scores of detected ones, shape ``(n,)``; None where the positions are given.
    models : tuple of str
        Names of the models that they are, to be left out of the known sky.
    """

    names: list
    positions: SkyCoord
    scores: np.ndarray | None = None
    models: tuple = ()


def given_sources(sources):
    """Sources of any kind that an estimator takes.

    Parameters
    ----------
    sources : SkyCoord, `~gammapy_asid.Candidates` or Models
        Positions: of Astropy, or of Gammapy models.

    Returns
    -------
    sources : `GivenSources`
        Sources.

    Raises
    ------
    TypeError
        If they are something else.
    ValueError
        If models have no position.
    """
    if isinstance(sources, Candidates):
        # Without scores, as those of another list, they are given positions
        score = np.array(sources.table["score"])
        score = score if np.isfinite(score).all() else None
        return GivenSources(list(sources.table["name"]), sources.positions, score)
    if isinstance(sources, SkyCoord):
        positions = _directions(sources.reshape(-1))
        return GivenSources(iau_names(positions), positions)
    if isinstance(sources, DatasetModels):
        return _models(sources)
    if isinstance(sources, MapDataset):
        raise TypeError(
            "The second argument are the sources, not a dataset: give several datasets as Datasets"
        )
    raise TypeError(
        f"Sources are SkyCoord, Candidates or Models, got {type(sources).__name__}: of a catalogue give its "
        "positions, of a table Candidates.from_table(table)"
    )


def _directions(positions):
    """Positions without distances and motions, which Gammapy's maps do not take."""
    frame = positions.frame
    return SkyCoord(frame.realize_frame(frame.data.represent_as(UnitSphericalRepresentation)))


def _models(models):
    placed = [m for m in models if getattr(m, "spatial_model", None) is not None and m.position is not None]
    names = [m.name for m in placed]
    if len(placed) < len(models):
        lost = sorted(set(models.names) - set(names))
        raise ValueError(f"Models without a position: {', '.join(lost)}: leave them out")
    lon, lat = ([getattr(m.position.icrs, axis).deg for m in placed] for axis in ("ra", "dec"))
    positions = SkyCoord(lon, lat, unit="deg", frame="icrs")
    return GivenSources(names, positions, models=tuple(names))


def place_sources(positions, cube):
    """Places of sources in a field.

    Parameters
    ----------
    positions : `~astropy.coordinates.SkyCoord`
        Positions, shape ``(n,)``.
    cube : `~gammapy_asid.inputs.BandCube`
        Field.

    Returns
    -------
    x, y : `~numpy.ndarray`
        Finest pixels, shape ``(n,)``.
    valid : `~numpy.ndarray`
        Which lie on valid pixels of any band, bool of shape ``(n,)``.
    flags : `~numpy.ndarray`
        ``OUTSIDE`` or ``DUPLICATE`` of `~gammapy_asid.catalog.columns.CandidateFlag`, shape ``(n,)``.
    """
    x, y = (np.atleast_1d(v) for v in cube.geom.wcs.world_to_pixel(positions))
    valid = _on_valid_pixels(cube, x, y)
    flags = np.where(valid, 0, CandidateFlag.OUTSIDE)
    flags[valid] |= _duplicates(x[valid], y[valid], cube)
    return x, y, valid, flags


def _on_valid_pixels(cube, x, y):
    """Whether positions lie on valid pixels of any band."""
    valid = cube.mask.any(axis=0)
    ny, nx = valid.shape
    column, row = (
        np.nan_to_num(np.round(x), nan=-1).astype(int),
        np.nan_to_num(np.round(y), nan=-1).astype(int),
    )
    inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    return inside & valid[row.clip(0, ny - 1), column.clip(0, nx - 1)]


def _duplicates(x, y, cube):
    """Flag of positions that are nearer than `SAME` to another one."""
    flags = np.zeros(len(x), int)
    if len(x) > 1:
        reach = SAME * cube.bands.pixel_size / cube.response.pixel_size
        pairs = KDTree(np.column_stack([x, y])).query_pairs(reach, output_type="ndarray")
        flags[pairs.ravel()] = CandidateFlag.DUPLICATE
    return flags
