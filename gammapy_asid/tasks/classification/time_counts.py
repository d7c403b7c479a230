# Licensed under a 3-clause BSD style license - see LICENSE
"""Counts of a real field in time, cut around its candidates."""

import numpy as np
import torch
from scipy.ndimage import maximum_filter

from ...stats.source_stamps import STAMP_HALF, nearest_pixel, source_stamps

__all__ = ["FieldTime", "partly_masked"]


class FieldTime:
    """Counts of one field in bins of time.

    Parameters
    ----------
    time : `~gammapy_asid.inputs.time_bins.TimeCounts`
        Counts and shares of the known sky per band.
    device : str or `~torch.device`
        Where stamps are made.
    """

    def __init__(self, time, device):
        self.counts, self.share = (
            [torch.as_tensor(np.asarray(v), dtype=torch.float32).to(device) for v in images]
            for images in (time.counts, time.share)
        )

    def stamps(self, band, field, column, row, half):
        """See `~gammapy_asid.tasks.classification.stamps.WholeTime.stamps`.

        Parameters
        ----------
        band, field, column, row, half
            As there; all candidates are in this field.
        """
        counts = torch.stack(
            [source_stamps(image[None], field, column, row, half) for image in self.counts[band]], 1
        )
        # Exposure varies slowly: its share at the source stands for the stamp
        share = self.share[band][:, row, column].T
        total = share.sum(1, keepdim=True)
        even = torch.full_like(share, 1 / share.shape[1])
        return counts, torch.where(total > 0, share / total.clamp(min=1e-9), even)


def partly_masked(time, levels, x, y):
    """Whether some of the stamps of sources has pixels that lack data in some bins of time and not in others.

    Light curves there are no longer those of the training, whose bins have data everywhere.

    Parameters
    ----------
    time : `~gammapy_asid.inputs.time_bins.TimeCounts`
        Counts and shares of the known sky per band.
    levels : tuple of int
        Resolution level of each band.
    x, y : `~numpy.ndarray`
        Positions in finest pixels, shape ``(n,)``.

    Returns
    -------
    partly_masked : `~numpy.ndarray`
        Bool of shape ``(n,)``.
    """
    result = np.zeros(len(x), dtype=bool)
    x, y = (torch.as_tensor(np.asarray(v), dtype=torch.float32) for v in (x, y))
    for share, level in zip(time.share, levels, strict=True):
        seen = np.asarray(share) > 0
        partly = seen.any(axis=0) & ~seen.all(axis=0)
        if partly.any():
            near = maximum_filter(partly, 2 * STAMP_HALF[level] + 1, mode="constant")
            column, row = nearest_pixel(x, y, level, partly.shape)
            result |= near[row.numpy(), column.numpy()]
    return result
