# Licensed under a 3-clause BSD style license - see LICENSE
"""Expected counts of extended sources in batches of sky patches."""

import torch
import torch.nn.functional as F

from ..stats.correlation import fast_length
from ..utils.devices import Movable
from .patch_images import sum_on_level
from .shapes import shape_images
from .sky import SPECTRAL_PARAMETERS, source_counts

__all__ = ["BORDER", "ExtendedSources"]

#: Width in finest pixels of a border around a patch, whose light the point spread function brings in.
BORDER = 24
# Shapes are drawn on pixels finer by this level, which sample the narrowest Gaussian well.
FINER_LEVEL = 1
FINER = 2**FINER_LEVEL
# Photon index for which the point spread functions of sub-bands are averaged: shapes hide the difference.
INDEX = 2.3


class ExtendedSources(Movable):
    """Images of extended sources, by FFT with the point spread functions of a bank.

    Parameters
    ----------
    bank : `~gammapy_asid.simulation.ResponseBank`
        Responses.
    size : int
        Side of a patch in finest pixels.
    """

    def __init__(self, bank, size):
        self.bank, self.size = bank, size
        n = len(bank.responses)
        spectra = {name: torch.zeros(n) for name in SPECTRAL_PARAMETERS}
        spectra |= {name: torch.ones(n) for name in ("amplitude", "reference", "alpha")}
        counts = source_counts(bank, torch.arange(n), spectra | {"index": torch.full((n,), INDEX)})
        share = counts / counts.sum(2, keepdim=True).clamp(min=1e-30)
        middle = bank.kernels.shape[3] // 2
        self.transforms, self.lengths = [], []
        for band, level in enumerate(bank.bands.levels):
            kernels = bank.kernels[:, band, :, middle, middle]
            kernel = (share[:, band, :, None, None] * kernels).sum(1)
            length = fast_length((size + 2 * BORDER >> level) + bank.half)
            padded = F.pad(kernel, [0, length - kernel.shape[-1]] * 2).roll([-bank.half] * 2, [1, 2])
            self.lengths.append(length)
            self.transforms.append(torch.fft.rfft2(padded))

    def images(self, instrument, kind, x, y, width, elongation, angle, counts):
        """Images of sources, one by one.

        Parameters
        ----------
        instrument : `~torch.Tensor`
            Index of each source's response, shape ``(n,)``.
        kind, x, y, width, elongation, angle : `~torch.Tensor`
            Shape, position and width in finest pixels, axis ratio and angle, see
            `~gammapy_asid.simulation.shapes.shape_images`; each of shape ``(n,)``.
        counts : `~torch.Tensor`
            Expected counts, shape ``(n, n_bands)``.

        Returns
        -------
        images : list of `~torch.Tensor`
            Expected counts per band, each ``(n, size / 2**level, size / 2**level)``.
        """
        if not len(x):
            # No transform takes an empty batch.
            return [counts.new_zeros(0, self.size >> k, self.size >> k) for k in self.bank.bands.levels]
        side = self.size + 2 * BORDER
        fx, fy = (FINER * (v + BORDER + 0.5) - 0.5 for v in (x, y))
        fine = shape_images(kind, fx, fy, FINER * width, FINER * side, elongation, angle)
        return self.convolved(instrument, sum_on_level(fine, FINER_LEVEL), counts)

    def convolved(self, instrument, profile, counts):
        """Images of anything that is as bright in all bands but for its counts.

        Parameters
        ----------
        instrument : `~torch.Tensor`
            Index of each image's response, shape ``(n,)``.
        profile : `~torch.Tensor`
            Brightness on finest pixels with a border of `BORDER` around the patch, shape ``(n, ny, nx)``.
        counts : `~torch.Tensor`
            Expected counts for a brightness of one, shape ``(n, n_bands)``.

        Returns
        -------
        images : list of `~torch.Tensor`
            See `images`.
        """
        transformed, images = {}, []
        for band, level in enumerate(self.bank.bands.levels):
            length = self.lengths[band]
            if level not in transformed:
                transformed[level] = torch.fft.rfft2(sum_on_level(profile, level), s=(length, length))
            product = transformed[level] * self.transforms[band][instrument]
            image = torch.fft.irfft2(product, s=(length, length))
            border = BORDER >> level
            inside = slice(border, border + (self.size >> level))
            images.append(image[:, inside, inside].clamp(min=0) * counts[:, band, None, None])
        return images
