# Licensed under a 3-clause BSD style license - see LICENSE
"""The network that tells the size of a source from a stamp in several bands."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .description import psf_radius
from .rows import Rows

__all__ = [
    "CONTAINMENTS",
    "ExtensionConfig",
    "ExtensionNetwork",
    "ExtensionOutput",
    "Stamps",
    "describe_psf",
    "psf_description",
]

#: Shares of the photons inside the radii that describe the point spread function of a band.
CONTAINMENTS = (0.68, 0.95, 0.4, 0.85)
#: Edges of the rings around the candidate, in pixels.
RINGS = (0.0, 1.5, 2.5, 3.5, 5.0, 7.0, 10.0, 14.0, 19.0, 25.0, 31.0, 36.0)
#: Counts added to the background where an excess is divided by its noise: bands with none stay finite.
FLOOR = 0.25
#: Gaussian widths of a source in pixels that are tried against a point, in every band.
TRIALS = (1.5, 2.5, 4.5, 9.0, 18.0)
#: Steps of Fisher scoring for the amplitude of a ring profile.
STEPS = 4


@dataclass(frozen=True)
class ExtensionConfig:
    """Shape of the network.

    Parameters
    ----------
    bands : int
        Energy bands.
    classes : int
        Classes of size.
    size : int
        Side of the stamps in pixels.
    widths : tuple of int
        Channels of the blocks, each on pixels twice as large as the one before.
    hidden : int
        Units of the layers that join everything.
    radii : int
        Number of radii of the point spread function that it is told, the first of `CONTAINMENTS`.
    profiles : bool
        Whether it sees what the best point leaves in rings, and tests of wider profiles against the
        point; these need all radii.
    """

    bands: int = 4
    classes: int = 3
    size: int = 72
    widths: tuple = (16, 32, 48, 64)
    hidden: int = 160
    # Weights of version 0.1 have these
    radii: int = 2
    profiles: bool = False


@dataclass
class Stamps:
    """Stamps around ``n`` candidates, the candidate in the middle of pixel ``(size // 2, size // 2)``.

    Parameters
    ----------
    counts, background : `~torch.Tensor`
        Counts, and those expected of the known sky, shape ``(n, n_bands, size, size)``; zero where
        there are no data.
    valid : `~torch.Tensor`
        1 where there are data in any band, shape ``(n, size, size)``.
    psf : `~torch.Tensor`
        Result of `describe_psf`, shape ``(n, n_bands, 4)``; NaN in absent bands.
    narrowest : `~torch.Tensor`, optional
        Size in deg below which a source counts as a point, shape ``(n,)``; by default none does.
    """

    counts: torch.Tensor
    background: torch.Tensor
    valid: torch.Tensor
    psf: torch.Tensor
    narrowest: torch.Tensor = None

    def __len__(self):
        return len(self.counts)

    def __getitem__(self, rows):
        narrowest = None if self.narrowest is None else self.narrowest[rows]
        return Stamps(*(v[rows] for v in self.tensors), narrowest)

    @property
    def tensors(self):
        """The parts in the order of the network's arguments."""
        return self.counts, self.background, self.valid, self.psf


@dataclass
class ExtensionOutput(Rows):
    """Raw predictions for ``n`` candidates.

    Parameters
    ----------
    classes : `~torch.Tensor`
        Logits of the classes, shape ``(n, n_classes)``.
    extended : `~torch.Tensor`
        Logit of not being a point, shape ``(n,)``.
    log_size, log_error : `~torch.Tensor`
        Logarithm of the size in deg if it is extended, and of the standard deviation of that, shape ``(n,)``.
    """

    classes: torch.Tensor
    extended: torch.Tensor
    log_size: torch.Tensor
    log_error: torch.Tensor


def describe_psf(radii, pixel_size):
    """Point spread function as the network is told of it.

    Parameters
    ----------
    radii : `~numpy.ndarray`
        Radii in deg of the `CONTAINMENTS`, shape ``(..., 4)``; NaN in absent bands.
    pixel_size : float
        Pixel size in deg.

    Returns
    -------
    description : `~numpy.ndarray`
        Logarithms of the 68 % radius in pixels and of the other radii over it, shape as `radii`.
    """
    first = radii[..., :1]
    return np.log(np.concatenate([first / pixel_size, radii[..., 1:] / first], axis=-1)).astype(np.float32)


def psf_description(response):
    """Result of `describe_psf` for a response, shape ``(n_bands, 4)``."""
    radii = np.stack([psf_radius(response, share) for share in CONTAINMENTS], axis=-1)
    return describe_psf(radii, response.pixel_size)


def signed_log_significance(counts, background):
    """Logarithm of the excess over its noise, with its sign."""
    z = (counts - background) / (background + FLOOR).sqrt()
    return z.sign() * z.abs().log1p()


class _Block(nn.Module):
    """Two convolutions; the instrument scales and shifts what they see (FiLM, Perez et al. 2018, AAAI)."""

    def __init__(self, inputs, width, conditions):
        super().__init__()
        self.first = nn.Conv2d(inputs, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))
        self.film = nn.Linear(conditions, 2 * width)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def forward(self, x, conditions):
        x = F.relu(self.norms[0](self.first(x)))
        x = self.norms[1](self.second(x))
        scale, shift = self.film(conditions)[..., None, None].chunk(2, dim=1)
        return F.relu(x * (1 + scale) + shift)


