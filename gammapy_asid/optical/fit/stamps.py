# Licensed under a 3-clause BSD style license - see LICENSE
"""Stamps of fitted sources, their neighbours taken away: what the networks see of them."""

from dataclasses import dataclass

import torch

from ...utils.devices import inference
from ...utils.tensor_rows import TensorRows
from ..batch import HALF
from .design import around
from .profiles import Profiles, nearest_pixels

__all__ = ["SourceStamps", "source_stamps"]

#: Side of a stamp in pixels: that of the point spread function.
SIZE = 2 * HALF + 1


@dataclass
class SourceStamps(TensorRows):
    """Images around sources, each in the middle pixel; tensors of shape ``(k, size, size)``.

    Parameters
    ----------
    alone : `~torch.Tensor`
        Signal less the fitted neighbours in signal units, 0 where there are no valid data.
    neighbours : `~torch.Tensor`
        Light of the fitted neighbours, and the fitted sky.
    own : `~torch.Tensor`
        The fitted star itself: flux times profile.
    profile : `~torch.Tensor`
        Share of the light of a star in each pixel.
    variance : `~torch.Tensor`
        Variance of the signal.
    valid, saturated : `~torch.Tensor`
        Pixels with data, and saturated ones, bool.
    """

    alone: torch.Tensor
    neighbours: torch.Tensor
    own: torch.Tensor
    profile: torch.Tensor
    variance: torch.Tensor
    valid: torch.Tensor
    saturated: torch.Tensor

    def __len__(self):
        return len(self.alone)

    @property
    def residual(self):
        """What the fit leaves of the image."""
        return torch.where(self.valid, self.alone - self.own, 0.0)

    def in_noise(self):
        """Images compressed in units of the noise, saturated and invalid pixels as the last channel.

        Returns
        -------
        stamps : `~torch.Tensor`
            ``asinh`` of what stands alone, of the neighbours, of the own star and of the residual over the
            noise of the sky, and -1 for invalid, 1 for saturated pixels; shape ``(k, 5, size, size)``.
        """
        images = torch.stack([self.alone, self.neighbours, self.own, self.residual], 1)
        return torch.cat([torch.asinh(images), self._flags()], 1)

    def in_flux(self):
        """Images in units of the brightest pixel of the own star.

        Returns
        -------
        stamps : `~torch.Tensor`
            What stands alone, the neighbours, the profile of a star and the noise, each over the brightest
            pixel of the own star (at least three times the noise of the sky) and bounded by 5, and the flags
            as in `in_noise`; shape ``(k, 5, size, size)``.
        """
        peak = self.own.amax((1, 2), keepdim=True).clamp(min=3.0)
        star = self.profile / self.profile.amax((1, 2), keepdim=True)
        noise = torch.sqrt(self.variance.clamp(min=0)) / peak
        images = torch.stack([self.alone / peak, self.neighbours / peak, star, noise], 1)
        return torch.cat([images.clamp(-5, 5), self._flags()], 1)

    def _flags(self):
        return (self.saturated.float() - (~self.valid).float())[:, None]


@inference()
def source_stamps(batch, fit, size=SIZE, rows=None):
    """Stamps of fitted sources.

    Parameters
    ----------
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        Images.
    fit : `~gammapy_asid.optical.fit.joint.JointFit`
        Fit of all of their sources.
    size : int
        Side in pixels, best odd: the pixel of the source is ``size // 2``.
    rows : `~torch.Tensor`, optional
        Index or mask of the sources that are wanted, by default all. Many at once take memory: 20 kB each.

    Returns
    -------
    stamps : `SourceStamps`
        Stamps in the order of the sources; nothing outside of the images is valid.
    """
    batch = batch.to("cpu")
    rows = slice(None) if rows is None else rows
    image, x, y, flux = (value[rows] for value in (fit.image, fit.x, fit.y, fit.flux))
    column, row = nearest_pixels(x, y)
    before = size // 2
    index, inside = around(batch.signal.shape, image, column, row, (before, size - 1 - before))

    def cut(values, outside=0.0):
        return torch.where(inside, values.flatten()[index], outside)

    valid = cut(batch.valid, False)
    profile = _cropped(Profiles(batch)(image, x, y), before, size)
    own = profile * torch.nan_to_num(flux)[:, None, None]
    neighbours = torch.where(inside, cut(fit.model) - own, 0.0)
    alone = torch.where(valid, cut(batch.signal) - neighbours, 0.0)
    saturated = cut(batch.saturated, False) & valid
    return SourceStamps(alone, neighbours, own, profile, cut(batch.variance, 1.0), valid, saturated)


def _cropped(profiles, before, size):
    """Profiles cut, or filled up with zeros, to stamps of a size."""
    start = HALF - before
    stop = 2 * HALF + 1 - start - size
    return torch.nn.functional.pad(profiles, [-start, -stop, -start, -stop])
