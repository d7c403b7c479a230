# Licensed under a 3-clause BSD style license - see LICENSE
"""Source centres in the output of the network, and how crowded it is around them."""

from itertools import combinations_with_replacement

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from torch.nn.functional import avg_pool2d

from ...learning.peaks import find_centres
from ...learning.score_calibration import SCORE_MARGIN
from ..bands import FINER, OPTICAL_BANDS, STEP
from .network import BRIGHTNESS

__all__ = ["N_EVIDENCE", "RANGE", "evidence", "expected_density", "find_peaks"]

#: Side in pixels of the window in which the density of sources is taken, and the least share of it with data.
WINDOW, LEAST_AREA = 65, 1e-3

#: Sum of the marks of one source in the centre map: a Gaussian.
MARK = 2 * np.pi * (OPTICAL_BANDS.centre_sigma / STEP) ** 2

#: Logit of the network beyond which candidates are alike: one in 150.
SUREST = 5.0

#: Range of the numbers that a calibration combines, and the products of them that it knows.
RANGE = 3.0
PRODUCTS = [chosen for k in (1, 2) for chosen in combinations_with_replacement(range(3), k)]
N_EVIDENCE = len(PRODUCTS)

#: Density in sources a pixel below which it makes no difference.
EMPTY = 1e-3


def find_peaks(maps, valid):
    """Centres of sources, and the density of sources around each as the network expects it.

    Parameters
    ----------
    maps : `~torch.Tensor`
        Maps of the network, see `~gammapy_asid.optical.detection.network.split_output`.
    valid : `~torch.Tensor`
        Pixels with data, bool of shape ``(n, ny, nx)``.

    Returns
    -------
    peaks : `~gammapy_asid.learning.peaks.Peaks`
        Sorted by image, then by decreasing score, which is not calibrated yet.
    crowd : `~numpy.ndarray`
        Expected sources a pixel in the window around each, shape ``(n_peaks,)``.
    """
    covered = valid.float()
    peaks = find_centres(maps[:, :BRIGHTNESS], STEP, covered, bands=OPTICAL_BANDS)
    peaks.x, peaks.y = ((v + 0.5) / FINER - 0.5 for v in (peaks.x, peaks.y))
    peaks.sigma = peaks.sigma / FINER
    sources, area = (_mean(image.numpy()) for image in (_sources(maps) * covered, covered))
    density = sources / np.maximum(area, LEAST_AREA)
    ny, nx = valid.shape[-2:]
    row, column = (np.clip(np.round(v), 0, n - 1).astype(int) for v, n in ((peaks.y, ny), (peaks.x, nx)))
    return peaks, density[peaks.field, row, column]


def _sources(maps):
    """Sources that the network expects in each pixel, shape ``(n, ny, nx)``."""
    return avg_pool2d(torch.sigmoid(maps[:, :1]), FINER)[:, 0] * (FINER**2 / MARK)


def expected_density(maps, valid):
    """Sources that the network expects in whole images, a pixel.

    Parameters
    ----------
    maps, valid
        See `find_peaks`.

    Returns
    -------
    density : `~numpy.ndarray`
        Shape ``(n,)``.
    """
    sources = (_sources(maps) * valid).sum((1, 2))
    return (sources / valid.sum((1, 2)).clamp(min=1)).numpy()


def _mean(images):
    """Mean in the window around each pixel; nothing lies beyond the edges."""
    return uniform_filter(images, WINDOW, mode="constant", axes=(1, 2))


def evidence(peaks, crowd):
    """Numbers of which a logistic regression makes the score.

    Parameters
    ----------
    peaks, crowd
        Result of `find_peaks`.

    Returns
    -------
    columns : `~numpy.ndarray`
        Shape ``(n_peaks, N_EVIDENCE)``: products of up to two of the logit of the score and the logarithms
        of height and density.
    """
    score = np.clip(np.asarray(peaks.score, float), SCORE_MARGIN, 1 - SCORE_MARGIN)
    # Beyond this nothing is surer, and products of large numbers would turn the order round
    logit = np.clip(np.log(score / (1 - score)), -SUREST, SUREST)
    height = np.log(np.clip(peaks.height, SCORE_MARGIN, None))
    density = np.log(np.maximum(crowd, EMPTY) / EMPTY)
    numbers = np.stack([logit, height, density]) / RANGE
    return np.stack([numbers[list(chosen)].prod(0) for chosen in PRODUCTS], 1)
