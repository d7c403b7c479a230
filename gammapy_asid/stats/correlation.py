# Licensed under a 3-clause BSD style license - see LICENSE
"""Correlation of images with kernels by fast Fourier transform."""

import torch
from scipy.fft import next_fast_len

__all__ = ["correlate", "correlate_pairs", "fast_length"]


def fast_length(n):
    """Length of a fast Fourier transform.

    Parameters
    ----------
    n : int
        Smallest length.

    Returns
    -------
    length : int
        Smallest even number from `n` on with no prime factor above 5.
    """
    return 2 * next_fast_len(-(-n // 2), real=True)


def correlate(images, kernels):
    """Correlate images with kernels of odd size by FFT, zero outside.

    Parameters
    ----------
    images : `~torch.Tensor`
        Shape ``(..., ny, nx)``.
    kernels : `~torch.Tensor`
        Shape ``(..., k, k)``, broadcast against the images.

    Returns
    -------
    result : `~torch.Tensor`
        Shape of the images.
    """
    return correlate_pairs([images], [kernels], [(0, 0)])[0]


def correlate_pairs(images, kernels, pairs):
    """Correlate some of several images with some of several kernels, each transformed once.

    Parameters
    ----------
    images, kernels : list of `~torch.Tensor`
        Shape ``(..., ny, nx)`` and ``(..., k, k)`` each.
    pairs : sequence of tuple of int
        Indices of the image and of the kernel of each result.

    Returns
    -------
    results : list of `~torch.Tensor`
        Each of the shape of the images.
    """
    ny, nx = images[0].shape[-2:]
    half = kernels[0].shape[-1] // 2
    size = _sizes((ny, nx), kernels[0].shape[-1])
    images = [torch.fft.rfft2(image, s=size) for image in images]
    kernels = [torch.fft.rfft2(kernel.flip((-2, -1)), s=size) for kernel in kernels]
    products = (torch.fft.irfft2(images[i] * kernels[k], s=size) for i, k in pairs)
    return [product[..., half : half + ny, half : half + nx] for product in products]


def _sizes(shape, width):
    """Lengths of the transforms: what wraps around falls on the first rows, which are cut off."""
    return [fast_length(max(n + width // 2, width)) for n in shape]
