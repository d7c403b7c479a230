# Licensed under a 3-clause BSD style license - see LICENSE
"""Catalogues like 4FGL as they are given, checked: what they must have, in the units of 4FGL."""

from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Table
from gammapy.catalog import SourceCatalog

from ....utils.table_columns import column_name, column_values
from ....utils.table_files import read_any_table

__all__ = ["NEEDED", "OPTIONAL", "numbers", "read_catalogue"]

FLUX, ENERGY_FLUX = u.Unit("cm-2 s-1"), u.Unit("erg cm-2 s-1")
#: Columns without which no source is classified, and their units.
NEEDED = {
    "Signif_Avg": None,
    "Energy_Flux100": ENERGY_FLUX,
    "Pivot_Energy": u.MeV,
    "PL_Index": None,
    "LP_Index": None,
    "LP_beta": None,
    "Variability_Index": None,
}
#: Columns that tell more, and their units.
OPTIONAL = {
    "Conf_95_SemiMajor": u.deg,
    "Unc_Energy_Flux100": ENERGY_FLUX,
    "Flux1000": FLUX,
    "Npred": None,
    "Unc_PL_Index": None,
    "Unc_LP_Index": None,
    "Unc_LP_beta": None,
    "LP_SigCurv": None,
    "PLEC_SigCurv": None,
    "Flux_Band": FLUX,
    "Unc_Flux_Band": FLUX,
    "Flux_History": FLUX,
    "Unc_Flux_History": FLUX,
    "Flux2_History": FLUX,
    "Unc_Flux2_History": FLUX,
    "Variability2_Index": None,
}
#: Axes of the columns that have more than one, and numbers of the energy bands of releases of 4FGL.
AXES = {name: 3 if name.startswith("Unc") else 2 for name in OPTIONAL if name.endswith(("_Band", "_History"))}
BANDS = (7, 8)


def read_catalogue(catalogue, who="The table"):
    """Catalogue of any form as a table that can be classified.

    Parameters
    ----------
    catalogue : `~gammapy.catalog.SourceCatalog`, `~astropy.table.Table` or path
        Catalogue, or a file of it.
    who : str
        What it is called in errors.

    Returns
    -------
    table : `~astropy.table.Table`
        Its table, not copied.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If it has no rows or lacks columns.
    """
    if isinstance(catalogue, str | Path):
        table = read_any_table(catalogue)
    else:
        table = catalogue.table if isinstance(catalogue, SourceCatalog) else catalogue
    if not isinstance(table, Table):
        raise TypeError(
            f"{who} must be a SourceCatalog4FGL, a Table or the path of a file, got {type(table).__name__}"
        )
    missing = [name for name in ("Source_Name", *NEEDED) if column_name(table, (name,)) is None]
    if missing:
        raise ValueError(f"{who} lacks the columns {', '.join(missing)}: give a catalogue with those of 4FGL")
    if len(table) == 0:
        raise ValueError(f"{who} has no rows")
    return table


def numbers(table):
    """Columns of numbers that a table has, by their names in 4FGL, in its units.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Table that `read_catalogue` returned.

    Returns
    -------
    values : dict of `~numpy.ndarray`
        Values as floats, NaN where they are missing or not finite.

    Raises
    ------
    ValueError
        If a column has another kind of unit, holds no numbers, or has another shape than in 4FGL.
    """
    values = {}
    for name, unit in (NEEDED | OPTIONAL).items():
        own = column_name(table, (name,))
        if own is not None:
            column = column_values(table[own], unit)
            if column.ndim == 3 and column.shape[1] == 2 != column.shape[2]:
                # Astropy writes a VOTable with the axes called the other way round
                column = column.reshape(len(column), -1, 2)
            _check_shape(name, column)
            # Single ones are negative in 4FGL too
            if column.ndim == 3 and (column[..., 1] < 0).mean() > 0.5:
                raise ValueError(f"The column {name} must have the lower error first, then the upper one")
            values[name] = np.where(np.isfinite(column), column, np.nan)
    return values


def _check_shape(name, column):
    shape = column.shape[1:]
    good = column.ndim == AXES.get(name, 1)
    if name in AXES:
        good = good and (shape[0] in BANDS if name.endswith("_Band") else shape[0] > 1)
        good = good and (column.ndim == 2 or shape[1] == 2)
    if not good:
        raise ValueError(
            f"The column {name} must be as in 4FGL (7 or 8 bands, 2 or more times, two errors each), "
            f"got {shape or 'one number'} a row"
        )
