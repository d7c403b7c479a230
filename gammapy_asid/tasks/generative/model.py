# Licensed under a 3-clause BSD style license - see LICENSE
"""A trained generator of fine emission."""

from functools import cached_property

import numpy as np
import torch

from ...learning.denoiser import generate
from ...learning.diffusion import SCHEDULES
from ...learning.trained import TrainedModel
from ...learning.unet import MultiResolutionUNet, UNetConfig
from ...simulation.structure import StructureLibrary
from ...simulation.variations import generators
from ...utils.devices import inference
from .card import GenerativeCard
from .recipe import GenerativeRecipe
from .simulator import draw_places
from .sky import PIXEL_SIZE, EmissionSky, read_intensity

__all__ = ["GenerativeModel"]


class GenerativeModel(TrainedModel):
    """Network with its card, ready to draw.

    Parameters
    ----------
    card : `~gammapy_asid.tasks.generative.card.GenerativeCard`
        Card.
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.
    """

    Card, Network, Config = GenerativeCard, MultiResolutionUNet, UNetConfig

    def __init__(self, card, network, device=None):
        super().__init__(card, network, device)
        self.recipe = GenerativeRecipe(**card.recipe)

    @cached_property
    def training_sky(self):
        """Sky of the emission that its recipe names."""
        return self.sky(read_intensity(self.recipe))

    def sky(self, intensity):
        """What the model needs to know of an emission model.

        Parameters
        ----------
        intensity : `~numpy.ndarray`
            Emission in any unit on the grid of emission models, shape ``(n_lat, n_lon)``, of which the
            coarse part counts.

        Returns
        -------
        sky : `~gammapy_asid.tasks.generative.sky.EmissionSky`
            Sky, on the device of the model.
        """
        return EmissionSky(intensity, self.recipe.tracers, self.card.amplitude).to(self.device)

    @inference()
    def structure(self, patches, seed):
        """Structure that patches may have, in place of their own.

        Parameters
        ----------
        patches : `~gammapy_asid.tasks.generative.sky.StructurePatches`
            Patches of a result of `sky`.
        seed : int or sequence of int
            Seed.

        Returns
        -------
        structure : `~torch.Tensor`
            Logarithm of the fine over the coarse emission, shape ``(n, ny, nx)``.
        """
        _, generator = generators(seed, self.device)
        schedule = SCHEDULES[self.recipe.schedule]()
        return patches.amplitude * generate(self.network, schedule, patches.channels, generator)[:, 0]

    def draw(self, n, seed, sky=None):
        """Patches of generated structure all over the sky.

        Parameters
        ----------
        n : int
            Number of patches.
        seed : int or tuple of int
            Seed; equal seeds give equal patches on the same kind of device.
        sky : `~gammapy_asid.tasks.generative.sky.EmissionSky`, optional
            Result of `sky`, by default `training_sky`.

        Returns
        -------
        patches : `~gammapy_asid.tasks.generative.sky.StructurePatches`
            Patches.
        """
        sky = self.training_sky if sky is None else sky
        rng, _ = generators(seed)
        places = draw_places(rng, n, self.recipe.size, self.recipe.plane_share)
        patches = sky.patches(*(v.to(self.device) for v in places), self.recipe.size)
        patches.structure = self.structure(patches, (*np.atleast_1d(seed), 1))
        return patches

    def library(self, n, seed):
        """Generated structure for simulations, all over the sky of the training.

        Parameters
        ----------
        n, seed
            See `draw`.

        Returns
        -------
        library : `~gammapy_asid.simulation.structure.StructureLibrary`
            Library.
        """
        patches = self.draw(n, seed)
        latitude = torch.rad2deg(patches.centres[:, 1]).abs()
        return StructureLibrary(patches.structure.half(), latitude, PIXEL_SIZE)
