# Licensed under a 3-clause BSD style license - see LICENSE
"""Patches of the LAT's sky whose fine emission was generated: no two skies have the same."""

import numpy as np
import torch

from .lat_patches import LatSimulator
from .patch_images import smoothed
from .structure import COARSE

__all__ = ["GeneratedLatSimulator"]


class GeneratedLatSimulator(LatSimulator):
    """Draws patches as `LatSimulator`, with generated structure in place of the emission models' own.

    The emission that makes the counts and its prediction get structure of their own, which agrees from not at
    all to fully: on the scales where models of the emission differ nobody knows which is right.

    Parameters
    ----------
    responses, weights, emission, draw_sky
        See `LatSimulator`; the emission is that of the result of `coarse`.
    library : `~gammapy_asid.simulation.structure.StructureLibrary`
        Structure.
    blur : array-like
        Standard deviation of the point spread function in each interval of energy in deg, shape
        ``(n_intervals,)``.
    **kwargs
        Further arguments of `LatSimulator`.
    """

    def __init__(self, responses, weights, emission, draw_sky, library, blur, **kwargs):
        super().__init__(responses, weights, emission, draw_sky, **kwargs)
        self.library = library
        self.blur = torch.as_tensor(np.asarray(blur), dtype=torch.float32)

    @staticmethod
    def coarse(bank, blur):
        """Emission models without structure, as the instruments see them.

        Parameters
        ----------
        bank : `~gammapy_asid.simulation.EmissionBank`
            Models.
        blur : array-like
            See above.

        Returns
        -------
        bank : `~gammapy_asid.simulation.EmissionBank`
            Models.
        """
        return bank.smooth(np.hypot(blur, COARSE))

    def _intensity(self, generator, instrument, centres, roll):
        truth, prediction = super()._intensity(generator, instrument, centres, roll)
        n, _, _, n_pixels = truth.shape
        width = self.size * self.bank.pixel_size[instrument].float()
        latitude = torch.rad2deg(centres[:, 1])
        own, other = self.library.draw(latitude.repeat(2), width.repeat(2), n_pixels, generator).chunk(2)
        # The prediction shares this much with the truth, and is as strong
        share = torch.rand(n, 1, 1, generator=generator, device=generator.device)
        told = share * own + torch.sqrt(1 - share**2) * other
        sigma = self.blur / (width / n_pixels)[:, None]
        return tuple(
            image * torch.exp(smoothed(structure[:, None], sigma))
            for image, structure in ((truth, own), (prediction, told))
        )
