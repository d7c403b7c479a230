# Licensed under a 3-clause BSD style license - see LICENSE
"""Expected counts of batches of sky patches, as a torch program."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ..inputs.psf import psf_kernels
from ..inputs.response import INDEX
from ..utils.devices import Movable
from .sky_grid import interval_shares
from .spectra import differential_flux

__all__ = [
    "SPECTRAL_PARAMETERS",
    "ResponseBank",
    "interval_weights",
    "render_sources",
    "source_counts",
    "emission_counts",
]

#: What describes a spectrum: columns of a catalogue.
SPECTRAL_PARAMETERS = ("amplitude", "reference", "index", "beta", "lambda_", "alpha")

# Sources with more counts in a band are placed between the phases of the kernels: the others hide the step.
BRIGHT = 30.0
# Gauss-Legendre nodes in a sub-band: exact to 1e-4 for any spectrum of the populations.
N_NODES = 3


def interval_weights(response):
    """Exposure-weighted share of each standard energy interval in each band.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.

    Returns
    -------
    weights : `~numpy.ndarray`
        Shape ``(n_bands, n_intervals)``, cm2 s: band counts per solid angle are
        the weights times the intensities of the intervals.
    """
    share = interval_shares(response.sub_edges[:, :-1], response.sub_edges[:, 1:])
    return np.nansum(np.nan_to_num(share) * response.exposure[..., None], axis=1)


@dataclass
class ResponseBank(Movable):
    """Responses as tensors, to render patches of many instruments in one batch.

    Parameters
    ----------
    responses : list of `~gammapy_asid.inputs.Response`
        Responses with equal bands and sub-bands.
    half : int
        Half width of the kernels in pixels.
    """

    responses: list
    half: int = 16

    def __post_init__(self):
        self.bands = self.responses[0].bands
        self.kernels = torch.stack([psf_kernels(r, half=self.half) for r in self.responses])
        self.pixel_size = torch.tensor([r.pixel_size for r in self.responses])
        self.present = torch.tensor(np.array([r.present for r in self.responses]))
        self.interval_weights = torch.tensor(
            np.array([interval_weights(r) for r in self.responses]), dtype=torch.float32
        )
        nodes, weights = np.polynomial.legendre.leggauss(N_NODES)
        edges = np.nan_to_num(np.array([r.sub_edges for r in self.responses]), nan=1.0)
        lo, hi = np.log(edges[..., :-1, None]), np.log(edges[..., 1:, None])
        energy = np.exp((lo + hi) / 2 + (hi - lo) / 2 * nodes)
        exposure = np.array(
            [_node_exposure(r, e, weights) for r, e in zip(self.responses, energy, strict=True)]
        )
        self.energy = torch.tensor(energy, dtype=torch.float32)
        self.node_weights = torch.tensor(exposure * weights * (hi - lo) / 2 * energy, dtype=torch.float32)


def _node_exposure(response, energy, weights):
    """Exposure at nodes in the sub-bands, a power law in each whose mean is that of the response."""
    exposure = np.repeat(response.exposure[..., None], energy.shape[-1], axis=-1)
    seen = response.exposure > 0
    if seen.sum() > 1:
        slope = np.zeros(seen.shape)
        slope[seen] = np.gradient(np.log(response.exposure[seen]), np.log(energy[seen]).mean(-1))
        relative = energy ** slope[..., None]
        photons = weights * energy ** (1 - INDEX)
        mean = (relative * photons).sum(-1, keepdims=True) / photons.sum(-1, keepdims=True)
        exposure = exposure * relative / mean
    return exposure


def source_counts(bank, instrument, spectra):
    """Expected counts of sources in every sub-band.

    Parameters
    ----------
    bank : `ResponseBank`
        Responses.
    instrument : `~torch.Tensor`
        Index of each source's response, shape ``(n,)``.
    spectra : dict of `~torch.Tensor`
        See `~gammapy_asid.simulation.spectra.differential_flux`, shape ``(n,)`` each.

    Returns
    -------
    counts : `~torch.Tensor`
        Shape ``(n, n_bands, n_sub)``.
    """
    par = {k: v[:, None, None, None] for k, v in spectra.items()}
    return (differential_flux(par, bank.energy[instrument]) * bank.node_weights[instrument]).sum(-1)


def render_sources(bank, instrument, patch, x, y, counts, shape, n_patches, faintest=1e-3):
    """Images of point sources, one stamp of the point spread function each.

    Parameters
    ----------
    bank : `ResponseBank`
        Responses.
    instrument, patch : `~torch.Tensor`
        Index of each source's response and of its patch, shape ``(n,)``.
    x, y : `~torch.Tensor`
        Positions in finest pixels (0 is the centre of the first), shape ``(n,)``.
    counts : `~torch.Tensor`
        Expected counts, shape ``(n, n_bands, n_sub)``.
    shape : tuple
        ``(ny, nx)`` of a patch in finest pixels.
    n_patches : int
        Number of patches.
    faintest : float
        Sources with fewer counts in a band are left out of that band.

    Returns
    -------
    images : list of `~torch.Tensor`
        Expected counts per band, each ``(n_patches, ny / 2**level, nx / 2**level)``.
    """
    half, phases = bank.half, bank.kernels.shape[3]
    offset = torch.arange(-half, half + 1, device=x.device)
    images = []
    for band, level in enumerate(bank.bands.levels):
        ny, nx = (s >> level for s in shape)
        xb, yb = (x + 0.5) / 2**level - 0.5, (y + 0.5) / 2**level - 0.5
        xi, yi = torch.round(xb), torch.round(yb)
        inside = (xi >= -half) & (xi < nx + half) & (yi >= -half) & (yi < ny + half)
        total = counts[:, band].sum(-1)
        keep = torch.nonzero(inside & (total > faintest))[:, 0]
        keep, xi, yi, px, py, share = _phases(keep, xb, yb, phases, total > BRIGHT)
        stamps = torch.zeros(len(keep), len(offset), len(offset), device=x.device)
        for k in range(counts.shape[2]):
            level_counts = (counts[keep, band, k] * share)[:, None, None]
            stamps += level_counts * bank.kernels[instrument[keep], band, k, py, px]
        # A border of the stamp's width on every side takes what falls outside.
        border = 2 * half + 1
        wide = nx + 2 * border
        image = torch.zeros(n_patches, (ny + 2 * border) * wide, device=x.device)
        row = (yi[:, None] + border + offset) * wide
        column = xi[:, None] + border + offset
        target = patch[keep, None, None] * image.shape[1] + row[:, :, None] + column[:, None, :]
        image.view(-1).index_add_(0, target.reshape(-1), stamps.reshape(-1))
        image = image.view(n_patches, ny + 2 * border, wide)
        images.append(image[:, border : border + ny, border : border + nx])
    return images


def _phases(keep, x, y, phases, bright):
    """Pixel and phase of the kernel of each source: the nearest, or four with shares for bright ones."""
    near = keep[~bright[keep]]
    bright = keep[bright[keep]]
    parts = []
    if len(near):
        (xi, px), (yi, py) = (_split(torch.round(_steps(v[near], phases)), phases) for v in (x, y))
        parts.append((near, xi, yi, px, py, torch.ones_like(x[near])))
    if len(bright):
        sx, sy = (_steps(v[bright], phases) for v in (x, y))
        for cx, cy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            (xi, px), (yi, py) = (_split(torch.floor(v) + c, phases) for v, c in ((sx, cx), (sy, cy)))
            wx, wy = (torch.abs(1 - c - (v - torch.floor(v))) for v, c in ((sx, cx), (sy, cy)))
            parts.append((bright, xi, yi, px, py, wx * wy))
    if not parts:
        parts = [(keep, *(keep,) * 4, x[keep])]
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def _steps(x, phases):
    """Position in steps of a phase: phase 0 of pixel 0 is at 0."""
    return (x + 0.5) * phases - 0.5


def _split(steps, phases):
    """Pixel and phase of whole steps."""
    steps = steps.long()
    return torch.div(steps, phases, rounding_mode="floor"), steps % phases


def emission_counts(bank, instrument, intensity, shape):
    """Expected counts of the interstellar and isotropic emission.

    Parameters
    ----------
    bank : `ResponseBank`
        Responses.
    instrument : `~torch.Tensor`
        Index of each patch's response, shape ``(n_patches,)``.
    intensity : `~torch.Tensor`
        Intensity in the standard intervals on any grid that spans the patch,
        1 / (cm2 s sr), shape ``(n_patches, n_intervals, gy, gx)``.
    shape : tuple
        ``(ny, nx)`` of a patch in finest pixels.

    Returns
    -------
    images : list of `~torch.Tensor`
        Expected counts per band, each ``(n_patches, ny / 2**level, nx / 2**level)``.
    """
    area = torch.deg2rad(bank.pixel_size[instrument]) ** 2
    per_area = torch.einsum("pbi,piyx->pbyx", bank.interval_weights[instrument], intensity)
    images = []
    for band, level in enumerate(bank.bands.levels):
        size = [s >> level for s in shape]
        image = F.interpolate(
            per_area[:, band : band + 1], size=size, mode="bilinear", align_corners=False, antialias=True
        )
        images.append(image[:, 0] * (area * 4**level)[:, None, None])
    return images
