# Licensed under a 3-clause BSD style license - see LICENSE
"""Galaxies as clouds of points of light: Sersic bulges and disks, spiral arms, clumps."""

from functools import cache

import numpy as np
import torch
from scipy.special import gammaincinv

__all__ = ["galaxy_points"]

#: Golden angle: points of a Fibonacci spiral cover a disk evenly.
GOLDEN = np.pi * (3 - np.sqrt(5))

#: Sersic indices of disks and bulges for which radii are kept.
INDICES = (0.5, 0.7, 1.0, 1.3, 2.0, 3.0, 4.0, 5.0)


@cache
def _radii(n_points):
    """Radii in half-light radii that hold equal shares of the light, shape ``(len(INDICES), n_points)``.

    The growth curve of a Sersic profile (Ciotti 1991, A&A 249, 99); the last two per cent of the light,
    which reach very far out in bulges, are put at the radius of the others' end.
    """
    share = (np.arange(n_points) + 0.5) / n_points * 0.98
    rows = []
    for index in INDICES:
        half = gammaincinv(2 * index, 0.5)
        rows.append((gammaincinv(2 * index, share) / half) ** index)
    return torch.from_numpy(np.array(rows)).float()


def galaxy_points(index, radius, ratio, angle, arms, clumps, n_points, rng):
    """Points that share the light of each galaxy component.

    Parameters
    ----------
    index : `~torch.Tensor`
        Number of the Sersic index in `INDICES`, shape ``(n,)``.
    radius : `~torch.Tensor`
        Half-light radius along the major axis in pixels.
    ratio, angle : `~torch.Tensor`
        Minor over major axis, and angle of the major axis in rad.
    arms, clumps : `~torch.Tensor`
        Contrast of two spiral arms, 0 to 1, and scatter of the logarithm of the light of clumps.
    n_points : int
        Points of each component.
    rng : `~numpy.random.Generator`
        Source of random numbers.

    Returns
    -------
    dx, dy, light : `~torch.Tensor`
        Offsets in pixels and shares of the light, shape ``(n, n_points)``.
    """
    n = len(index)
    r = _radii(n_points)[index]
    start = torch.from_numpy(rng.uniform(0, 2 * np.pi, n)).float()[:, None]
    theta = torch.arange(n_points) * GOLDEN + start
    # Logarithmic spirals of 20 deg pitch
    phase = 2 * (theta - torch.log(r.clamp(min=0.05)) / np.tan(np.deg2rad(20)))
    light = 1 + arms[:, None] * torch.cos(phase)
    # Clumps are patches of neighbouring points: rings and sectors of a coarse grid
    cell = (r * 2).long().clamp(max=7) * 12 + (torch.remainder(theta, 2 * np.pi) * 12 / (2 * np.pi)).long()
    boost = torch.from_numpy(rng.normal(0, 1, (n, 12 * 8 + 12))).float() * clumps[:, None]
    light = light * torch.exp(boost.gather(1, cell.clamp(max=12 * 8 + 11)))
    light = light / light.sum(1, keepdim=True)
    u = r * torch.cos(theta) * radius[:, None]
    v = r * torch.sin(theta) * (radius * ratio)[:, None]
    cos, sin = torch.cos(angle)[:, None], torch.sin(angle)[:, None]
    return u * cos - v * sin, u * sin + v * cos, light
