# Licensed under a 3-clause BSD style license - see LICENSE
"""What the network sees of a candidate: its fit, and stamps of counts in time around it."""

from dataclasses import dataclass

import torch

from ...inputs.psf import psf_tables
from ...simulation.patch_images import turned
from ...stats.source_stamps import STAMP_HALF, nearest_pixel, source_stamps
from ...stats.template_spectra import template_deviances
from ...utils.tensor_rows import TensorRows
from ..measurement.fitted_sources import fit_batch

__all__ = ["HALF", "CandidateStamps", "WholeTime", "candidate_stamps"]

#: Half width of the stamps in pixels of each band's level: the core of its point spread function, and the
#: neighbourhood that tells a source from a piece of something larger. `STAMP_HALF` is nowhere smaller.
HALF = 4


@dataclass
class CandidateStamps(TensorRows):
    """Candidates as the network sees them, tensors with one row per candidate.

    Parameters
    ----------
    scalars : `~torch.Tensor`
        Numbers of the fit, see `~gammapy_asid.tasks.measurement.features.SourceFeatures`, shape
        ``(n, n_scalars)``.
    deviances, best : `~torch.Tensor`
        See `~gammapy_asid.stats.template_spectra.template_deviances`.
    counts : `~torch.Tensor`
        Counts in each bin of time and band, shape ``(n, n_bins, n_bands, k, k)``, each on the pixels of its
        band.
    expected, own : `~torch.Tensor`
        Counts that the fit expects in all the time: of everything, and of the source; shape
        ``(n, n_bands, k, k)``.
    valid : `~torch.Tensor`
        Whether a pixel has data, bool of the same shape.
    share : `~torch.Tensor`
        Share of the exposure in each bin of time, shape ``(n, n_bins, n_bands)``.
    excess, information : `~torch.Tensor`
        Gradient and information of the logarithm of the likelihood with respect to the flux in each bin of
        time over the mean flux, at that mean; shape ``(n, n_bins, n_bands)``.
    """

    scalars: torch.Tensor
    deviances: torch.Tensor
    best: torch.Tensor
    counts: torch.Tensor
    expected: torch.Tensor
    own: torch.Tensor
    valid: torch.Tensor
    share: torch.Tensor
    excess: torch.Tensor
    information: torch.Tensor

    def __len__(self):
        return len(self.scalars)

    def merged(self, assignment):
        """With bins of time put together.

        Parameters
        ----------
        assignment : `~torch.Tensor`
            New bin of each bin, rising from 0, int64 of shape ``(n_bins,)``.

        Returns
        -------
        stamps : `CandidateStamps`
            With fewer bins.
        """
        n_bins = int(assignment[-1]) + 1

        def total(values):
            shape = (len(values), n_bins, *values.shape[2:])
            return values.new_zeros(shape).index_add_(1, assignment, values)

        names = ("counts", "share", "excess", "information")
        return CandidateStamps(**vars(self) | {name: total(getattr(self, name).float()) for name in names})

    def whole(self):
        """With all the time in one bin (`CandidateStamps`)."""
        return self.merged(torch.zeros(self.counts.shape[1], dtype=torch.long))

    def turned(self, turn):
        """In one of the eight orientations of a square.

        Parameters
        ----------
        turn : int
            See `~gammapy_asid.simulation.patch_images.turned`.

        Returns
        -------
        stamps : `CandidateStamps`
            Turned ones.
        """
        images = {name: turned(getattr(self, name), turn) for name in ("counts", "expected", "own", "valid")}
        return CandidateStamps(**vars(self) | images)


class WholeTime:
    """Counts of a field that are not known in time: one bin.

    Parameters
    ----------
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields.
    """

    def __init__(self, batch):
        self.counts = batch.counts

    def stamps(self, band, field, column, row, half):
        """Counts on stamps in each bin of time, and the share of the exposure in each.

        Parameters
        ----------
        band : int
            Band.
        field, column, row : `~torch.Tensor`
            Field and central pixel of each stamp, shape ``(n,)``.
        half : int
            Half width in pixels of the band.

        Returns
        -------
        counts : `~torch.Tensor`
            Shape ``(n, n_bins, 2 * half + 1, 2 * half + 1)``.
        share : `~torch.Tensor`
            Shape ``(n, n_bins)``.
        """
        counts = source_stamps(self.counts[band], field, column, row, half)[:, None]
        return counts, torch.ones(len(field), 1, device=counts.device)


def candidate_stamps(batch, response, field, x, y, score, sigma, time, tables=None):
    """Fit candidates of fields of one instrument and collect what the network sees.

    Parameters
    ----------
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields.
    response : `~gammapy_asid.inputs.Response`
        Instrument response of the fields.
    field, x, y : `~numpy.ndarray`
        Field and position in finest pixels of each candidate, shape ``(n,)``.
    score : `~numpy.ndarray` or None
        Calibrated scores of the detection; None if the positions are given.
    sigma : `~numpy.ndarray`
        Position errors per axis in finest pixels.
    time : object
        Counts in time, with the method of `WholeTime`.
    tables : `~torch.Tensor`, optional
        Result of `~gammapy_asid.inputs.psf.psf_tables`, if at hand.

    Returns
    -------
    stamps : `CandidateStamps`
        Candidates.
    """
    tables = psf_tables(response).to(batch.device) if tables is None else tables
    fitted = fit_batch(batch, response, field, x, y, score, sigma, True, tables)
    field = torch.as_tensor(field, device=batch.device)
    x, y = (torch.as_tensor(v, dtype=torch.float32).to(batch.device) for v in (x, y))
    bands = [
        _band(batch, fitted.fit, band, field, *nearest_pixel(x, y, level, batch.counts[band].shape), time)
        for band, level in enumerate(batch.levels)
    ]
    names = ("counts", "expected", "own", "valid", "share", "excess", "information")
    columns = {name: [band[name] for band in bands] for name in names}
    deviances, best = template_deviances(response, fitted.fit.counts, fitted.fit.counts_error)
    in_time = {
        name: torch.stack(columns.pop(name), 2) for name in ("counts", "share", "excess", "information")
    }
    rest = {name: torch.stack(values, 1) for name, values in columns.items()}
    return CandidateStamps(scalars=fitted.features.scalars, deviances=deviances, best=best, **in_time, **rest)


def _band(batch, fit, band, field, column, row, time):
    """What `CandidateStamps` holds of one band."""
    half = STAMP_HALF[batch.levels[band]]
    valid = source_stamps(batch.mask[band], field, column, row, half) > 0
    counts, share = time.stamps(band, field, column, row, half)
    counts = counts * valid[:, None]
    expected, own = (values[band] * valid for values in (fit.expected, fit.own))
    # Gradient and information of the amplitude of the source, its image and all else as they are
    ratio = own / fit.expected[band]
    excess = torch.einsum("ntyx,nyx->nt", counts, ratio) - share * own.sum((1, 2))[:, None]
    information = share * (own * ratio).sum((1, 2))[:, None]
    cut = slice(half - HALF, half + HALF + 1)
    small = {"expected": expected, "own": own, "valid": valid}
    return {name: values[:, cut, cut] for name, values in small.items()} | {
        "counts": counts[..., cut, cut],
        "share": share,
        "excess": excess,
        "information": information,
    }
