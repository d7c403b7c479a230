# Licensed under a 3-clause BSD style license - see LICENSE
"""Lists of sources of others in the columns of candidates."""

import logging

import astropy.units as u
import numpy as np

from ..utils.sky_geometry import RADIUS_68, RADIUS_95, covariance_axes
from ..utils.table_columns import (
    column_name,
    column_values,
    position_covariance,
    source_names,
    table_positions,
)
from .fluxes import FLUX_UNIT

__all__ = ["list_columns"]

log = logging.getLogger(__name__)

#: Names that a column may have too, in any case.
OTHER_NAMES = {
    "score": (),
    "flux": ("Flux1000",),
    "flux_err": ("Unc_Flux1000", "Unc_Flux", "e_flux", "flux_error"),
    "flux_errn": ("Unc_Flux_Low",),
    "flux_errp": ("Unc_Flux_High",),
    "flux_ul": ("UL_Flux",),
    "e_min": (),
    "e_max": (),
}

#: Energies in GeV of a flux of this name in catalogues of Fermi-LAT.
RANGES = {"Flux1000": (1.0, 100.0)}


def list_columns(table, columns=None, energy_range=None):
    """What a list of sources tells, in the columns of candidates.

    Parameters
    ----------
    table : `~astropy.table.Table`
        List with positions. See `~gammapy_asid.Candidates.from_table`.
    columns : dict of str, optional
        Columns of the list by the names that candidates have for them.
    energy_range : `~astropy.units.Quantity`, optional
        Energies of the flux where no columns tell them.

    Returns
    -------
    positions : `~astropy.coordinates.SkyCoord`
        Positions, ICRS.
    names : list of str
        Names, empty where the list has none.
    values : dict
        Error ellipses, score and fluxes, NaN where they are not known.

    Raises
    ------
    TypeError, ValueError
        If the list has no positions, names repeat, or a column holds something else.
    """
    table = _renamed(table, columns or {})
    positions = table_positions(table, "The list").icrs.reshape(-1)
    lost = int((~(np.isfinite(positions.ra) & np.isfinite(positions.dec))).sum())
    if lost:
        raise ValueError(f"The list has {lost} rows without a position: drop them")
    names = source_names(table)
    names = [""] * len(table) if names is None else names.tolist()
    again = sorted({name for name in names if name and names.count(name) > 1})
    if again:
        raise ValueError(
            f"Sources of the list share a name ({', '.join(again[:3])}): rename them, or take the names from "
            'another column with columns={"name": ...}'
        )
    values = {}
    for level, radius in (("68", RADIUS_68), ("95", RADIUS_95)):
        major, minor, angle = covariance_axes(position_covariance(table, radius))
        values |= {
            f"pos_err_{level}": np.sqrt(major * minor) * radius * u.deg,
            f"semi_major_{level}": major * radius * u.deg,
            f"semi_minor_{level}": minor * radius * u.deg,
            "pos_angle": angle * u.deg,
        }
    values["score"] = _column(table, "score", None)
    return positions, names, values | _fluxes(table, energy_range)


def _renamed(table, columns):
    """The list with the names of candidates for its columns; None drops one."""
    table = table.copy(copy_data=False)
    for name, own in columns.items():
        found = None if own is None else column_name(table, (own,))
        if own is not None and found is None:
            raise ValueError(f"The list has no column {own!r} for {name}: it has {', '.join(table.colnames)}")
        taken = column_name(table, (name,))
        if taken is not None and taken != found:
            table.remove_column(taken)
        if found is not None and found != name:
            table.rename_column(found, name)
    return table


def _column(table, name, unit):
    found = column_name(table, (name, *OTHER_NAMES[name]))
    return np.full(len(table), np.nan) if found is None else column_values(table[found], unit)


def _fluxes(table, energy_range):
    names = ("flux", "flux_err", "flux_errn", "flux_errp", "flux_ul")
    flux = {name: _column(table, name, FLUX_UNIT) for name in names}
    low, high = _column(table, "e_min", u.GeV), _column(table, "e_max", u.GeV)
    found = column_name(table, ("flux", *OTHER_NAMES["flux"]))
    default = RANGES.get(found) if energy_range is None else u.Quantity(energy_range, u.GeV).value
    if default is not None:
        low, high = (
            np.where(np.isfinite(e), e, other) for e, other in zip((low, high), default, strict=True)
        )
    lost = np.isfinite(flux["flux"]) & ~(np.isfinite(low) & np.isfinite(high))
    if lost.any():
        log.warning(
            f"Fluxes without a range of energies are left out ({lost.sum()} of {len(lost)}): give columns "
            "e_min and e_max, or energy_range"
        )
        flux = {name: np.where(lost, np.nan, value) for name, value in flux.items()}
    for name in ("flux_errn", "flux_errp"):
        flux[name] = np.where(np.isfinite(flux[name]), flux[name], flux["flux_err"])
    mean = (flux["flux_errn"] + flux["flux_errp"]) / 2
    flux["flux_err"] = np.where(np.isfinite(flux["flux_err"]), flux["flux_err"], mean)
    energies = {"e_min": low * u.GeV, "e_max": high * u.GeV}
    return energies | {name: value * FLUX_UNIT for name, value in flux.items()}
