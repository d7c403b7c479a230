# Licensed under a 3-clause BSD style license - see LICENSE
"""Skies whose emission is not that of any model: generated structure, and levels far from the usual ones."""

import numpy as np
import torch

from ..utils.devices import Movable
from .patch_images import smoothed
from .structure import COARSE

__all__ = ["FarLevels", "GeneratedStructure"]

#: Range of the factors on a level that is far from that of the LAT's sky: from what is left of it in poor
#: fields to a hundred times as much.
FAR_LEVEL = (0.1, 100.0)

#: Spread of the difference between the photon index of such a sky and that of the LAT's.
FAR_INDEX = 0.3


class GeneratedStructure(Movable):
    """Gives patches generated structure in place of the emission models' own.

    The emission that makes the counts and its prediction get structure of their own, which agrees from not at
    all to fully: on the scales where models of the emission differ nobody knows which is right.

    Parameters
    ----------
    library : `~gammapy_asid.simulation.structure.StructureLibrary`
        Structure.
    blur : array-like
        Standard deviation of the point spread function in each interval of energy in deg, shape
        ``(n_intervals,)``.
    share : float
        Share of the patches; the others keep the structure of the models.
    """

    def __init__(self, library, blur, share=1.0):
        self.library, self.share = library, share
        self.blur = torch.as_tensor(np.asarray(blur), dtype=torch.float32)

    def __call__(self, intensity, latitude, width, generator):
        """Patches with generated structure.

        Parameters
        ----------
        intensity : tuple of `~torch.Tensor`
            True emission and its prediction, shape ``(n, n_intervals, gy, gx)``.
        latitude, width : `~torch.Tensor`
            Galactic latitude and width of the patches in deg, shape ``(n,)``.
        generator : `~torch.Generator`
            Source of randomness.

        Returns
        -------
        intensity : tuple of `~torch.Tensor`
            The same with other structure.
        """
        n, _, _, n_pixels = intensity[0].shape
        own, other = self.library.draw(latitude.repeat(2), width.repeat(2), n_pixels, generator).chunk(2)
        # The prediction shares this much with the truth, and is as strong
        there = {"generator": generator, "device": generator.device}
        share = torch.rand(n, 1, 1, **there)
        told = share * own + torch.sqrt(1 - share**2) * other
        chosen = torch.rand(n, 1, 1, 1, **there) < self.share
        cell = (width / n_pixels)[:, None]
        coarse = torch.full_like(self.blur, COARSE)
        return tuple(
            torch.where(
                chosen,
                smoothed(image, coarse / cell) * torch.exp(smoothed(structure[:, None], self.blur / cell)),
                image,
            )
            for image, structure in zip(intensity, (own, told), strict=True)
        )


class FarLevels(Movable):
    """Gives patches levels and spectra of the emission that are far from those of the LAT's sky.

    Parameters
    ----------
    share : float
        Share of the patches.
    """

    def __init__(self, share):
        self.share = share

    def __call__(self, intensity, latitude, width, generator):
        """Patches with other levels, see `GeneratedStructure`.

        Parameters
        ----------
        intensity, latitude, width, generator
            See `GeneratedStructure`.

        Returns
        -------
        intensity : tuple of `~torch.Tensor`
            The same on other levels; truth and prediction by the same factors.
        """
        n, n_intervals = intensity[0].shape[:2]
        there = {"generator": generator, "device": generator.device}
        chosen, place = torch.rand(2, n, 1, **there)
        low, high = np.log(FAR_LEVEL)
        # The index pivots at the middle of the intervals, which are about half a decade wide
        energy = np.log(10) / 2 * (torch.arange(n_intervals, device=latitude.device) - (n_intervals - 1) / 2)
        log_factor = low + (high - low) * place + FAR_INDEX * torch.randn(n, 1, **there) * energy
        factor = torch.exp(torch.where(chosen < self.share, log_factor, 0.0))[:, :, None, None]
        return tuple(image * factor for image in intensity)
