# Licensed under a 3-clause BSD style license - see LICENSE
"""Random numbers that the artefacts share."""

import math

import torch

__all__ = ["log_uniform", "lognormal", "owners", "uniform"]


def uniform(generator, low, high, *shape):
    """Numbers between `low` and `high`, which broadcast to `shape`.

    Parameters
    ----------
    generator : `~torch.Generator`
        Source of the random numbers.
    low, high : float or `~torch.Tensor`
        Ends of the interval.
    *shape : int
        Shape of the result.

    Returns
    -------
    numbers : `~torch.Tensor`
        Random numbers.
    """
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)


def log_uniform(generator, low, high, *shape):
    """Numbers with a logarithm that is equally spread between those of `low` and `high`.

    Parameters
    ----------
    generator : `~torch.Generator`
        Source of the random numbers.
    low, high : float
        Ends of the interval, positive.
    *shape : int
        Shape of the result.

    Returns
    -------
    numbers : `~torch.Tensor`
        Random numbers.
    """
    return torch.exp(uniform(generator, math.log(low), math.log(high), *shape))


def lognormal(generator, scatter, *shape):
    """Factors with median 1 and a natural logarithm of standard deviation `scatter`.

    Parameters
    ----------
    generator : `~torch.Generator`
        Source of the random numbers.
    scatter : float
        Standard deviation.
    *shape : int
        Shape of the result.

    Returns
    -------
    factors : `~torch.Tensor`
        Random numbers.
    """
    return torch.exp(scatter * torch.randn(shape, generator=generator, device=generator.device))


def owners(generator, mean):
    """Poisson numbers of things in each image, as the index of the image of each thing.

    Parameters
    ----------
    generator : `~torch.Generator`
        Source of the random numbers.
    mean : `~torch.Tensor`
        Expected number in each image, shape ``(n,)``.

    Returns
    -------
    image : `~torch.Tensor`
        Index of the image of each thing, int64 of shape ``(k,)``, ascending.
    """
    counts = torch.poisson(mean, generator=generator).long()
    return torch.repeat_interleave(torch.arange(len(mean), device=mean.device), counts)
