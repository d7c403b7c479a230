# Licensed under a 3-clause BSD style license - see LICENSE
"""True extensions of sources."""

from dataclasses import dataclass

import numpy as np

__all__ = ["ExtensionTruth"]


@dataclass
class ExtensionTruth:
    """True sources beside what was said of them, arrays of shape ``(n,)``.

    Parameters
    ----------
    size : `~numpy.ndarray`
        True size in deg, 0 for points.
    ts : `~numpy.ndarray`
        Expected test statistic.
    amplitude : `~numpy.ndarray`
        Amplitude at 1 TeV in cm-2 s-1 TeV-1.
    """

    size: np.ndarray
    ts: np.ndarray
    amplitude: np.ndarray

    def classes(self, edges):
        """Index of the true class, shape ``(n,)``; a size on an edge belongs to the larger class.

        Parameters
        ----------
        edges : tuple of float
            Sizes in deg where one class ends and the next begins.
        """
        return np.digitize(self.size, edges)
