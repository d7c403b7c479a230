# Licensed under a 3-clause BSD style license - see LICENSE
"""Images of patches in the bands of a model: cut from fields, turned, and on pixels of another size.

A patch has eight orientations: turned by up to three times 90 deg, and mirrored as well from number 4 on.
"""

import torch
import torch.nn.functional as F

__all__ = [
    "cut_patches",
    "mean_on_level",
    "resized",
    "smoothed",
    "sum_on_level",
    "turned",
    "turned_patches",
    "turned_places",
    "valid_corners",
    "values_at",
]


def valid_corners(valid, size, step):
    """Corners of the patches of a field with at least half as many valid pixels as the best of them.

    Parameters
    ----------
    valid : `~torch.Tensor`
        1 on valid finest pixels, shape ``(ny, nx)``.
    size, step : int
        Side of a patch, and step of the corners, in finest pixels.

    Returns
    -------
    corners : `~numpy.ndarray`
        First row and column of each patch, shape ``(n, 2)``.
    """
    share = F.avg_pool2d(valid[None, None], size, stride=step)[0, 0]
    return (torch.nonzero(share >= 0.5 * share.max()) * step).numpy()


def cut_patches(fields, chosen, corners, levels, size):
    """Patches of images per band.

    Parameters
    ----------
    fields : list of list of `~torch.Tensor`
        Images of each field per band, each of shape ``(ny / 2**level, nx / 2**level)``.
    chosen : `~numpy.ndarray`
        Field of each patch, shape ``(n,)``.
    corners : `~numpy.ndarray`
        First row and column in finest pixels, shape ``(n, 2)``.
    levels : tuple of int
        Levels of the bands.
    size : int
        Side of a patch in finest pixels.

    Returns
    -------
    patches : list of `~torch.Tensor`
        Per band, shape ``(n, size / 2**level, size / 2**level)``.
    """
    return [
        torch.stack(
            [
                fields[field][band][y : y + (size >> level), x : x + (size >> level)]
                for field, (y, x) in zip(chosen, corners >> level, strict=True)
            ]
        )
        for band, level in enumerate(levels)
    ]


def turned(images, turn):
    """Images in one of the eight orientations.

    Parameters
    ----------
    images : `~torch.Tensor`
        Shape ``(..., size, size)``.
    turn : int
        Number of the orientation.

    Returns
    -------
    images : `~torch.Tensor`
        Same shape.
    """
    images = torch.rot90(images, int(turn), (-2, -1))
    return images.transpose(-2, -1) if turn > 3 else images


def turned_patches(images, turns):
    """Patches, each in an orientation of its own.

    Parameters
    ----------
    images : list of `~torch.Tensor`
        Per band, shape ``(n, size / 2**level, size / 2**level)``.
    turns : `~numpy.ndarray`
        Orientation of each patch, shape ``(n,)``.

    Returns
    -------
    images : list of `~torch.Tensor`
        Same shapes.
    """
    return [torch.stack([turned(*pair) for pair in zip(image, turns, strict=True)]) for image in images]


def turned_places(x, y, turn, size):
    """Positions in turned patches.

    Parameters
    ----------
    x, y : `~torch.Tensor`
        Positions in pixels, shape ``(n,)``.
    turn : `~torch.Tensor`
        Orientation of the patch of each, shape ``(n,)``.
    size : int
        Side of a patch in pixels.

    Returns
    -------
    x, y : `~torch.Tensor`
        Positions, shape ``(n,)``.
    """
    for k in range(1, 4):
        again = turn % 4 >= k
        x, y = torch.where(again, y, x), torch.where(again, size - 1 - x, y)
    return torch.where(turn > 3, y, x), torch.where(turn > 3, x, y)


def resized(images, shape):
    """Smooth images on other pixels.

    Parameters
    ----------
    images : `~torch.Tensor`
        Shape ``(n, ny, nx)``.
    shape : tuple of int
        New shape of an image.

    Returns
    -------
    images : `~torch.Tensor`
        Shape ``(n, *shape)``.
    """
    return F.interpolate(images[:, None], size=tuple(shape), mode="bilinear", antialias=True)[:, 0]


def mean_on_level(images, level):
    """Mean of finest pixels in each pixel of a level.

    Parameters
    ----------
    images : `~torch.Tensor`
        Shape ``(n, ny, nx)``.
    level : int
        Level.

    Returns
    -------
    images : `~torch.Tensor`
        Shape ``(n, ny / 2**level, nx / 2**level)``.
    """
    return F.avg_pool2d(images[:, None], 2**level)[:, 0]


def sum_on_level(images, level):
    """Sum of finest pixels in each pixel of a level.

    Parameters
    ----------
    images, level
        See `mean_on_level`.

    Returns
    -------
    images : `~torch.Tensor`
        Shape ``(n, ny / 2**level, nx / 2**level)``.
    """
    return mean_on_level(images, level) * 4**level


def smoothed(images, sigma):
    """Images smoothed by Gaussians; what lies outside is not known and does not count.

    Parameters
    ----------
    images : `~torch.Tensor`
        Square images, shape ``(n, n_images, size, size)``.
    sigma : `~torch.Tensor`
        Standard deviations in pixels, shape ``(n, n_images)``; either may have one image, which then has all
        of the other's.

    Returns
    -------
    images : `~torch.Tensor`
        Shape ``(n, n_images, size, size)``.
    """
    grid = torch.arange(images.shape[-1])
    distance = (grid[:, None] - grid).float()
    # A width of a tenth of a pixel changes nothing.
    weights = torch.exp(-0.5 * (distance / sigma.clamp(min=0.1)[..., None, None]) ** 2)
    weights = weights / weights.sum(-1, keepdim=True)
    return weights @ images @ weights.transpose(-1, -2)


def values_at(images, patch, x, y, level):
    """Values of images at the pixels nearest to positions.

    Parameters
    ----------
    images : `~torch.Tensor`
        Shape ``(n_patches, size / 2**level, size / 2**level)``.
    patch, x, y : `~torch.Tensor`
        Patch and position in finest pixels, shape ``(n,)``; those outside take the value at the edge.
    level : int
        Level of the images.

    Returns
    -------
    values : `~torch.Tensor`
        Shape ``(n,)``.
    """
    row, column = (
        torch.round((v + 0.5) / 2**level - 0.5).long().clamp(0, images.shape[1] - 1) for v in (y, x)
    )
    return images[patch, row, column]
