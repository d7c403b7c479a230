# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources that lie outside what a training covered."""

import numpy as np
from scipy.spatial import cKDTree

__all__ = ["Coverage"]

#: Neighbour in the training whose distance counts, and the share of the training that is nearer than allowed.
NEIGHBOUR, SHARE = 5, 0.99


class Coverage:
    """Distances to the sources of a training.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Scaled features of the training, shape ``(n, n_features)``.
    """

    def __init__(self, values):
        self.tree = cKDTree(values)
        # The nearest of each source is itself
        number = min(NEIGHBOUR, len(values) - 1)
        self.number = number
        self.largest = np.quantile(self.tree.query(values, [number + 1])[0], SHARE)

    def outside(self, values):
        """Whether sources are farther from those of the training than nearly all of these from each other.

        Parameters
        ----------
        values : `~numpy.ndarray`
            Scaled features, shape ``(n, n_features)``.

        Returns
        -------
        outside : `~numpy.ndarray` of bool
            True if so.
        """
        return self.tree.query(values, [self.number])[0][:, 0] > self.largest
