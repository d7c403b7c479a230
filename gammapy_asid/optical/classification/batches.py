# Licensed under a 3-clause BSD style license - see LICENSE
"""Batches that a training sees again and again, each time turned or mirrored otherwise."""

import numpy as np
import torch
from torch.utils.data import Dataset, Subset

__all__ = ["KeptBatches"]


class KeptBatches(Dataset):
    """Batches of a training; images are drawn once, since that takes longer than to learn from them.

    Batch ``i`` depends on the seed and on ``i`` alone, so that a training goes on as if it had not stopped.

    Parameters
    ----------
    task : `~gammapy_asid.learning.task.Task`
        Makes batches of what is drawn.
    simulator : `~gammapy_asid.learning.simulator.Simulator`
        Draws.
    recipe : `~gammapy_asid.optical.classification.recipe.OpticalClassRecipe`
        Recipe.
    """

    def __init__(self, task, simulator, recipe):
        self.task, self.simulator, self.recipe = task, simulator, recipe
        self._kept = {}

    def __len__(self):
        return self.recipe.optimiser.batches_per_epoch * self.recipe.optimiser.epochs

    def part(self, start, stop):
        """Batches from a number to another.

        Parameters
        ----------
        start, stop : int
            Numbers of the first batch, and of the one after the last.
        """
        return Subset(self, range(start, stop))

    @torch.no_grad()
    def __getitem__(self, number):
        """Inputs and target."""
        seed, n = self.recipe.seed, self.recipe.kept_batches
        turn_of_all, place = divmod(number, n)
        key = int(np.random.default_rng((seed, turn_of_all)).permutation(n)[place])
        if key not in self._kept:
            inputs, target = self.task.batch(
                self.simulator.draw(self.recipe.optimiser.batch_size, (seed, key))
            )
            self._kept[key] = tuple(v.half() for v in inputs), target
        inputs, target = self._kept[key]
        turn = int(np.random.default_rng((seed, number)).integers(8))
        return self.task.turned((tuple(v.float() for v in inputs), target), turn)
