# Licensed under a 3-clause BSD style license - see LICENSE
"""Patches of simulated counts with noise, from which the generator learns."""

from dataclasses import dataclass, replace

import torch

from ...learning.denoiser import draw_noise
from ...learning.diffusion import DDPM, EDM, Schedule
from ...learning.seeds import SKY
from ...simulation.counts_images import counts_of, mark_sources, read_marks, stabilised
from ...simulation.generated_counts import WholePatchSimulator
from ...simulation.variations import generators
from ...utils.devices import Movable
from ..detection.simulator import build_simulator as build_sky
from ..detection.simulator import recipe_responses

__all__ = ["SCHEDULES", "CountsPatches", "NoisyImages", "Scaling", "build_simulator"]

#: Patches simulated at once, to measure the scaling.
BATCH = 64


class BrightnessEDM(EDM):
    """Schedule of images that differ in brightness as a whole.

    Patches in the plane are brighter in all pixels and bands at once: 6000 values that change together are
    seen through noise that is 80 times as strong as each, and are hidden by no less.
    """

    MEAN, SPREAD = 1.0, 1.8
    HIGHEST = 400.0


#: Schedules by the name that a recipe gives.
SCHEDULES = {"edm": BrightnessEDM(), "ddpm": DDPM()}


@dataclass
class NoisyImages(Movable):
    """Images of patches and the noise that is added to them.

    Parameters
    ----------
    images, noise : `~torch.Tensor`
        Scaled images and noise of unit variance, shape ``(n, n_bands + 1, size, size)``.
    level : `~torch.Tensor`
        Standard deviation of the noise to add, shape ``(n,)``.
    schedule : `~gammapy_asid.learning.diffusion.Schedule`
        What the level is of.
    """

    images: torch.Tensor
    noise: torch.Tensor
    level: torch.Tensor
    schedule: Schedule


class Scaling(Movable):
    """Images of zero mean and unit variance, of counts and sources, and back.

    Parameters
    ----------
    values : sequence of tuple of float
        Mean and standard deviation of the stabilised counts of each band and, last, of the image of sources.
    """

    def __init__(self, values):
        self.mean, self.spread = torch.tensor(values, dtype=torch.float32).T[:, :, None, None]

    @classmethod
    def measured(cls, images):
        """Scaling of images as `images_of` makes them.

        Parameters
        ----------
        images : `~torch.Tensor`
            Shape ``(n, n_bands + 1, size, size)``.
        """
        # A band that the instrument lacks has no spread
        spread = images.std((0, 2, 3)).clamp(min=1e-3)
        return cls(torch.stack([images.mean((0, 2, 3)), spread], 1).tolist())

    @property
    def values(self):
        """What makes the same scaling."""
        return tuple(zip(self.mean.flatten().tolist(), self.spread.flatten().tolist(), strict=True))

    def scaled(self, images):
        """Images of zero mean and unit variance.

        Parameters
        ----------
        images : `~torch.Tensor`
            Shape ``(n, n_bands + 1, size, size)``.
        """
        return (images - self.mean) / self.spread

    def read(self, scaled):
        """Counts and sources of scaled images.

        Parameters
        ----------
        scaled : `~torch.Tensor`
            Shape ``(n, n_bands + 1, size, size)``.

        Returns
        -------
        counts : `~torch.Tensor`
            Shape ``(n, n_bands, size, size)``.
        sources : tuple of `~torch.Tensor`
            See `~gammapy_asid.simulation.counts_images.read_marks`.
        """
        images = scaled * self.spread + self.mean
        return counts_of(images[:, :-1]), read_marks(images[:, -1])


def images_of(patches):
    """Stabilised counts of all bands and the image of the sources.

    Parameters
    ----------
    patches : `~gammapy_asid.simulation.patches.SimulatedPatches`
        Patches, all bands on the finest pixels.

    Returns
    -------
    images : `~torch.Tensor`
        Shape ``(n, n_bands + 1, size, size)``.
    """
    counts = torch.stack(patches.batch.counts, 1)
    n, size = len(counts), counts.shape[-1]
    marks = mark_sources(patches.patch, patches.x, patches.y, patches.significance, n, size)
    return torch.cat([stabilised(counts), marks[:, None]], 1)


class CountsPatches(Movable):
    """Draws images of simulated counts and sources, with noise.

    Parameters
    ----------
    sky : `~gammapy_asid.simulation.generated_counts.WholePatchSimulator`
        Simulator of one instrument, all bands on the finest pixels.
    schedule : `~gammapy_asid.learning.diffusion.Schedule`
        Noise.
    n_scaling : int
        Patches that tell the scaling.
    """

    def __init__(self, sky, schedule, n_scaling):
        self.sky, self.schedule = sky, schedule
        draws = (sky.draw(BATCH, (SKY, i)) for i in range(-(-n_scaling // BATCH)))
        self.scaling = Scaling.measured(torch.cat([images_of(patches) for patches in draws]))

    @property
    def bands(self):
        """Bands of the counts (`~gammapy_asid.inputs.Bands`)."""
        return self.sky.bands

    @property
    def response(self):
        """The instrument (`~gammapy_asid.inputs.Response`)."""
        return self.sky.bank.responses[0]

    def draw(self, n, seed):
        """Images with noise.

        Parameters
        ----------
        n : int
            Number of patches.
        seed : int or tuple of int
            Seed.

        Returns
        -------
        drawn : `NoisyImages`
            Images.
        """
        images = self.scaling.scaled(images_of(self.sky.draw(n, seed)))
        _, generator = generators(seed, images.device)
        return NoisyImages(images, *draw_noise(self.schedule, images, generator), self.schedule)


def build_simulator(recipe):
    """Simulator of a recipe.

    Parameters
    ----------
    recipe : `~gammapy_asid.tasks.counts.recipe.CountsRecipe`
        Recipe.

    Returns
    -------
    simulator : `CountsPatches`
        Simulator.
    """
    (response,), weights = recipe_responses(recipe.detection)
    fine = replace(response.bands, levels=(0,) * len(response.bands))
    sky = build_sky(recipe.detection, [replace(response, bands=fine)], weights)
    whole = WholePatchSimulator(**sky.settings)
    return CountsPatches(whole, SCHEDULES[recipe.schedule], recipe.scaling_patches)
