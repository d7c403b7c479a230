# Licensed under a 3-clause BSD style license - see LICENSE
"""Images as tensors: what the optical networks and fits see, of any camera."""

from dataclasses import dataclass

import torch

from ..utils.devices import Movable

__all__ = ["HALF", "OVERSAMPLING", "ImageBatch"]

#: Samples of the point spread function in a pixel, along each axis.
OVERSAMPLING = 4

#: Pixels on either side of the centre that the point spread function covers.
HALF = 12


@dataclass(kw_only=True)
class ImageBatch(Movable):
    """Images of equal shape in units of the noise of their sky.

    Parameters
    ----------
    signal : `~torch.Tensor`
        Light above the background over the standard deviation of a pixel of sky, shape ``(n, ny, nx)``; 0
        where there are no valid data.
    variance : `~torch.Tensor`
        Variance of `signal`, 1 on the sky, of the same shape: more on sources where gain or error map tell
        it.
    valid : `~torch.Tensor`
        Pixels with data, bool of the same shape.
    saturated : `~torch.Tensor`
        Pixels with data at saturation, bool of the same shape; they count as valid.
    psf : `~torch.Tensor`
        Effective point spread function, shape ``(n, m, m)`` with ``m = 2 * HALF * OVERSAMPLING + 1``: share
        of the light that falls into a pixel at that offset from a star, sampled `OVERSAMPLING` times a
        pixel along each axis, with the star in the middle. Its mean over the samples in a pixel sums to one.
    """

    signal: torch.Tensor
    variance: torch.Tensor
    valid: torch.Tensor
    saturated: torch.Tensor
    psf: torch.Tensor

    def __len__(self):
        return len(self.signal)

    @property
    def device(self):
        """Where the tensors are."""
        return self.signal.device

    @property
    def shape(self):
        """``(ny, nx)``."""
        return tuple(self.signal.shape[-2:])

    @property
    def kernels(self):
        """That of a star at the centre of a pixel, shape ``(n, 2 * HALF + 1, 2 * HALF + 1)``."""
        return self.psf[:, ::OVERSAMPLING, ::OVERSAMPLING]

    @property
    def fwhm(self):
        """Width in pixels of a circle with the area above half of the maximum, shape ``(n,)``."""
        peak = self.psf.amax((1, 2), keepdim=True)
        # Each sample above half of the maximum counts whole, those near it in part
        area = ((self.psf / peak - 0.5) / 0.1 + 0.5).clamp(0, 1).sum((1, 2)) / OVERSAMPLING**2
        return 2 * torch.sqrt(area / torch.pi)
