# Licensed under a 3-clause BSD style license - see LICENSE
"""Distances on the sphere by chords, as trees of neighbours need them."""

import astropy.units as u
import numpy as np

__all__ = [
    "CHI2_68",
    "CHI2_95",
    "RADIUS_68",
    "RADIUS_95",
    "chord",
    "chord_angle",
    "covariance_axes",
    "ellipse_covariance",
    "sky_ellipses",
    "unit_vectors",
]


def unit_vectors(lon, lat):
    """Unit vectors of directions in deg, shape ``(..., 3)``.

    Parameters
    ----------
    lon, lat : array-like
        Directions in deg.

    Returns
    -------
    vectors : `~numpy.ndarray`
        Shape ``(..., 3)``.
    """
    lon, lat = np.radians(np.atleast_1d(lon)), np.radians(np.atleast_1d(lat))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def chord(angle):
    """Distance of the unit vectors of two directions from their angle in deg.

    Parameters
    ----------
    angle : float or `~numpy.ndarray`
        Angle in deg.

    Returns
    -------
    distance : float or `~numpy.ndarray`
        Up to 2.
    """
    return 2 * np.sin(np.radians(angle) / 2)


def chord_angle(distance):
    """Angle in deg between two directions from the distance of their unit vectors.

    Parameters
    ----------
    distance : float or `~numpy.ndarray`
        Distance, see `chord`.

    Returns
    -------
    angle : float or `~numpy.ndarray`
        In deg.
    """
    return np.degrees(2 * np.arcsin(np.clip(np.asarray(distance) / 2, 0, 1)))


#: Squares of the distance inside which 68 % and 95 % of a two-dimensional Gaussian of unit width lie.
CHI2_68, CHI2_95 = (-2 * np.log(1 - np.array([0.68, 0.95]))).tolist()

#: Containment radii of a two-dimensional Gaussian in its widths.
RADIUS_68, RADIUS_95 = np.sqrt([CHI2_68, CHI2_95]).tolist()

# Steps in pixels for the directions of the axes on the sky.
STEP = 0.1

STEPS = ((STEP, 0.0), (0.0, STEP))


def sky_ellipses(wcs, x, y, covariance):
    """Error ellipses on the sky from covariances in pixels.

    Parameters
    ----------
    wcs : `~astropy.wcs.WCS`
        Projection.
    x, y : `~numpy.ndarray`
        Positions in pixels, shape ``(n,)``.
    covariance : `~numpy.ndarray`
        Shape ``(n, 2, 2)``.

    Returns
    -------
    axes : `~astropy.units.Quantity`
        Standard deviations along the larger and the smaller axis, shape ``(n, 2)``.
    angle : `~astropy.units.Quantity`
        Angle of the larger axis from north to east in ICRS, 0 to 180 deg.
    """
    centre = wcs.pixel_to_world(x, y).icrs
    steps = [centre.spherical_offsets_to(wcs.pixel_to_world(x + dx, y + dy).icrs) for dx, dy in STEPS]
    jacobian = (
        np.array([[offset.to_value("deg") for offset in step] for step in steps]).transpose(2, 1, 0) / STEP
    )
    major, minor, angle = covariance_axes(jacobian @ covariance @ jacobian.transpose(0, 2, 1))
    return np.stack([major, minor], axis=-1) * u.deg, angle * u.deg


def ellipse_covariance(semi_major, semi_minor, angle, radius):
    """Covariances of positions from their error ellipses.

    Parameters
    ----------
    semi_major, semi_minor : `~astropy.units.Quantity`
        Semi-axes, shape ``(n,)``.
    angle : `~astropy.units.Quantity`
        Angle of the larger axis from north to east.
    radius : float
        Semi-axis of the ellipse in standard deviations, for example `RADIUS_95`.

    Returns
    -------
    covariance : `~numpy.ndarray`
        Of the offsets to the east and to the north in deg2, shape ``(n, 2, 2)``.
    """
    angle = np.radians(u.Quantity(angle, "deg").value)
    major, minor = (u.Quantity(a, "deg").value / radius for a in (semi_major, semi_minor))
    along = np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    across = np.stack([np.cos(angle), -np.sin(angle)], axis=-1)
    outer = (v[..., :, None] * v[..., None, :] for v in (along, across))
    return sum((axis**2)[..., None, None] * o for axis, o in zip((major, minor), outer, strict=True))


def covariance_axes(covariance):
    """Standard deviations along the axes of covariances, and the angle of the larger axis.

    Parameters
    ----------
    covariance : `~numpy.ndarray`
        Of the offsets to the east and to the north, shape ``(n, 2, 2)``.

    Returns
    -------
    major, minor : `~numpy.ndarray`
        Standard deviations, shape ``(n,)``; NaN where the covariance is.
    angle : `~numpy.ndarray`
        Angle of the larger axis from north to east in deg, 0 to 180.
    """
    known = np.isfinite(covariance).all(axis=(1, 2))
    values, vectors = np.linalg.eigh(np.where(known[:, None, None], covariance, np.eye(2)))
    minor, major = np.where(known, np.sqrt(values.clip(min=0)).T, np.nan)
    angle = np.degrees(np.arctan2(vectors[:, 0, 1], vectors[:, 1, 1])) % 180
    return major, minor, np.where(known, angle, np.nan)
