# Licensed under a 3-clause BSD style license - see LICENSE
"""Fluxes in bands as flux points of Gammapy."""

import numpy as np
from astropy.table import QTable, vstack
from gammapy.estimators import FluxPoints

__all__ = ["SAME_EDGE", "points_of_fluxes"]

#: Edges of energy that differ by less than this relative to themselves are one: files hold single precision.
SAME_EDGE = 1e-4


def points_of_fluxes(table, spectrum):
    """Flux points of a table of fluxes.

    Gammapy lets each point reach to the next one. Energies between two points get a point of their own, with
    a NaN flux, so that all others keep their energies.

    Parameters
    ----------
    table : `~astropy.table.Table`
        One row per point by rising energy: ``e_min``, ``e_max``, ``flux`` and what else points of type
        ``flux`` have.
    spectrum : `~gammapy.modeling.models.SpectralModel`
        Spectrum inside the points.

    Returns
    -------
    points : `~gammapy.estimators.FluxPoints`
        Flux points of type ``flux``.
    """
    table = QTable(table)
    gaps = np.flatnonzero(table["e_min"][1:] > table["e_max"][:-1] * (1 + SAME_EDGE))
    if len(gaps):
        between = QTable({"e_min": table["e_max"][gaps], "e_max": table["e_min"][gaps + 1]})
        for name in [name for name in table.colnames if name not in between.colnames]:
            values = table[name][gaps]
            between[name] = values & False if values.dtype == bool else values * np.nan
        table = vstack([table, between])
        table.sort("e_min")
    table["e_ref"] = np.sqrt(table["e_min"] * table["e_max"])
    table.meta["SED_TYPE"] = "flux"
    return FluxPoints.from_table(table, sed_type="flux", reference_model=spectrum)
