# Licensed under a 3-clause BSD style license - see LICENSE
"""Peaks that are two sources, or two peaks of one."""

import numpy as np
import torch
from scipy.spatial import KDTree

from ...learning.peaks import FAINTEST_SCORE, Peaks
from ...stats.blends import CLOSEST, split_blends
from ...utils.devices import moved

__all__ = ["join_peaks", "split_peaks"]


def join_peaks(peaks, native):
    """Peaks without those that are too close to a higher one for the native pixels, see `CLOSEST`.

    Parameters
    ----------
    peaks : `~gammapy_asid.learning.peaks.Peaks`
        Peaks.
    native : float
        Side in finest pixels of the native pixels inside which counts lost their place, 0 if they kept it.

    Returns
    -------
    peaks : `~gammapy_asid.learning.peaks.Peaks`
        The others, in the same order.
    """
    if native == 0 or len(peaks) < 2:
        return peaks
    # Fields are farther apart than anything in them
    place = np.column_stack([peaks.x, peaks.y, 1e6 * peaks.field])
    near = KDTree(place).query_ball_point(place, CLOSEST * native)
    keep = np.ones(len(peaks), dtype=bool)
    for i in np.lexsort((-peaks.height, -peaks.score)):
        if keep[i]:
            keep[[j for j in near[i] if j != i]] = False
    return peaks.select(keep)


def split_peaks(peaks, batch, tables, native=0.0):
    """Split the peaks of score maps that are blends, see `split_blends`.

    Parameters
    ----------
    peaks : `~gammapy_asid.learning.peaks.Peaks`
        Peaks with calibrated scores; those too faint to be fitted stay as they are.
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Their fields.
    tables : `~torch.Tensor`
        Result of `~gammapy_asid.inputs.psf.psf_tables`.
    native : float
        Side in finest pixels of the native pixels inside which counts lost their place, 0 if they kept it.

    Returns
    -------
    peaks : `~gammapy_asid.learning.peaks.Peaks`
        Halves of a blend stand together and share its score.
    fit : `~gammapy_asid.stats.point_fit.PointFit` or None
        Their fit if none is too faint.
    """
    near = np.flatnonzero(peaks.score >= FAINTEST_SCORE)
    place = (torch.as_tensor(value[near], dtype=torch.float32) for value in (peaks.x, peaks.y))
    field, *place = moved([torch.as_tensor(peaks.field[near]), *place], batch.device)
    split = split_blends(batch, tables, field, *place, native)
    parent = near[split.parent.cpu().numpy()]
    halves = peaks.select(parent)
    is_half = np.isin(parent, parent[1:][parent[1:] == parent[:-1]])
    halves.x = np.where(is_half, split.x.cpu().numpy(), halves.x)
    halves.y = np.where(is_half, split.y.cpu().numpy(), halves.y)
    faint = np.flatnonzero(peaks.score < FAINTEST_SCORE)
    if len(faint) == 0:
        return halves, split.fit
    rest = vars(peaks.select(faint))
    joined = Peaks(**{name: np.concatenate([value, rest[name]]) for name, value in vars(halves).items()})
    return joined.select(np.argsort(np.concatenate([parent, faint]), kind="stable")), None
