# Licensed under a 3-clause BSD style license - see LICENSE
"""Real fields of a recipe, of which a part of the training is made."""

import os

import astropy.units as u
import numpy as np
from astropy.table import Table

from ...inputs.convert import to_band_cube
from ...inputs.dataset_files import read_dataset
from ...simulation.real_patches import RealSkies, RealSkySimulator
from ...utils.devices import moved
from ...utils.table_columns import table_positions

__all__ = ["with_real_fields"]


def with_real_fields(simulator, recipe):
    """Simulator with the real fields of a recipe, the same where it has none.

    Parameters
    ----------
    simulator : `~gammapy_asid.simulation.patch_simulator.PatchSimulator`
        Simulator of all other patches.
    recipe : `~gammapy_asid.tasks.detection.recipe.DetectionRecipe`
        Recipe.

    Returns
    -------
    simulator : `~gammapy_asid.learning.simulator.Simulator`
        Simulator.

    Raises
    ------
    ValueError
        If no source of a list lies in its field: then it is that of another.
    """
    if recipe.real is None:
        return simulator
    fields = [_field(entry, simulator, recipe) for entry in recipe.real]
    return RealSkies(simulator, moved(fields, simulator.device), recipe.real_share)


def _field(entry, simulator, recipe):
    dataset, sources = (os.path.expandvars(path) for path in (entry.dataset, entry.sources))
    cube = to_band_cube(read_dataset(dataset), simulator.bands)
    positions = table_positions(Table.read(sources), f"The list {sources}")
    x, y = (np.atleast_1d(v) for v in cube.geom.coord_to_pix(positions))
    seen = np.isfinite(x) & np.isfinite(y)
    # Behind the plane of projection there are no pixels
    seen &= positions.separation(cube.geom.center_skydir) < 90 * u.deg
    if not cube.geom.contains(positions[seen]).any():
        raise ValueError(
            f"No source of {sources} lies in the field of {dataset}: give the list of this field"
        )
    return RealSkySimulator(cube, x[seen], y[seen], recipe.patch_size, recipe.background_share)
