# Licensed under a 3-clause BSD style license - see LICENSE
"""A trained generator of counts."""

import torch

from ...learning.denoiser import generate
from ...learning.diffusion import SCHEDULES
from ...learning.trained import TrainedModel
from ...learning.unet import MultiResolutionUNet, UNetConfig
from ...simulation.counts_library import CountsLibrary
from ...simulation.variations import generators
from ...utils.devices import inference
from .card import CountsCard
from .recipe import CountsRecipe
from .simulator import Scaling

__all__ = ["CountsModel"]


class CountsModel(TrainedModel):
    """Network with its card, ready to draw.

    Parameters
    ----------
    card : `~gammapy_asid.tasks.counts.card.CountsCard`
        Card.
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.
    """

    Card, Network, Config = CountsCard, MultiResolutionUNet, UNetConfig

    def __init__(self, card, network, device=None):
        super().__init__(card, network, device)
        self.recipe = CountsRecipe(**card.recipe)

    @inference()
    def draw(self, n, seed):
        """Patches of generated counts.

        Parameters
        ----------
        n : int
            Number of patches.
        seed : int or tuple of int
            Seed; equal seeds give equal patches on the same kind of device.

        Returns
        -------
        library : `~gammapy_asid.simulation.counts_library.CountsLibrary`
            Patches, on the CPU.
        """
        rng, generator = generators(seed, self.device)
        scaling = Scaling(self.card.brightness, self.card.marks).to(self.device)
        chosen = torch.as_tensor(rng.integers(len(scaling.brightness), size=n), device=self.device)
        brightness = scaling.brightness[chosen]
        known = scaling.known(brightness, self.recipe.patch_size)
        images = generate(self.network, SCHEDULES[self.recipe.schedule](), known, generator)
        counts, sources = scaling.read(images, brightness)
        library = CountsLibrary(
            counts.int(), *sources, self.bands.edges, self.card.pixel_size, self.card.exposure
        )
        return library.to("cpu")
