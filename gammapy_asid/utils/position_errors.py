# Licensed under a 3-clause BSD style license - see LICENSE
"""Errors of positions in tables of others, whatever their form."""

import astropy.units as u
import numpy as np

from .sky_geometry import RADIUS_68, RADIUS_95, ellipse_covariance
from .table_columns import column_name, column_values

__all__ = ["ERROR_COLUMNS", "position_covariance"]

#: Names of the columns of position errors, in any case, and the radius in standard deviations they stand for:
#: larger and smaller axis and angle, or one radius. The first that a row has is taken.
ERRORS = (
    (("semi_major_95", "semi_minor_95", "pos_angle"), RADIUS_95),
    (("semi_major_68", "semi_minor_68", "pos_angle"), RADIUS_68),
    (("pos_err_95",), RADIUS_95),
    (("pos_err_68",), RADIUS_68),
    (("Conf_95_SemiMajor", "Conf_95_SemiMinor", "Conf_95_PosAng"), RADIUS_95),
    (("Conf_68_SemiMajor", "Conf_68_SemiMinor", "Conf_68_PosAng"), RADIUS_68),
    (("r95",), RADIUS_95),
    (("pos_r95",), RADIUS_95),
    (("r68",), RADIUS_68),
    (("pos_r68",), RADIUS_68),
    (("pos_err",), RADIUS_68),
)

#: Names of the columns of standard deviations to the east and to the north.
EAST_NORTH = (
    ("e_RAJ2000", "e_DEJ2000"),
    ("e_RA_ICRS", "e_DE_ICRS"),
    ("ra_error", "dec_error"),
    ("ra_err", "dec_err"),
)

#: Names of all columns of position errors.
ERROR_COLUMNS = (*(names for names, _ in ERRORS), *EAST_NORTH)


def position_covariance(table, radius=RADIUS_95):
    """Errors of the positions of the rows of a table, from the columns that it has for them.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Table, with columns of `ERRORS` or `EAST_NORTH` as far as they are known.
    radius : float
        Errors of this probability, as radius in standard deviations, are preferred.

    Returns
    -------
    covariance : `~numpy.ndarray`
        Of the offsets to the east and to the north in deg2, shape ``(n, 2, 2)``; NaN where it is not known.
    """
    covariance = np.full((len(table), 2, 2), np.nan)
    for names, own_radius in sorted(ERRORS, key=lambda error: error[1] != radius):
        found = [column_name(table, (name,)) for name in names]
        if None not in found:
            axes = [column_values(table[name], u.deg) for name in found]
            # No error is known where it is without an end
            axes = [np.where(np.isfinite(axis), axis, np.nan) for axis in axes]
            if len(axes) == 1:
                axes = [axes[0], axes[0], np.zeros(len(table))]
            # Some catalogues state no angle of a circle
            circle = np.isclose(axes[0], axes[1], rtol=1e-6)
            axes[2] = np.where(circle & ~np.isfinite(axes[2]), 0, axes[2])
            _fill(covariance, ellipse_covariance(*axes, own_radius), axes[:2])
    for names in EAST_NORTH:
        found = [column_name(table, (name,)) for name in names]
        if None not in found:
            east, north = (column_values(table[name], u.deg) for name in found)
            own = np.zeros((len(table), 2, 2))
            own[:, 0, 0], own[:, 1, 1] = east**2, north**2
            _fill(covariance, own, (east, north))
    return covariance


def _fill(covariance, values, sizes):
    """Take over values of rows that have none yet; errors that are not positive stand for none."""
    known = np.isfinite(values).all(axis=(1, 2)) & np.all([size > 0 for size in sizes], axis=0)
    new = np.isnan(covariance[:, 0, 0]) & known
    covariance[new] = values[new]
