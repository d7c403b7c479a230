# Licensed under a 3-clause BSD style license - see LICENSE
"""Splines that describe what of a point spread function differs from a profile."""

import numpy as np
from scipy.interpolate import BSpline

from ..batch import HALF
from .psf import OFFSETS

__all__ = ["Splines", "radial_tables"]


class Splines:
    """Cubic B-splines on a grid of knots, products of one along x and one along y.

    Parameters
    ----------
    fwhm : float
        Width of the profile in pixels, which tells how far apart the knots are and how far they reach.
    """

    def __init__(self, fwhm):
        # Knots are a third of the width apart: finer structure no telescope makes, nor do pixels show it
        self.spacing = max(fwhm / 3, 0.4)
        self.radius = min(HALF, 5 * fwhm)
        self.n = int(self.radius // self.spacing)
        self.knots = np.arange(-self.n, self.n + 1) * self.spacing
        self.inside = np.hypot(self.knots, self.knots[:, None]) <= self.radius

    def values(self, offsets):
        """Values of the splines of one axis.

        Parameters
        ----------
        offsets : `~numpy.ndarray`
            Offsets from the star in pixels.

        Returns
        -------
        values : `~numpy.ndarray`
            One more axis with a value a knot.
        """
        u = np.abs(offsets[..., None] - self.knots) / self.spacing
        return np.where(u < 1, 2 / 3 - u**2 + u**3 / 2, np.where(u < 2, (2 - u) ** 3 / 6, 0)).astype(
            np.float32
        )

    def table(self, amplitudes):
        """Samples of the sum of all splines.

        Parameters
        ----------
        amplitudes : `~numpy.ndarray`
            Of the knots that are inside.

        Returns
        -------
        table : `~numpy.ndarray`
            Shape ``(SIDE, SIDE)``.
        """
        grid = np.zeros(self.inside.shape)
        grid[self.inside] = amplitudes
        values = self.values(OFFSETS)
        return values @ grid @ values.T


def radial_tables(fwhm):
    """Cubic B-splines in the distance from the star, narrow near it.

    Parameters
    ----------
    fwhm : float
        Width of the profile in pixels.

    Returns
    -------
    tables : `~numpy.ndarray`
        Samples, shape ``(10, SIDE, SIDE)``.
    radius : `~numpy.ndarray`
        Middles in pixels, shape ``(10,)``.
    """
    n = 9
    scale = max(0.5 * fwhm, 1)
    end = np.arcsinh(HALF * np.sqrt(2) / scale)
    knots = np.arange(-3, n + 4) * end / n
    radius = np.arcsinh(np.hypot(OFFSETS, OFFSETS[:, None]) / scale)
    # Mirrored at the star, so that all is smooth there
    tables = [
        np.nan_to_num(BSpline.basis_element(knots[i : i + 5], extrapolate=False)(radius))
        + np.nan_to_num(BSpline.basis_element(knots[i : i + 5], extrapolate=False)(-radius))
        for i in range(n + 1)
    ]
    return np.stack(tables), scale * np.sinh(np.abs(knots[2 : n + 3]))
