# Licensed under a 3-clause BSD style license - see LICENSE
"""Whether a prediction of the known sky is one."""

import logging

import numpy as np

from .expected_counts import expected_counts
from .masks import valid_bins
from .rebin import block_sum, pad_to_block

__all__ = ["UNTRUSTED", "prediction_problem", "warn_of_wrong_sky"]

log = logging.getLogger(__name__)

#: Factor between counts and their prediction from which on the prediction is none. At a third of the counts
#: twice as many candidates of the model 'lat' are false as at the true level.
UNTRUSTED = 3.0
#: Counts on which an image is judged, and those of one of the blocks in which the two are compared.
ENOUGH, PER_BLOCK = 100, 20
#: Share of the blocks, those with least counts for their prediction, that stand for the sky without sources.
WITHOUT_SOURCES = 0.2


def prediction_problem(counts, predicted, mask=None):
    """Whether the predicted counts of the known sky are far from those of the sky.

    Sources that are not part of the known sky are in the counts: a prediction is too low only if it is so
    also in the parts of the image with least counts for it, and too high only if it exceeds all counts.

    Parameters
    ----------
    counts, predicted : list of `~numpy.ndarray`
        Images of the energy bins or bands, each of shape ``(ny, nx)``.
    mask : list of `~numpy.ndarray`, optional
        Where they are valid; both are 0 elsewhere.

    Returns
    -------
    problem : str or None
        What is wrong, such as "the prediction is 2 % of the counts"; None if it agrees.
    """
    masks = [None] * len(counts) if mask is None else mask
    shares = [_share(*images) for images in zip(counts, predicted, masks, strict=True)]
    share = max(shares, key=lambda share: abs(np.log(max(share, 1e-9))), default=1.0)
    if share < 1 / UNTRUSTED:
        return f"the prediction is {100 * share:.2g} % of the counts"
    if share > UNTRUSTED:
        return f"the prediction is {share:.3g} times the counts"
    return None


def warn_of_wrong_sky(dataset):
    """Say that background and models of a dataset are far from its counts, where only fits would find out.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data with a background or models; left unchanged.
    """
    mask = valid_bins(dataset).astype(float)

    def problem(predicted):
        images = (mask * dataset.counts.data, mask * predicted, mask)
        if dataset.counts.geom.is_hpx:
            # Pixels in a row form no blocks: only a prediction above the counts shows
            images = [image[:, None] for image in images]
        return prediction_problem(*images)

    text = problem(np.zeros(mask.shape) if dataset.background is None else dataset.background.data)
    # Models are evaluated only where there is reason to
    if text is not None and dataset.models:
        text = problem(expected_counts(dataset))
    if text is not None:
        log.warning(
            f"Background and models of dataset {dataset.name!r} are not the known sky, {text}: fits make "
            "sources of the rest. Set dataset.background to all diffuse emission and instrumental background."
        )


def _share(counts, predicted, mask):
    """Predicted over observed counts of an image without its sources, 1 if there are too few to tell."""
    n, total = counts.sum(), predicted.sum()
    if total > max(UNTRUSTED * n, ENOUGH):
        return total / max(n, 1)
    if n < ENOUGH:
        return 1.0
    valid = np.ones(counts.shape) if mask is None else mask
    side = int(np.ceil(np.sqrt(PER_BLOCK * valid.sum() / n)))
    counts, predicted, valid = (
        block_sum(pad_to_block(image, side), side) for image in (counts, predicted, valid)
    )
    use = valid > side**2 / 2
    if not use.any():
        return 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = counts[use] / predicted[use]
    # No counts where none are expected agree
    ratio = np.where(np.isnan(ratio), 1, ratio)
    return total / n if np.quantile(ratio, WITHOUT_SOURCES, method="lower") > UNTRUSTED else 1.0
