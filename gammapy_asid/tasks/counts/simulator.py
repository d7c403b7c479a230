# Licensed under a 3-clause BSD style license - see LICENSE
"""Patches of simulated counts with noise, from which the generator learns."""

from dataclasses import dataclass, replace

import torch

from ...learning.denoiser import draw_noise
from ...learning.diffusion import SCHEDULES, Schedule
from ...learning.seeds import SKY
from ...simulation.counts_images import counts_of, mark_sources, read_marks, stabilised
from ...simulation.generated_counts import WholePatchSimulator
from ...simulation.variations import generators
from ...utils.devices import Movable
from ..detection.simulator import build_simulator as build_sky
from ..detection.simulator import recipe_responses

__all__ = ["CountsPatches", "NoisyImages", "Scaling", "build_simulator"]

#: Patches simulated at once, to measure the scaling.
BATCH = 64

#: Least spread that something is divided by: a band without counts has none.
LEAST_SPREAD = 1e-3


@dataclass
class NoisyImages(Movable):
    """Images of patches and the noise that is added to them.

    Parameters
    ----------
    images, noise : `~torch.Tensor`
        Scaled images and noise of unit variance, shape ``(n, n_bands + 1, size, size)``.
    brightness : `~torch.Tensor`
        See `Scaling`, shape ``(n, 2 n_bands)``.
    known : `~torch.Tensor`
        The brightness as the network sees it, shape ``(n, 2 n_bands, size, size)``.
    level : `~torch.Tensor`
        Standard deviation of the noise to add, shape ``(n,)``.
    schedule : `~gammapy_asid.learning.diffusion.Schedule`
        What the level is of.
    """

    images: torch.Tensor
    brightness: torch.Tensor
    known: torch.Tensor
    noise: torch.Tensor
    level: torch.Tensor
    schedule: Schedule


class Scaling(Movable):
    """Images of zero mean and unit variance, of counts and sources, and back.

    Patches differ a hundredfold in brightness, in all pixels and bands at once, which noise of a diffusion
    hardly hides. So the brightness of a patch, mean and standard deviation of its stabilised counts in each
    band, is taken out and told to the network; a generated patch has that of a simulated one.

    Parameters
    ----------
    brightness : array-like
        Means of all bands, then standard deviations, of many patches, shape ``(n, 2 n_bands)``.
    marks : tuple of float
        Mean and standard deviation of the image of sources.
    """

    def __init__(self, brightness, marks):
        self.brightness = torch.as_tensor(brightness, dtype=torch.float32)
        self.marks = tuple(marks)

    @classmethod
    def measured(cls, images):
        """Scaling of images as `images_of` makes them.

        Parameters
        ----------
        images : `~torch.Tensor`
            Shape ``(n, n_bands + 1, size, size)``.
        """
        marks = images[:, -1]
        return cls(cls.brightness_of(images), (float(marks.mean()), float(marks.std())))

    @staticmethod
    def brightness_of(images):
        """Brightness of images.

        Parameters
        ----------
        images : `~torch.Tensor`
            Stabilised counts of all bands and the image of sources, shape ``(n, n_bands + 1, size, size)``.

        Returns
        -------
        brightness : `~torch.Tensor`
            Shape ``(n, 2 n_bands)``.
        """
        counts = images[:, :-1]
        return torch.cat([counts.mean((2, 3)), counts.std((2, 3))], 1)

    def known(self, brightness, size):
        """Channels that tell the network the brightness.

        Parameters
        ----------
        brightness : `~torch.Tensor`
            Shape ``(n, 2 n_bands)``.
        size : int
            Side in pixels.

        Returns
        -------
        channels : `~torch.Tensor`
            Shape ``(n, 2 n_bands, size, size)``.
        """
        spread = self.brightness.std(0, correction=0).clamp(min=LEAST_SPREAD)
        even = (brightness - self.brightness.mean(0)) / spread
        return even[:, :, None, None].expand(-1, -1, size, size)

    def scaled(self, images, brightness):
        """Images of zero mean and unit variance.

        Parameters
        ----------
        images : `~torch.Tensor`
            Shape ``(n, n_bands + 1, size, size)``.
        brightness : `~torch.Tensor`
            Theirs.
        """
        mean, spread = self._of_images(brightness)
        return (images - mean) / spread

    def read(self, scaled, brightness):
        """Counts and sources of scaled images.

        Parameters
        ----------
        scaled : `~torch.Tensor`
            Shape ``(n, n_bands + 1, size, size)``.
        brightness : `~torch.Tensor`
            Theirs.

        Returns
        -------
        counts : `~torch.Tensor`
            Shape ``(n, n_bands, size, size)``.
        sources : tuple of `~torch.Tensor`
            See `~gammapy_asid.simulation.counts_images.read_marks`.
        """
        mean, spread = self._of_images(brightness)
        images = scaled * spread + mean
        return counts_of(images[:, :-1]), read_marks(images[:, -1])

    def _of_images(self, brightness):
        """Mean and standard deviation of each image of patches, shape ``(n, n_bands + 1, 1, 1)``."""
        parts = zip(brightness.chunk(2, 1), self.marks, strict=True)
        mean, spread = (torch.cat([own, torch.full_like(own[:, :1], mark)], 1) for own, mark in parts)
        return mean[:, :, None, None], spread.clamp(min=LEAST_SPREAD)[:, :, None, None]


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
        Patches whose brightness generated ones have.
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
        images = images_of(self.sky.draw(n, seed))
        _, generator = generators(seed, images.device)
        brightness = self.scaling.brightness_of(images)
        known = self.scaling.known(brightness, images.shape[-1])
        images = self.scaling.scaled(images, brightness)
        noise = draw_noise(self.schedule, images, generator)
        return NoisyImages(images, brightness, known, *noise, self.schedule)


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
    return CountsPatches(whole, SCHEDULES[recipe.schedule](), recipe.scaling_patches)
