# Licensed under a 3-clause BSD style license - see LICENSE
"""Moffat profiles integrated over pixels, and how tables of a PSF are read between their samples."""

from functools import lru_cache

import numpy as np
from scipy.ndimage import spline_filter

from ..batch import HALF, OVERSAMPLING
from .psf import OFFSETS

__all__ = ["Moffat", "interpolation", "interpolation_at", "sample", "splines"]

#: Points along a pixel of the integral over it, in addition to those of the table: with eight steps Simpson's
#: rule is better than 1e-4 for profiles of one pixel's width.
FINER = 2
#: The halo: broad beside the core, with the exponent of Kolmogorov's turbulence (-11/3 of the distance).
HALO_WIDTH, HALO_BETA = 2.5, 11 / 6
_SIMPSON = np.array([1, 4, 2, 4, 2, 4, 2, 4, 1]) / 24
_OVER_PIXELS = np.stack(
    [np.pad(_SIMPSON, (FINER * i, FINER * (len(OFFSETS) - 1 - i))) for i in range(len(OFFSETS))]
)
_FINE = np.arange(-FINER * OVERSAMPLING * HALF - 4, FINER * OVERSAMPLING * HALF + 5) / (FINER * OVERSAMPLING)


class Moffat:
    """Elliptical Moffat profile (Moffat 1969, A&A 3, 455) with a halo.

    The parameters are ``(ln fwhm, ln beta, e1, e2, halo)``: width in pixels, exponent, ellipticities (to
    first order ``e1`` stretches x by ``1 + e1 / 2`` and shrinks y as much, ``e2`` along the diagonal) and
    share of the light in a halo of `HALO_WIDTH` times the width.
    """

    #: Steps of the derivatives: small beside what is measured, large beside rounding.
    steps = np.array([0.002, 0.005, 0.002, 0.002, 0.002])

    @staticmethod
    def table(parameters):
        """Samples of the effective PSF.

        Parameters
        ----------
        parameters : `~numpy.ndarray`
            Those of the class, shape ``(5,)``.

        Returns
        -------
        table : `~numpy.ndarray`
            With a sum of ``OVERSAMPLING**2``, shape ``(SIDE, SIDE)``.
        """
        width, beta, e1, e2, halo = parameters
        core = _in_pixels(np.exp(width), np.exp(beta), e1, e2)
        if halo == 0:
            return core
        return (1 - halo) * core + halo * _in_pixels(HALO_WIDTH * np.exp(width), HALO_BETA, 0, 0)

    @classmethod
    def derivatives(cls, parameters):
        """Derivatives of the table.

        Parameters
        ----------
        parameters : `~numpy.ndarray`
            Where, shape ``(5,)``.

        Returns
        -------
        derivatives : `~numpy.ndarray`
            By each parameter, shape ``(5, SIDE, SIDE)``.
        """
        middle = cls.table(parameters)
        return np.stack(
            [
                (cls.table(parameters + shift) - middle) / step
                for shift, step in zip(np.diag(cls.steps), cls.steps, strict=True)
            ]
        )


@lru_cache(maxsize=32)
def _in_pixels(fwhm, beta, e1, e2):
    """Samples of a Moffat profile; derivatives ask for most of them several times."""
    gamma = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    x, y = _FINE[None, :] / gamma, _FINE[:, None] / gamma
    r2 = (1 - e1) * x**2 + (1 + e1) * y**2 - 2 * e2 * x * y
    fine = (1 + np.clip(r2, 0, None)) ** -beta
    table = _OVER_PIXELS @ fine @ _OVER_PIXELS.T
    table *= OVERSAMPLING**2 / table.sum()
    table.flags.writeable = False
    return table


def splines(tables):
    """Coefficients of the cubic splines through tables, for `sample`.

    Parameters
    ----------
    tables : `~numpy.ndarray`
        Samples, shape ``(n, SIDE, SIDE)`` or one of them.

    Returns
    -------
    coefficients : `~numpy.ndarray`
        Shape ``(n, SIDE, SIDE)``.
    """
    tables = np.reshape(tables, (-1, len(OFFSETS), len(OFFSETS)))
    return np.stack([spline_filter(table, order=3, output=np.float32) for table in tables])


def interpolation(shift, half=HALF):
    """Weights of a table's samples for the pixels of rows or columns.

    Parameters
    ----------
    shift : `~numpy.ndarray`
        Position of the star from the middle pixel, in pixels, shape ``(n,)``.
    half : int
        Pixels on either side.

    Returns
    -------
    value, slope : `~numpy.ndarray`
        Weights for the value and for its derivative by the star's position, shape ``(n, 2 * half + 1,
        SIDE)``; zero outside of the table.
    """
    return interpolation_at(np.arange(-half, half + 1) - shift[:, None])


def interpolation_at(offsets):
    """As `interpolation`, for any offsets from the star.

    Parameters
    ----------
    offsets : `~numpy.ndarray`
        Offsets in pixels, shape ``(n, m)``.

    Returns
    -------
    value, slope : `~numpy.ndarray`
        Weights, shape ``(n, m, SIDE)``.
    """
    at = (HALF + offsets) * OVERSAMPLING
    first = np.floor(at).astype(int)
    t = at - first
    s = 1 - t
    cubic = [s**3 / 6, 2 / 3 - t**2 + t**3 / 2, 2 / 3 - s**2 + s**3 / 2, t**3 / 6]
    slopes = [-(s**2) / 2, 1.5 * t**2 - 2 * t, 2 * s - 1.5 * s**2, t**2 / 2]
    side = len(OFFSETS)
    value, slope = (np.zeros((*at.shape, side + 2), dtype=np.float32) for _ in range(2))
    for i in range(4):
        # One more sample on either side catches all that is outside
        index = np.clip(first + i, 0, side + 1)[..., None]
        np.put_along_axis(value, index, cubic[i][..., None].astype(np.float32), -1)
        np.put_along_axis(slope, index, (-OVERSAMPLING * slopes[i])[..., None].astype(np.float32), -1)
    return value[..., 1:-1], slope[..., 1:-1]


def sample(coefficients, rows, columns):
    """Values of tables on the pixels of stamps.

    Parameters
    ----------
    coefficients : `~numpy.ndarray`
        From `splines`, shape ``(SIDE, SIDE)``, or ``(n, SIDE, SIDE)`` for one a stamp.
    rows, columns : `~numpy.ndarray`
        From `interpolation`, shape ``(n, m, SIDE)``.

    Returns
    -------
    values : `~numpy.ndarray`
        Shape ``(n, m, m)``.
    """
    return rows @ coefficients @ columns.transpose(0, 2, 1)
