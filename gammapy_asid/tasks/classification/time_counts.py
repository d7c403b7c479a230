# Licensed under a 3-clause BSD style license - see LICENSE
"""Counts of a real field in time, cut around its candidates."""

import numpy as np
import torch

from ...stats.source_stamps import source_stamps

__all__ = ["FieldTime"]


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
