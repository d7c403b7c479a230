# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources that an estimator is given, and their place in a field."""

import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.modeling.models import DatasetModels
from scipy.spatial import KDTree

from ..catalog.candidates import Candidates
from ..catalog.columns import CandidateFlag
from ..catalog.names import iau_names

__all__ = ["duplicates", "given_sources", "on_valid_pixels"]

# Positions nearer than this in nominal finest pixels are one.
SAME = 0.5


def given_sources(sources):
    """Names, positions, scores (None where given) and names of models to leave out of the known sky."""
    if isinstance(sources, Candidates):
        # Without scores, as those of another list, they are given positions
        score = np.array(sources.table["score"])
        score = score if np.isfinite(score).all() else None
        return list(sources.table["name"]), sources.positions, score, ()
    if isinstance(sources, SkyCoord):
        positions = sources.reshape(-1)
        return iau_names(positions), positions, None, ()
    if isinstance(sources, DatasetModels):
        placed = [
            m for m in sources if getattr(m, "spatial_model", None) is not None and m.position is not None
        ]
        if len(placed) < len(sources):
            lost = sorted(set(sources.names) - {m.name for m in placed})
            raise ValueError(f"Models without a position: {', '.join(lost)}: leave them out")
        lon, lat = ([getattr(m.position.icrs, axis).deg for m in placed] for axis in ("ra", "dec"))
        positions = SkyCoord(lon, lat, unit="deg", frame="icrs")
        return [m.name for m in placed], positions, None, tuple(m.name for m in placed)
    if isinstance(sources, MapDataset):
        raise TypeError(
            "The second argument are the sources, not a dataset: give several datasets as Datasets"
        )
    raise TypeError(f"Sources are SkyCoord, Candidates or Models, got {type(sources).__name__}")


def on_valid_pixels(cube, x, y):
    """Whether positions lie on valid pixels of any band."""
    valid = cube.mask.any(axis=0)
    ny, nx = valid.shape
    column, row = (
        np.nan_to_num(np.round(x), nan=-1).astype(int),
        np.nan_to_num(np.round(y), nan=-1).astype(int),
    )
    inside = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    return inside & valid[row.clip(0, ny - 1), column.clip(0, nx - 1)]


def duplicates(x, y, cube):
    """Flag of positions that are nearer than `SAME` to another one."""
    flags = np.zeros(len(x), int)
    if len(x) > 1:
        reach = SAME * cube.bands.pixel_size / cube.response.pixel_size
        pairs = KDTree(np.column_stack([x, y])).query_pairs(reach, output_type="ndarray")
        flags[pairs.ravel()] = CandidateFlag.DUPLICATE
    return flags
