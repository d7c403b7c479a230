# Licensed under a 3-clause BSD style license - see LICENSE
"""Source centres in score maps: Laplacian of Gaussian, and K-means as published."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt, map_coordinates
from scipy.stats import norm
from sklearn.cluster import KMeans

from ..inputs.bands import LAT_BANDS
from ..stats.correlation import correlate

__all__ = ["FAINTEST_SCORE", "Peaks", "edge_distance", "find_centres", "kmeans_centres"]

#: Candidates from this calibrated score on are fitted together; fainter ones are no neighbours.
FAINTEST_SCORE = 0.1

# Smallest position error at the edge of a field, in nominal pixels.
MIN_ERROR = 0.6


@dataclass
class Peaks:
    """Source centres of a batch of fields, arrays of shape ``(n_peaks,)``.

    Parameters
    ----------
    field : `~numpy.ndarray`
        Index of the field.
    x, y : `~numpy.ndarray`
        Position in finest pixels.
    score : `~numpy.ndarray`
        Network probability of a source within the match radius, not yet calibrated,
        times the probability that it lies on valid data.
    height : `~numpy.ndarray`
        Response of the Laplacian of Gaussian, one for an isolated certain source.
    sigma : `~numpy.ndarray`
        Predicted position error per axis in finest pixels.
    """

    field: np.ndarray
    x: np.ndarray
    y: np.ndarray
    score: np.ndarray
    height: np.ndarray
    sigma: np.ndarray

    def __len__(self):
        return len(self.field)

    def select(self, keep):
        """Peaks at an index or mask.

        Parameters
        ----------
        keep : `~numpy.ndarray`
            Indices or mask.
        """
        return Peaks(**{name: value[keep] for name, value in vars(self).items()})


def _laplacian_kernel(sigma):
    """Negative Laplacian of a Gaussian that answers one at the centre of an equal Gaussian.

    Lindeberg 1998, IJCV 30, 79; shape ``(k, k)``.
    """
    half = max(2, int(np.ceil(4 * sigma)))
    grid = np.arange(-half, half + 1)
    r2 = (grid[:, None] ** 2 + grid**2) / sigma**2
    kernel = (2 - r2) * np.exp(-r2 / 2)
    kernel -= kernel.mean()
    return kernel / (kernel * np.exp(-r2 / 2)).sum()


def _maxima(images, allowed):
    """Indices of the allowed pixels that no neighbour exceeds, of images of shape ``(n, ny, nx)``."""
    n, y, x = torch.nonzero(allowed, as_tuple=True)
    framed = F.pad(images, (1, 1, 1, 1), value=-torch.inf)
    around = torch.stack([framed[n, y + i, x + j] for i in range(3) for j in range(3)])
    keep = images[n, y, x] >= around.amax(0)
    return n[keep], y[keep], x[keep]


def find_centres(output, pixel_size, mask, threshold=0.03, bands=LAT_BANDS, method="log"):
    """Source centres in the centre map.

    By default the local maxima of its Laplacian of Gaussian, each refined by the network's
    own offset map. Near the edge of the valid data a source may lie on either side of it: the
    score is multiplied with the probability that the source is inside.

    Parameters
    ----------
    output : `~torch.Tensor`
        Network output, shape ``(n, 5, ny, nx)``: logits of centre and match maps,
        offsets in x and y in pixels, logarithm of their error.
    pixel_size : float
        Finest pixel size in deg.
    mask : `~torch.Tensor`
        Share of valid data in each finest pixel, shape ``(n, ny, nx)``, or in pixels that are a whole number
        of times as large.
    threshold : float
        Minimal response of the Laplacian of Gaussian.
    bands : `~gammapy_asid.inputs.Bands`
        Bands of the model.
    method : {"log", "kmeans"}
        Laplacian of Gaussian, or `kmeans_centres` as in the published pipeline, unrefined.

    Returns
    -------
    peaks : `Peaks`
        Sorted by field, then by decreasing score.
    """
    finer = output.shape[-1] // mask.shape[-1]
    valid = (mask > 0).repeat_interleave(finer, 1).repeat_interleave(finer, 2)
    centre = torch.sigmoid(output[:, 0]) * valid
    kernel = torch.tensor(_laplacian_kernel(bands.centre_sigma / pixel_size)).to(centre)
    response = correlate(centre, kernel)
    if method == "log":
        field, y, x = _maxima(response, valid & (response > threshold))
        # A longer offset is no refinement of a peak
        x_fine = x + output[field, 2, y, x].clamp(-1.5, 1.5)
        y_fine = y + output[field, 3, y, x].clamp(-1.5, 1.5)
    else:
        parts = [kmeans_centres(image.cpu().numpy()) for image in centre]
        field = torch.repeat_interleave(torch.tensor([len(x) for x, _ in parts]))
        x_fine, y_fine = (torch.tensor(np.concatenate(v)) for v in zip(*parts, strict=True))
        x, y = torch.round(x_fine).long(), torch.round(y_fine).long()
    columns = (
        field,
        x_fine,
        y_fine,
        torch.sigmoid(output[field, 1, y, x]),
        response[field, y, x],
        output[field, 4, y, x].exp(),
    )
    peaks = Peaks(*(v.detach().cpu().numpy() for v in columns))
    for i in np.unique(peaks.field):
        here = peaks.field == i
        place = [(v[here] + 0.5) / finer - 0.5 for v in (peaks.x, peaks.y)]
        distance = finer * edge_distance(mask[i].cpu().numpy() > 0, *place)
        sigma = np.hypot(peaks.sigma[here], MIN_ERROR * bands.pixel_size / pixel_size)
        peaks.score[here] *= norm.cdf(distance / sigma)
        peaks.height[here] *= distance > 0
    peaks = peaks.select(peaks.height > 0)
    return peaks.select(np.lexsort((-peaks.score, peaks.field)))


def edge_distance(valid, x, y):
    """Distance in pixels to the edge of the valid pixels, negative outside them.

    Parameters
    ----------
    valid : `~numpy.ndarray`
        Valid pixels, bool of shape ``(ny, nx)``.
    x, y : `~numpy.ndarray`
        Positions in pixels, within one and a half pixels of the image.
    """
    padded = np.pad(valid, 2)
    # An edge lies half way between the centres of a valid and an invalid pixel.
    signed = np.where(padded, distance_transform_edt(padded) - 0.5, 0.5 - distance_transform_edt(~padded))
    return map_coordinates(signed, [np.asarray(y) + 2, np.asarray(x) + 2], order=1, mode="nearest")


def kmeans_centres(centre, threshold=0.3, seed=0):
    """Centres by K-means of the pixels above a threshold, as in the published pipeline.

    One cluster per local maximum above the threshold (Panes et al. 2021, A&A 656, A62,
    who choose the number from the size of the connected region).

    Parameters
    ----------
    centre : `~numpy.ndarray`
        Centre map, shape ``(ny, nx)``.
    threshold : float
        Pixels above it belong to sources.
    seed : int
        Seed of the initial clusters.

    Returns
    -------
    x, y : `~numpy.ndarray`
        Positions in pixels.
    """
    y, x = np.nonzero(centre > threshold)
    if len(x) == 0:
        return np.zeros(0), np.zeros(0)
    maxima = F.max_pool2d(torch.tensor(centre)[None, None], 3, 1, 1)[0, 0].numpy() == centre
    n = max(1, int((maxima & (centre > threshold)).sum()))
    result = KMeans(n, n_init=1, random_state=seed).fit(np.column_stack([x, y]), sample_weight=centre[y, x])
    return result.cluster_centers_[:, 0], result.cluster_centers_[:, 1]
