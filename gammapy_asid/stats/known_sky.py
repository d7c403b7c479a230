# Licensed under a 3-clause BSD style license - see LICENSE
"""The known sky of fields: background and models, or the local level of the counts."""

import torch
import torch.nn.functional as F

__all__ = ["known_sky", "local_normalisation"]


def _gaussian_matrix(n, sigma):
    """Matrices that sum with Gaussian weights along an axis, shape ``(len(sigma), n, n)``."""
    position = torch.arange(n, device=sigma.device, dtype=sigma.dtype)
    distance = position[:, None] - position
    return torch.exp(-0.5 * (distance / sigma[:, None, None]) ** 2)


def local_normalisation(counts, background, sigma, known, n_iter=6):
    """Smooth ratio of the counts to the predicted background, sources left out.

    Pixels far above the smooth level are replaced by it, and the prior on the ratio
    is the weight of a few counts: around one where the background is a
    prediction, around the field's mean where it is not.

    Parameters
    ----------
    counts, background : `~torch.Tensor`
        Shape ``(n, ny, nx)``, coarse pixels, zero where masked.
    sigma : `~torch.Tensor`
        Smoothing scale in pixels, shape ``(n,)``.
    known : `~torch.Tensor`
        Whether the background is a prediction, bool of shape ``(n,)``.
    n_iter : int
        Number of clipping iterations.

    Returns
    -------
    ratio : `~torch.Tensor`
        Shape ``(n, ny, nx)``.
    """
    rows, columns = _gaussian_matrix(counts.shape[1], sigma), _gaussian_matrix(counts.shape[2], sigma)
    # A tenth of a count keeps the level of an empty field above zero
    mean = (counts.sum((1, 2)) + 0.1) / background.sum((1, 2)).clamp(min=1e-6)
    # 25 counts tie a predicted normalisation to 20 %; 2 tie another one only where there are hardly any.
    prior = torch.where(known, 25.0, 2.0)[:, None, None]
    centre = torch.where(known, torch.ones_like(mean), mean)[:, None, None]
    smooth_background = rows @ background @ columns + prior / centre
    clipped = counts
    for _ in range(n_iter):
        level = (rows @ clipped @ columns + prior) / smooth_background * background
        # Half a count is the variance of an empty pixel
        clipped = torch.where(counts > level + CLIP * torch.sqrt(level + 0.5), level, counts)
    return (rows @ clipped @ columns + prior) / smooth_background


def upsample(image, shape):
    """Bilinear interpolation of ``(n, ny, nx)`` images to a finer grid.

    Parameters
    ----------
    image : `~torch.Tensor`
        Images.
    shape : tuple of int
        ``(ny, nx)`` of the finer grid.

    Returns
    -------
    image : `~torch.Tensor`
        Shape ``(n, *shape)``.
    """
    if image.shape[-2:] == tuple(shape):
        return image
    return F.interpolate(image[:, None], size=tuple(shape), mode="bilinear", align_corners=False)[:, 0]


# Scales of the smooth background in deg for the LAT: with a prediction, and without one.
SMOOTHING = (2.5, 1.2)

# Smallest expected counts of a pixel, where the prediction is zero.
MIN_BACKGROUND = 1e-5

# The normalisation is found on pixels of this level or coarser: a scale of the smooth background has three.
NORMALISATION_LEVEL = 2

# Standard deviations above the smooth level from which a pixel holds a source.
CLIP = 2.5


def known_sky(batch):
    """Background of every band, normalised to the data.

    Parameters
    ----------
    batch : `FieldBatch`
        Fields.

    Returns
    -------
    background : list of `~torch.Tensor`
        Shape as the counts.
    """
    result = []
    scale = torch.where(batch.has_background, SMOOTHING[0], SMOOTHING[1]) * batch.scale / batch.pixel_size
    for level, counts, background, mask in zip(
        batch.levels, batch.counts, batch.background, batch.mask, strict=True
    ):
        extra = max(NORMALISATION_LEVEL - level, 0)
        coarse = [
            4**extra * F.avg_pool2d((image * mask)[:, None], 2**extra)[:, 0] for image in (counts, background)
        ]
        ratio = local_normalisation(*coarse, scale / 2 ** (level + extra), batch.has_background)
        sky = upsample(ratio, counts.shape[-2:]) * background
        result.append(sky.clamp(min=MIN_BACKGROUND))
    return result
