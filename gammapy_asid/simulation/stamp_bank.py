# Licensed under a 3-clause BSD style license - see LICENSE
"""Instruments around places as tensors, and what they see of sources."""

import numpy as np
import torch
import torch.nn.functional as F

from ..inputs.psf import psf_kernels, psf_radius, sub_band_photons
from ..inputs.stamps import psf_description
from ..stats.correlation import fast_length
from ..utils.devices import Movable
from .shapes import shape_images

__all__ = ["StampBank"]

# Indices of the two spectra whose point spread functions are mixed for any other: most sources lie between.
HARD, SOFT = 1.5, 3.2

# Share of the photons in the widest band that the margin around a stamp must keep.
CONTAINMENT = 0.99


class StampBank(Movable):
    """Instruments around places, to render stamps of many of them in one batch.

    Parameters
    ----------
    places : list of `~gammapy_asid.simulation.scenes.StampResponse`
        Instrument around places, all with the same bands and size.
    """

    def __init__(self, places):
        first = places[0].response
        self.bands, self.pixel_size = first.bands, first.pixel_size
        self.size = places[0].exposure.shape[-1]
        radius = max(np.nanmax(psf_radius(p.response, CONTAINMENT)) for p in places)
        self.margin = min(int(np.ceil(radius / self.pixel_size)), self.size // 2)
        self.grid = fast_length(self.size + 2 * self.margin)
        self.margin = (self.grid - self.size) // 2
        self.sub_exposure = torch.tensor(np.stack([p.response.exposure for p in places]), dtype=torch.float64)
        edges = np.nan_to_num(np.stack([p.response.sub_edges for p in places]), nan=1.0) / 1e3
        self.sub_edges = torch.tensor(edges)
        self.exposure = torch.tensor(np.stack([p.exposure for p in places]), dtype=torch.float32)
        self.background = torch.tensor(np.stack([p.background for p in places]), dtype=torch.float32)
        self.psf = torch.tensor(np.stack([psf_description(p.response) for p in places]))
        self.kernels = torch.stack([self._transforms(p.response) for p in places])
        ends = torch.tensor([HARD, SOFT], dtype=torch.float64)
        place = torch.arange(len(places)).repeat_interleave(2)
        _, ends = self.counts(place, torch.ones(len(place)), ends.repeat(len(places)))
        self.mean_energy = ends.view(len(places), 2, -1)

    def _transforms(self, response):
        """Fourier transforms of the point spread functions of a hard and of a soft spectrum."""
        kernels = psf_kernels(response, half=min(self.margin, (self.grid - 1) // 2), phases=1)[:, :, 0, 0]
        mixed = []
        for index in (HARD, SOFT):
            photons = sub_band_photons(response, index, reference=1e3)
            share = photons / np.maximum(photons.sum(1, keepdims=True), 1e-300)
            mixed.append(torch.einsum("bs,bsyx->byx", torch.tensor(share, dtype=torch.float32), kernels))
        kernels = torch.stack(mixed, 1)
        half = kernels.shape[-1] // 2
        padded = F.pad(kernels, (0, self.grid - kernels.shape[-1], 0, self.grid - kernels.shape[-1]))
        # Symmetric around the first pixel: the transform is real.
        return torch.fft.rfft2(padded.roll((-half, -half), (-2, -1))).real.clone()

    def counts(self, place, amplitude, index):
        """Expected counts of power laws, and the mean logarithm of their energies.

        Parameters
        ----------
        place : `~torch.Tensor`
            Index of the response of each, shape ``(n,)``.
        amplitude, index : `~torch.Tensor`
            Amplitude at 1 TeV in cm-2 s-1 TeV-1 and photon index, shape ``(n,)``.

        Returns
        -------
        counts : `~torch.Tensor`
            Shape ``(n, n_bands)``.
        mean : `~torch.Tensor`
            Of the energies in TeV, shape ``(n, n_bands)``.
        """
        edges, index = self.sub_edges[place], index.double()[:, None, None]
        power = 1 - index
        integral = (edges[..., 1:] ** power - edges[..., :-1] ** power) / power
        counts = amplitude.double()[:, None, None] * integral * self.sub_exposure[place]
        total = counts.sum(-1)
        energy = (edges[..., 1:] * edges[..., :-1]).log() / 2
        mean = (counts * energy).sum(-1) / total.clamp(min=1e-300)
        return total.float(), mean

    def images(self, place, stamp, x, y, source):
        """Expected counts of sources at the exposure of their place, seen through the PSF, added per stamp.

        Parameters
        ----------
        place : `~torch.Tensor`
            Index of the response of each stamp, shape ``(n,)``.
        stamp, x, y : `~torch.Tensor`
            Stamp and position in pixels of each source, shape ``(n_sources,)``.
        source : dict of `~torch.Tensor`
            ``kind``, ``size`` in deg, ``elongation``, ``angle``, ``amplitude`` at 1 TeV in cm-2 s-1 TeV-1
            and ``index`` of each source.

        Returns
        -------
        images : `~torch.Tensor`
            Shape ``(n, n_bands, size, size)``.
        """
        shape = shape_images(
            source["kind"],
            x + self.margin,
            y + self.margin,
            source["size"] / self.pixel_size,
            self.grid,
            source["elongation"],
            source["angle"],
        )
        of_source, n = place[stamp], len(place)
        counts, energy = self.counts(of_source, source["amplitude"], source["index"])
        hard, soft = self.mean_energy[of_source].unbind(1)
        weight = ((energy - soft) / (hard - soft).clamp(min=1e-6)).clamp(0, 1).float()
        mixed = torch.stack([counts * weight, counts * (1 - weight)], -1)
        transform = torch.fft.rfft2(shape)
        cut = slice(self.margin, self.margin + self.size)
        images = torch.empty(n, len(self.bands), self.size, self.size, device=x.device)
        for band in range(len(self.bands)):
            hard, soft = self.kernels[of_source, band].unbind(1)
            a, b = mixed[:, band, :, None, None].unbind(1)
            product = transform.new_zeros(n, *transform.shape[1:])
            product.index_add_(0, stamp, transform * (hard * a + soft * b))
            images[:, band] = torch.fft.irfft2(product, s=(self.grid, self.grid))[:, cut, cut]
        return images.clamp(min=0)
