# Licensed under a 3-clause BSD style license - see LICENSE
"""A level of the sky that is fitted together with the sources."""

import numpy as np

__all__ = ["Sky"]


class Sky:
    """Sky that is linear between the nodes of a mesh, as a matrix from nodes to pixels that is never made.

    Parameters
    ----------
    pixels : `~gammapy_asid.optical.fit.design.Pixels`
        Images.
    mesh : float
        Distance of the nodes in pixels.
    """

    def __init__(self, pixels, mesh):
        self.shape = pixels.shape
        self.weight = pixels.weight.reshape(self.shape)
        self._y, self._x = (_tents(size, mesh) for size in self.shape[1:])
        self.nodes = self.shape[0], self._y.shape[1], self._x.shape[1]

    def __len__(self):
        return int(np.prod(self.nodes))

    def level(self, values):
        """Sky of values at the nodes in signal units, shape ``(n, ny, nx)``.

        Parameters
        ----------
        values : `~numpy.ndarray`
            Shape ``(len(self),)``.
        """
        return self._y @ values.reshape(self.nodes) @ self._x.T

    def forward(self, values):
        """Light of the sky in units of the pixels' noise, shape ``(n_pixels,)``.

        Parameters
        ----------
        values : `~numpy.ndarray`
            See `level`.
        """
        return (self.level(values) * self.weight).ravel()

    def backward(self, light):
        """Product of the transposed matrix with light in units of the pixels' noise, shape ``(len(self),)``.

        Parameters
        ----------
        light : `~numpy.ndarray`
            Shape ``(n_pixels,)``.
        """
        return (self._y.T @ (light.reshape(self.shape) * self.weight) @ self._x).ravel()

    def information(self):
        """Sum of the squares of the columns, shape ``(len(self),)``."""
        return ((self._y.T**2) @ self.weight**2 @ self._x**2).ravel()


def _tents(size, mesh):
    """Shares of nodes in pixels along an axis, shape ``(size, n_nodes)``."""
    nodes = np.arange(int(np.ceil((size - 1) / mesh)) + 1) * mesh
    return np.maximum(1 - np.abs(np.arange(size)[:, None] - nodes) / mesh, 0).astype(np.float32)
