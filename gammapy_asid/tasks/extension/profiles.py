# Licensed under a 3-clause BSD style license - see LICENSE
"""Ring profiles of a source against those of a point and of Gaussians."""

import numpy as np
import torch
import torch.nn.functional as F

from ...inputs.stamps import CONTAINMENTS

__all__ = ["RINGS", "TRIALS", "compare_profiles", "ring_masks", "signed_log_significance"]

#: Edges of the rings around the candidate, in pixels.
RINGS = (0.0, 1.5, 2.5, 3.5, 5.0, 7.0, 10.0, 14.0, 19.0, 25.0, 31.0, 36.0)

#: Counts added to the background where an excess is divided by its noise: bands with none stay finite.
FLOOR = 0.25

#: Gaussian widths of a source in pixels that are tried against a point, in every band.
TRIALS = (1.5, 2.5, 4.5, 9.0, 18.0)

#: Steps of Fisher scoring for the amplitude of a ring profile, from a good start.
STEPS = 4


def compare_profiles(counts, background, valid, psf, pixels):
    """Ring profiles of a point and of Gaussians against the counts.

    Parameters
    ----------
    counts, background : `~torch.Tensor`
        Sums in rings, shape ``(n, n_bands, n_rings)``.
    valid : `~torch.Tensor`
        Share of each ring with data, shape ``(n, n_rings)``.
    psf : `~torch.Tensor`
        Result of `describe_psf` without NaN.
    pixels : `~torch.Tensor`
        Pixels of each ring, shape ``(n_rings,)``.

    Returns
    -------
    residual : `~torch.Tensor`
        Logarithmic significance of what the best point leaves, shape ``(n, n_bands, n_rings)``.
    gain : `~torch.Tensor`
        Signed logarithm of the square root of the test statistic of each of the `TRIALS` against the point,
        the level free in each band; shape ``(n, n_bands, n_trials)``.
    """
    fits = []
    for width in (0.0, *TRIALS):
        share = ring_shares(psf, width, pixels) * valid[:, None]
        expected = background + _amplitude(counts, background, share) * share
        fits.append(expected)
    log_like = [(counts * torch.log(e + 1e-3) - e).sum(-1) for e in fits]
    gain = 2 * (torch.stack(log_like[1:], -1) - log_like[0][..., None])
    return signed_log_significance(counts, fits[0]), gain.sign() * gain.abs().sqrt().log1p()


def ring_shares(psf, width, pixels):
    """Share of the photons of a Gaussian source in each ring.

    Between the known radii the logarithm of the share outside falls with the square of the radius, as for a
    Gaussian; the width of the source, of a pixel and of the place in it add in square.

    Parameters
    ----------
    psf, pixels
        See `compare_profiles`.
    width : float
        Standard deviation of the source in pixels.

    Returns
    -------
    share : `~torch.Tensor`
        Shape ``(n, n_bands, n_rings)``.
    """
    order = torch.tensor(np.argsort(CONTAINMENTS), device=psf.device)
    depth = -torch.log1p(-torch.tensor(CONTAINMENTS, device=psf.device)[order])
    log_radius = torch.cat([psf[..., :1], psf[..., :1] + psf[..., 1:]], -1)[..., order]
    square = torch.exp(2 * log_radius) + 2 * depth * (width**2 + 1 / 6)
    square = F.pad(square, (1, 0))
    depth = F.pad(depth, (1, 0))
    slope = depth.diff() / square.diff().clamp(min=1e-3)
    # Edges of circles with the area of the pixels inside
    at = (pixels.cumsum(0) / np.pi)[:, None]
    room = square.diff().clamp(min=1e-3)
    room = torch.cat([room[..., :-1], torch.full_like(room[..., -1:], torch.inf)], -1)
    beyond = (at - square[..., None, :-1]).clamp(min=0)
    outside = torch.exp(-(slope[..., None, :] * torch.minimum(beyond, room[..., None, :])).sum(-1))
    return -F.pad(outside, (1, 0), value=1.0).diff()


def _amplitude(counts, background, share):
    """Most likely photons of a profile in each band, by Fisher scoring; shape ``(n, n_bands, 1)``."""
    weight = 1 / (background + FLOOR)
    amplitude = (weight * share * (counts - background)).sum(-1, keepdim=True)
    amplitude = (amplitude / (weight * share**2).sum(-1, keepdim=True).clamp(min=1e-6)).clamp(min=0)
    for _ in range(STEPS):
        weight = share / (background + amplitude * share + 1e-3)
        slope = (weight * (counts - background - amplitude * share)).sum(-1, keepdim=True)
        step = slope / (weight * share).sum(-1, keepdim=True).clamp(min=1e-6)
        amplitude = (amplitude + step).clamp(min=0)
    return amplitude


def ring_masks(size):
    """Pixels of each of the `RINGS`, one inside and zero outside, shape ``(n_rings, size, size)``.

    Parameters
    ----------
    size : int
        Side of the stamps in pixels.
    """
    pixel = torch.arange(size) - size // 2
    r = torch.hypot(*torch.meshgrid(pixel.float(), pixel.float(), indexing="ij"))
    edges = torch.tensor(RINGS)[:, None, None]
    return ((r >= edges[:-1]) & (r < edges[1:])).float()


def signed_log_significance(counts, background):
    """Logarithm of the excess over its noise, with its sign.

    Parameters
    ----------
    counts, background : `~torch.Tensor`
        In pixels or rings, of equal shape.
    """
    z = (counts - background) / (background + FLOOR).sqrt()
    return z.sign() * z.abs().log1p()
