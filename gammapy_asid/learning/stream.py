# Licensed under a 3-clause BSD style license - see LICENSE
"""Training batches, simulated as they are needed."""

import numpy as np
import torch
from torch.utils.data import Dataset

__all__ = ["SimulatedBatches"]


class SimulatedBatches(Dataset):
    """Batches of a task, equal for equal seeds.

    Parameters
    ----------
    task : `~gammapy_asid.learning.task.Task`
        Makes batches of what is drawn.
    simulator : `~gammapy_asid.learning.simulator.Simulator`
        Draws.
    batch_size : int
        Examples in a batch.
    n_batches : int
        Where the stream ends.
    seed : int
        Seed; batch ``i`` depends on the seed and on ``i`` alone.
    start : int
        First batch, to resume.
    reuse : int
        How often what was drawn is used, each time turned or mirrored otherwise by ``task.turned``.
    """

    def __init__(self, task, simulator, batch_size, n_batches, seed=0, start=0, reuse=1):
        self.task, self.simulator = task, simulator
        self.batch_size, self.n_batches = batch_size, n_batches
        self.seed, self.start, self.reuse = seed, start, reuse
        self._last = None, None

    def __len__(self):
        return self.n_batches - self.start

    @torch.no_grad()
    def __getitem__(self, index):
        """Inputs and target of batch ``start + index``."""
        if not 0 <= index < len(self):
            raise IndexError(f"No batch {index} in a stream of {len(self)}")
        # The number of threads changes the order of sums: one, so that workers do not matter.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            number, use = divmod(self.start + index, self.reuse)
            if self._last[0] != number:
                drawn = self.simulator.draw(self.batch_size, (self.seed, number))
                self._last = number, self.task.batch(drawn)
            turns = np.random.default_rng((self.seed, number)).permutation(np.arange(1, 8))
            return self.task.turned(self._last[1], turns[use - 1]) if use else self._last[1]
        finally:
            torch.set_num_threads(threads)