class ExtensionNetwork(nn.Module):
    """VGG-like network (Simonyan & Zisserman 2015, ICLR) on several resolutions.

    It sees the significance of the excess, which keeps the absolute number of counts: of pixels, of
    2x2, 4x4 and 8x8 pixels where its own pixels have that size, and of rings around the candidate. It is told
    the background and the point spread function of each band. The rings are compared with that function:
    what the best point leaves in them, and how much better the profiles of wider sources fit.

    Parameters
    ----------
    config : `ExtensionConfig`
        Shape.
    """

    def __init__(self, config):
        super().__init__()
        self.config = config
        bands, widths = config.bands, config.widths
        conditions = (2 + config.radii) * bands
        self.embedding = nn.Sequential(nn.Linear(conditions, 32), nn.ReLU())
        inputs = [bands + 1, *(bands + width for width in widths[:-1])]
        self.blocks = nn.ModuleList(_Block(i, width, 32) for i, width in zip(inputs, widths, strict=True))
        self.squeeze = nn.Conv2d(widths[-1], 16, 1)
        side = config.size // 2 ** (len(widths) - 1)
        rings = ring_masks(config.size)
        self.register_buffer("rings", rings, persistent=False)
        joined = 16 * side**2 + bands * len(rings) + conditions
        if config.profiles:
            joined += bands * (len(rings) + len(TRIALS))
        self.join = nn.Sequential(
            nn.Linear(joined, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.hidden), nn.ReLU()
        )
        self.head = nn.Linear(config.hidden, config.classes + 3)

    def conditions(self, background, psf):
        """Presence, background and PSF of each band, shape ``(n, (2 + radii) * n_bands)``."""
        present = torch.isfinite(psf[..., 0]).float()
        level = torch.log(background.mean((2, 3)) + 1e-3) / 3
        radii = torch.nan_to_num(psf[..., : self.config.radii]).unbind(-1)
        parts = torch.stack([present, level * present, *radii], -1)
        return parts.flatten(1)

    def last_layer(self, counts, background, valid, psf):
        """Values of the last hidden layer, shape ``(n, hidden)``."""
        given = self.conditions(background, psf)
        condition = self.embedding(given)
        x = None
        n, b = counts, background
        for i, block in enumerate(self.blocks):
            if i:
                x = F.max_pool2d(x, 2)
                n, b = (4 * F.avg_pool2d(v, 2) for v in (n, b))
            z = signed_log_significance(n, b)
            z = torch.cat([z, valid[:, None] if x is None else x], 1)
            x = block(z.contiguous(memory_format=torch.channels_last), condition)
        counts, background = (torch.einsum("nbyx,ryx->nbr", v, self.rings) for v in (counts, background))
        joined = [F.relu(self.squeeze(x)), signed_log_significance(counts, background), given]
        if self.config.profiles:
            pixels = self.rings.sum((1, 2))
            share = torch.einsum("nyx,ryx->nr", valid, self.rings) / pixels
            # In single precision also where the network runs in half
            with torch.autocast(counts.device.type, enabled=False):
                joined += compare_profiles(
                    *(v.float() for v in (counts, background, share, torch.nan_to_num(psf))), pixels
                )
        return self.join(torch.cat([v.flatten(1) for v in joined], 1))

    def forward(self, counts, background, valid, psf):
        """Predictions for stamps, see `Stamps`.

        Returns
        -------
        output : `~torch.Tensor`
            Shape ``(n, n_classes + 3)``, see `split`.
        """
        return self.head(self.last_layer(counts, background, valid, psf))

    def split(self, output):
        """Parts of the output (`ExtensionOutput`)."""
        k = self.config.classes
        # The size is counted from 0.1 deg; errors are bounded, so that no sample pulls without limit.
        log_size = output[:, k + 1] + np.log(0.1)
        return ExtensionOutput(output[:, :k], output[:, k], log_size, output[:, k + 2].clamp(-5, 1.5))


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
    order = np.argsort(CONTAINMENTS)
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
    """Pixels of each of the `RINGS`, shape ``(n_rings, size, size)``."""
    pixel = torch.arange(size) - size // 2
    r = torch.hypot(*torch.meshgrid(pixel.float(), pixel.float(), indexing="ij"))
    edges = torch.tensor(RINGS)[:, None, None]
    return ((r >= edges[:-1]) & (r < edges[1:])).float()
