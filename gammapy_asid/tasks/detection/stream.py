# Licensed under a 3-clause BSD style license - see LICENSE
"""Training batches, simulated as they are needed."""

import numpy as np
import torch
from torch.utils.data import Dataset

from ...simulation.patch_images import turned
from ...stats.significance import network_inputs
from .targets import target_maps

__all__ = ["PatchStream"]


class PatchStream(Dataset):
    """Batches of network inputs and targets, equal for equal seeds.

    Parameters
    ----------
    simulator : `~gammapy_asid.simulation.patch_simulator.PatchSimulator`
        Makes the patches.
    batch_size : int
        Patches in a batch.
    n_batches : int
        Where the stream ends.
    seed : int
        Seed; batch ``i`` depends on the seed and on ``i`` alone.
    start : int
        First batch, to resume.
    reuse : int
        How often simulated patches are used, each time turned or mirrored otherwise.
    """

    def __init__(self, simulator, batch_size, n_batches, seed=0, start=0, reuse=1):
        self.simulator = simulator
        self.batch_size = batch_size
        self.n_batches = n_batches
        self.seed = seed
        self.start = start
        self.reuse = reuse
        self._last = None, None

    def __len__(self):
        return self.n_batches - self.start

    @torch.no_grad()
    def __getitem__(self, index):
        """Batch ``start + index``: dict of ``inputs``, ``conditions``, ``targets`` and ``mask``."""
        if not 0 <= index < len(self):
            raise IndexError(f"No batch {index} in a stream of {len(self)}")
        # The number of threads changes the order of sums: one, so that workers do not matter.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            number, use = divmod(self.start + index, self.reuse)
            if self._last[0] != number:
                self._last = number, self._batch(number)
            turns = np.random.default_rng((self.seed, number)).permutation(np.arange(1, 8))
            return _turned_batch(self._last[1], turns[use - 1]) if use else self._last[1]
        finally:
            torch.set_num_threads(threads)

    def _batch(self, number):
        """Simulate a batch."""
        patches = self.simulator.draw(self.batch_size, (self.seed, number))
        field = patches.batch
        shape = (self.simulator.size, self.simulator.size)
        targets = target_maps(
            patches.patch,
            patches.x,
            patches.y,
            field.pixel_size,
            len(field),
            shape,
            bands=patches.bands,
            width=patches.width,
        )
        inputs = network_inputs(field)
        return {
            "inputs": inputs,
            "conditions": field.conditions,
            "targets": targets,
            "mask": field.field_mask,
        }


def _turned_batch(batch, turn):
    """Batch with images and offsets in one of the eight orientations."""
    targets = turned(batch["targets"], turn)
    dx, dy = targets[:, 2], targets[:, 3]
    for _ in range(turn % 4):
        dx, dy = dy, -dx
    dx, dy = (dy, dx) if turn > 3 else (dx, dy)
    targets = torch.cat([targets[:, :2], dx[:, None], dy[:, None], targets[:, 4:]], 1)
    inputs = {level: turned(images, turn) for level, images in batch["inputs"].items()}
    return batch | {"inputs": inputs, "targets": targets, "mask": turned(batch["mask"], turn)}
