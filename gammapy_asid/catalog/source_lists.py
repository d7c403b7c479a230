# Licensed under a 3-clause BSD style license - see LICENSE
"""Lists of sources of others in the columns of candidates."""

import logging

import astropy.units as u
import numpy as np

from ..utils.arguments import checked_range
from ..utils.position_errors import position_covariance
from ..utils.sky_geometry import RADIUS_68, RADIUS_95, covariance_axes
from ..utils.table_columns import (
    NAMES,
    POSITION_COLUMNS,
    column_name,
    column_values,
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

#: Energies in GeV of a flux of this name, in lower case, in catalogues of Fermi-LAT.
RANGES = {"flux1000": (1.0, 100.0)}

#: Groups of columns of which each tells the same: where a column is told, those of other groups do not count.
RIVALS = (
    [pair for pairs in POSITION_COLUMNS.values() for pair in pairs],
    [(name,) for name in NAMES],
)


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
    columns = columns or {}
    flux_name = columns.get("flux") or column_name(table, ("flux", *OTHER_NAMES["flux"]))
    if energy_range is None:
        energy_range = RANGES.get(str(flux_name).lower())
    else:
        energy_range = checked_range("energy_range", energy_range)
    table = _renamed(table, columns)
    positions = table_positions(table, "The list").icrs
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
    values["score"] = _column(table, "score", "")
    return positions, names, values | _fluxes(table, energy_range)


def _renamed(table, columns):
    """The list with the names of candidates for its columns; None drops one."""
    found = {}
    for name, own in columns.items():
        found[name] = None if own is None else column_name(table, (own,))
        if own is not None and found[name] is None:
            raise ValueError(f"The list has no column {own!r} for {name}: it has {', '.join(table.colnames)}")
    found = {name: own for name, own in found.items() if own is not None}
    silent = {name.lower() for name in (*columns, *_others(found))} | {own.lower() for own in found.values()}
    kept = {name: table[name] for name in table.colnames if name.lower() not in silent}
    return type(table)(kept | {name: table[own] for name, own in found.items()}, copy=False)


def _others(names):
    """Columns that would tell the same as those that are told."""
    others = set()
    for rivals in RIVALS:
        told = {name for group in rivals if set(group) & set(names) for name in group}
        others |= {name for group in rivals for name in group} - told if told else set()
    return others


def _column(table, name, unit):
    found = column_name(table, (name, *OTHER_NAMES[name]))
    return np.full(len(table), np.nan) if found is None else column_values(table[found], unit)


def _fluxes(table, energy_range):
    names = ("flux", "flux_err", "flux_errn", "flux_errp", "flux_ul")
    flux = {name: _column(table, name, FLUX_UNIT) for name in names}
    for name in ("flux_errn", "flux_errp", "flux_err"):
        # Some catalogues write the error down as a negative number, and any as -1 where it is not known
        flux[name] = np.abs(flux[name]) if name == "flux_errn" else flux[name]
        flux[name] = np.where(flux[name] < 0, np.nan, flux[name])
    low, high = _energies(table, energy_range)
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


def _energies(table, energy_range):
    """Ranges of energies of the fluxes in GeV: of the columns, else the one for all."""
    low, high = _column(table, "e_min", u.GeV), _column(table, "e_max", u.GeV)
    if energy_range is not None:
        low = np.where(np.isfinite(low), low, energy_range[0])
        high = np.where(np.isfinite(high), high, energy_range[1])
    return low, high
