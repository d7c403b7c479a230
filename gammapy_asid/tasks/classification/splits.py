# Licensed under a 3-clause BSD style license - see LICENSE
"""Counts of simulated patches in time, after the light curves of their sources."""

import numpy as np
import torch

from ...simulation.mock_catalog import SOURCE_CLASSES
from ...simulation.variability import draw_light_curves
from ...stats.source_stamps import on_level, sample_psf, source_stamps

__all__ = ["SplitTime", "draw_bins"]

#: Years of the simulated observations: from the first catalogues of the LAT to a long mission.
YEARS = (2.0, 18.0)
#: Scatter of the exposure of a bin: that of the LAT from month to month.
EXPOSURE_SCATTER = 0.1
#: Sources of a smaller expected significance change no count that could be seen.
FAINTEST = 0.7
#: Smallest share of its mean that the expected counts of a pixel fall to: images of sources are rounded.
LOWEST = 1e-3


def draw_bins(rng, n_bins):
    """Edges of bins of time in years, and the share of the exposure in each.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of randomness.
    n_bins : int
        Number of equal bins.

    Returns
    -------
    edges, share : `~numpy.ndarray`
        Shape ``(n_bins + 1,)`` and ``(n_bins,)``.
    """
    exposure = rng.lognormal(0, EXPOSURE_SCATTER, n_bins)
    return np.linspace(0, rng.uniform(*YEARS), n_bins + 1), exposure / exposure.sum()


class SplitTime:
    """Divides the counts of simulated patches among bins of time, as their expectation is divided.

    Given their sum, Poisson counts in bins are multinomial: candidates can be found first, and the counts
    around them divided afterwards.

    Parameters
    ----------
    patches : `~gammapy_asid.simulation.patches.SimulatedPatches`
        Patches of one instrument, with the classes of their sources.
    tables : `~torch.Tensor`
        Result of `~gammapy_asid.inputs.psf.psf_tables` for it.
    rng : `~numpy.random.Generator`
        Source of randomness.
    n_bins : int
        Number of bins.
    """

    def __init__(self, patches, tables, rng, n_bins):
        self.patches, self.tables, self.rng = patches, tables, rng
        edges, self.share = draw_bins(rng, n_bins)
        number = patches.source_class.cpu().numpy()
        classes = np.array(SOURCE_CLASSES)[number]
        curves = draw_light_curves(rng, classes, edges, self.share, flux=patches.flux.cpu().numpy())
        seen = (patches.significance.cpu().numpy() > FAINTEST) & (np.abs(curves - 1).max(axis=1) > 0.01)
        self.varying = torch.as_tensor(np.flatnonzero(seen), device=patches.patch.device)
        self.curves = torch.as_tensor(curves[seen], dtype=torch.float32, device=patches.patch.device)

    def stamps(self, band, field, column, row, half):
        """See `~gammapy_asid.tasks.classification.stamps.WholeTime.stamps`.

        Parameters
        ----------
        band, field, column, row, half
            As there.
        """
        patches = self.patches
        counts, expected = (
            source_stamps(images[band], field, column, row, half)
            for images in (patches.batch.counts, patches.expected)
        )
        change = self._change(band, field, column, row, half)
        relative = 1 + change / expected.clamp(min=1e-9)[:, None]
        share = torch.as_tensor(self.share, device=counts.device)
        chance = share[:, None, None] * relative.clamp(min=LOWEST).double()
        chance = chance / chance.sum(1, keepdim=True)
        some = torch.nonzero(counts, as_tuple=True)
        at = chance.movedim(1, -1)[some].cpu().numpy()
        drawn = self.rng.multinomial(counts[some].long().cpu().numpy(), at)
        divided = counts.new_zeros(*counts.shape, len(self.share))
        divided[some] = torch.as_tensor(drawn, dtype=counts.dtype, device=counts.device)
        return divided.movedim(-1, 1), share.float().expand(len(field), -1)

    def _change(self, band, field, column, row, half):
        """Expected counts in each bin minus their mean, over the share of the bin; ``(n, n_bins, k, k)``."""
        patches, level = self.patches, self.patches.bands.levels[band]
        x, y = (on_level(v[self.varying], level) for v in (patches.x, patches.y))
        reach = half + (self.tables.shape[-1] // 2) / 5
        dx, dy = x - column[:, None], y - row[:, None]
        near = (patches.patch[self.varying] == field[:, None]) & (dx.abs() < reach) & (dy.abs() < reach)
        stamp, source = torch.nonzero(near, as_tuple=True)
        image = sample_psf(self.tables[band], dx[stamp, source], dy[stamp, source], half)[0]
        image = image * patches.counts[self.varying[source], band, None, None]
        size = 2 * half + 1
        change = image.new_zeros(len(self.share), len(field), size, size)
        for total, curve in zip(change, self.curves.T, strict=True):
            total.index_add_(0, stamp, image * (curve[source] - 1)[:, None, None])
        return change.movedim(0, 1)
