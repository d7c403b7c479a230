# Licensed under a 3-clause BSD style license - see LICENSE
"""Patches of real structure with noise, from which the generator learns."""

from dataclasses import dataclass

import numpy as np
import torch

from ...inputs.bands import Bands
from ...learning.denoiser import draw_noise
from ...learning.diffusion import SCHEDULES, Schedule
from ...simulation.diffuse import INTERVALS
from ...simulation.missing_gas import REFERENCE_INTERVAL
from ...simulation.variations import generators, patch_grid
from ...utils.devices import Movable
from .sky import PIXEL_SIZE, EmissionSky, StructurePatches, held_out, read_intensity

__all__ = ["EmissionPatches", "NoisyPatches", "build_simulator", "draw_places"]

#: Sine of the largest latitude of patches on the plane, as those of the detector's training.
SIN_PLANE = np.sin(np.pi / 18)


@dataclass
class NoisyPatches:
    """Patches and the noise that is added to them.

    Parameters
    ----------
    patches : `~gammapy_asid.tasks.generative.sky.StructurePatches`
        Patches.
    noise : `~torch.Tensor`
        Of unit variance, shape ``(n, ny, nx)``.
    level : `~torch.Tensor`
        Standard deviation of the noise to add, in units of the expected strength, shape ``(n,)``.
    schedule : `~gammapy_asid.learning.diffusion.Schedule`
        What the level is of.
    """

    patches: StructurePatches
    noise: torch.Tensor
    level: torch.Tensor
    schedule: Schedule


def draw_places(rng, n, size, plane_share, held=None):
    """Places of patches on the sky.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of randomness.
    n, size : int
        Number of patches and their side in pixels.
    plane_share : float
        Share near the Galactic plane beyond the isotropic one.
    held : bool, optional
        Whether they lie wholly in the sectors that are kept out of training, or wholly outside; by default
        anywhere.

    Returns
    -------
    centres, roll : `~torch.Tensor`
        Galactic longitude and latitude in rad, shape ``(n, 2)``, and angle of each patch, shape ``(n,)``.
    """
    parts, found = [], 0
    while found < n:
        sin_lat = np.where(
            rng.random(n) < plane_share, rng.uniform(-SIN_PLANE, SIN_PLANE, n), rng.uniform(-1, 1, n)
        )
        places = np.stack([rng.uniform(0, 2 * np.pi, n), np.arcsin(sin_lat), rng.uniform(0, 2 * np.pi, n)], 1)
        places = torch.tensor(places, dtype=torch.float32)
        if held is not None:
            width = torch.full((n,), size * PIXEL_SIZE)
            inside = held_out(patch_grid(places[:, :2], places[:, 2], width, size))
            places = places[(inside if held else ~inside).all((1, 2))]
        parts.append(places)
        found += len(places)
    places = torch.cat(parts)[:n]
    return places[:, :2], places[:, 2]


class EmissionPatches(Movable):
    """Draws patches of real structure, with noise.

    Parameters
    ----------
    sky : `~gammapy_asid.tasks.generative.sky.EmissionSky`
        Sky.
    schedule : `~gammapy_asid.learning.diffusion.Schedule`
        Noise.
    size : int
        Side of the patches in pixels.
    plane_share : float
        See `draw_places`.
    """

    #: Energies in GeV of the emission.
    bands = Bands(INTERVALS[REFERENCE_INTERVAL : REFERENCE_INTERVAL + 2], (0,), PIXEL_SIZE)

    def __init__(self, sky, schedule, size, plane_share):
        self.sky, self.schedule, self.size, self.plane_share = sky, schedule, size, plane_share

    def draw(self, n, seed, held=False):
        """Patches with noise; every second one is mirrored, since the sky prefers no hand.

        Parameters
        ----------
        n : int
            Number of patches.
        seed : int or tuple of int
            Seed.
        held : bool
            Whether they are of the sectors that are kept out of training.

        Returns
        -------
        drawn : `NoisyPatches`
            Patches.
        """
        rng, generator = generators(seed)
        patches = self.real(rng, n, held)
        for images in (patches.structure, patches.amplitude, patches.channels):
            images[::2] = images[::2].flip(-1)
        noise, level = draw_noise(self.schedule, patches.structure, generator)
        return NoisyPatches(patches, noise, level, self.schedule)

    def real(self, rng, n, held):
        """Patches of real structure.

        Parameters
        ----------
        rng, n, held
            See `draw_places`.

        Returns
        -------
        patches : `~gammapy_asid.tasks.generative.sky.StructurePatches`
            Patches.
        """
        centres, roll = draw_places(rng, n, self.size, self.plane_share, held)
        device = self.sky.device
        return self.sky.patches(centres.to(device), roll.to(device), self.size)


def build_simulator(recipe):
    """Simulator of a recipe.

    Parameters
    ----------
    recipe : `~gammapy_asid.tasks.generative.recipe.GenerativeRecipe`
        Recipe.

    Returns
    -------
    simulator : `EmissionPatches`
        Simulator.

    Raises
    ------
    ValueError, FileNotFoundError
        If a file is missing or not what it should be.
    """
    sky = EmissionSky(read_intensity(recipe), recipe.tracers)
    return EmissionPatches(sky, SCHEDULES[recipe.schedule](), recipe.size, recipe.plane_share)
