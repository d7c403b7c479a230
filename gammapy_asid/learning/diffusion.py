# Licensed under a 3-clause BSD style license - see LICENSE
"""Diffusion models: noise levels, what a network sees and learns at each, and how images are drawn.

An image is drawn from noise by taking the noise away in steps. The network is given an image with noise of
a known level and says what the clean image is on average, the denoised one. Everything is in units in
which clean images have a standard deviation of one.
"""

from abc import ABC, abstractmethod

import torch

__all__ = ["DDPM", "EDM", "FEATURES", "SCHEDULES", "Schedule"]

#: Length of the description of a noise level that the network gets.
FEATURES = 16
#: Angular frequencies of the description, per unit of the logarithm of the level: the fastest tells levels
#: apart that differ by a few per cent, the slowest has less than half a turn from the lowest to the highest.
FREQUENCIES = (0.2, 4.0)


class Schedule(ABC):
    """Noise levels of a diffusion model, and its way from noise to an image."""

    @abstractmethod
    def level(self, share):
        """Noise levels of a training.

        Parameters
        ----------
        share : `~torch.Tensor`
            Uniform numbers between 0 and 1, both excluded.

        Returns
        -------
        level : `~torch.Tensor`
            Standard deviation of the noise, same shape.
        """

    @abstractmethod
    def weights(self, level):
        """Weights of the noisy image and of the network's output in the denoised image.

        Parameters
        ----------
        level : `~torch.Tensor`
            Noise levels.

        Returns
        -------
        skip, out : `~torch.Tensor`
            Weights, same shape.
        """

    @abstractmethod
    def sample(self, denoise, noise, generator):
        """Images from noise.

        Parameters
        ----------
        denoise : callable
            Denoised images of noisy ones, shape ``(n, ...)``, and their noise level, a tensor without axes.
        noise : `~torch.Tensor`
            Gaussian noise of unit variance, shape ``(n, ...)``.
        generator : `~torch.Generator`
            Source of further noise.

        Returns
        -------
        images : `~torch.Tensor`
            Shape of the noise.
        """

    def inputs(self, noisy, level):
        """What the network sees.

        Parameters
        ----------
        noisy, level : `~torch.Tensor`
            Images with noise, shape ``(n, n_images, ny, nx)``, and its levels, shape ``(n,)``.

        Returns
        -------
        scaled : `~torch.Tensor`
            Images of unit variance, same shape.
        features : `~torch.Tensor`
            Description of the levels, shape ``(n, FEATURES)``.
        """
        scaled = noisy / torch.sqrt(1 + level**2)[:, None, None, None]
        frequencies = torch.logspace(*torch.tensor(FREQUENCIES).log10().tolist(), FEATURES // 2)
        phase = torch.log(level)[:, None] * frequencies.to(level.device)
        return scaled, torch.cat([phase.cos(), phase.sin()], 1)

    def target(self, clean, noisy, level):
        """Output of a network that knew the clean images.

        Parameters
        ----------
        clean, noisy, level : `~torch.Tensor`
            Images without and with noise, shape ``(n, n_images, ny, nx)``, and its levels, shape ``(n,)``.

        Returns
        -------
        target : `~torch.Tensor`
            Of unit variance at every level, same shape.
        """
        skip, out = (weight[:, None, None, None] for weight in self.weights(level))
        return (clean - skip * noisy) / out

    def denoised(self, output, noisy, level):
        """Denoised images of an output of the network; undoes `target`.

        Parameters
        ----------
        output, noisy, level : `~torch.Tensor`
            See `target`.
        """
        skip, out = (weight[:, None, None, None] for weight in self.weights(level))
        return skip * noisy + out * output


class EDM(Schedule):
    """Preconditioning and deterministic sampler of Karras et al. 2022 (arXiv:2206.00364).

    Parameters
    ----------
    steps : int
        Steps of the sampler; each but the last asks the network twice. Where structure is Gaussian 40 make
        its variance 2 % too high, the paper's 18 make it 9 %.
    """

    #: Mean and standard deviation of the logarithm of the levels of a training. The mean is the paper's for
    #: images with a standard deviation of 0.5, here one; the spread is wider than its 1.2, as waves of the
    #: sky's structure differ more in strength, a hundredfold from the scale of pixels to that of patches.
    MEAN, SPREAD = -1.2 + 0.6931, 1.4
    #: Lowest and highest level of the sampler and the power that places the levels between, of the paper:
    #: the lowest, scaled like the mean, is seen by nobody, the highest hides every image.
    LOWEST, HIGHEST, POWER = 0.004, 80.0, 7.0

    def __init__(self, steps=40):
        self.steps = steps

    def level(self, share):
        return torch.exp(self.MEAN + self.SPREAD * torch.special.ndtri(share))

    def weights(self, level):
        return 1 / (1 + level**2), level / torch.sqrt(1 + level**2)

    def sample(self, denoise, noise, generator):
        ends = self.HIGHEST ** (1 / self.POWER), self.LOWEST ** (1 / self.POWER)
        levels = torch.linspace(*ends, self.steps, device=noise.device) ** self.POWER
        image = levels[0] * noise
        for level, following in zip(levels[:-1], levels[1:], strict=True):
            slope = (image - denoise(image, level)) / level
            ahead = image + (following - level) * slope
            # Heun: the mean of the slopes on both sides of the step
            slope = (slope + (ahead - denoise(ahead, following)) / following) / 2
            image = image + (following - level) * slope
        return denoise(image, levels[-1])


class DDPM(Schedule):
    """Schedule, target and sampler of Ho et al. 2020 (arXiv:2006.11239): the network tells the noise.

    Parameters
    ----------
    steps : int
        Noise levels, each of which the sampler visits once; with the paper's 1000 the first variance of a
        step is 1e-4 and the last 0.02, and with fewer steps each is larger in proportion.
    """

    def __init__(self, steps=1000):
        self.steps = steps
        variances = torch.linspace(1e-4, 0.02, steps, dtype=torch.float64) * 1000 / steps
        kept = torch.cumprod(1 - variances, 0)
        #: Noise over signal at each step, rising.
        self.levels = torch.sqrt((1 - kept) / kept).float()

    def level(self, share):
        return self.levels.to(share.device)[(share * self.steps).long()]

    def weights(self, level):
        return torch.ones_like(level), -level

    def sample(self, denoise, noise, generator):
        levels = self.levels.to(noise.device).flip(0)
        image = torch.sqrt(1 + levels[0] ** 2) * noise
        for level, following in zip(levels[:-1], levels[1:], strict=True):
            share = (following / level) ** 2
            clean = denoise(image, level)
            fresh = torch.randn(noise.shape, generator=generator, device=noise.device)
            # What the noisy image and the clean one leave open
            image = clean + share * (image - clean) + following * torch.sqrt(1 - share) * fresh
        return denoise(image, levels[-1])


#: Schedules by the name that a recipe gives.
SCHEDULES = {"edm": EDM, "ddpm": DDPM}
