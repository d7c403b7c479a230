# Licensed under a 3-clause BSD style license - see LICENSE
"""Which data of a dataset are valid."""

import numpy as np

__all__ = ["valid_bins"]


def valid_bins(dataset):
    """Valid bins of the counts.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data.

    Returns
    -------
    valid : `~numpy.ndarray`
        True where neither ``mask_safe`` nor ``mask_fit`` is False, in the shape of the counts.
    """
    mask = dataset.mask
    return np.ones(dataset.counts.data.shape, bool) if mask is None else np.asarray(mask.data, dtype=bool)
