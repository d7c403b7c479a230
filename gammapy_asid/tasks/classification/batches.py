# Licensed under a 3-clause BSD style license - see LICENSE
"""Batches of simulated candidates: classes balanced, bins of time put together at random."""

import numpy as np
import torch
from torch.utils.data import Dataset

from ...simulation.mock_catalog import SOURCE_CLASSES
from .loss import FSRQ_ODDS, ClassTarget, training_prior

__all__ = ["BALANCE", "CandidateBatches", "target_of"]

#: Shares in a batch of fakes and of the `SOURCE_CLASSES`, in place of those of the sky, where nebulae and
#: remnants are a fortieth.
BALANCE = {"fake": 0.32, "bll": 0.16, "fsrq": 0.16, "psr": 0.18, "pwn": 0.1, "snr": 0.08}
#: Of batches with time, the share with all bins; the others have fewer.
ALL_BINS = 0.5


def target_of(candidates, weights):
    """What the output of the network is compared with.

    Parameters
    ----------
    candidates : `~gammapy_asid.tasks.classification.simulator.SimulatedCandidates`
        Candidates.
    weights : `~torch.Tensor`
        Relative probability of fakes and of each of the `SOURCE_CLASSES` to be chosen.

    Returns
    -------
    target : `~gammapy_asid.tasks.classification.loss.ClassTarget`
        Truth, and the prior of what is chosen.
    """
    _, bll, fsrq, psr, pwn, snr = weights
    odds = FSRQ_ODDS * fsrq / bll
    agn = (bll + FSRQ_ODDS * fsrq) / (1 + FSRQ_ODDS)
    # Nebulae and remnants have much the same weight
    boost = torch.stack([agn, psr, (pwn + snr) / 2])
    prior = torch.as_tensor(training_prior(candidates.latitude.numpy()), dtype=torch.float32) * boost
    return ClassTarget(
        source_class=candidates.source_class,
        weight=weights[candidates.source_class + 1],
        log_prior=torch.log(prior / prior.sum(1, keepdim=True)),
        log_odds=torch.log(odds).expand(len(candidates)),
    )


class CandidateBatches(Dataset):
    """Batches of an epoch, equal for equal seeds.

    Parameters
    ----------
    task : `~gammapy_asid.tasks.classification.task.ClassificationTask`
        Makes batches of candidates.
    groups : list of `~gammapy_asid.tasks.classification.simulator.SimulatedCandidates`
        Candidates by the number of their bins of time.
    recipe : `~gammapy_asid.tasks.classification.recipe.ClassRecipe`
        Recipe.
    start : int
        Number of the first batch.
    """

    def __init__(self, task, groups, recipe, start):
        self.task, self.groups, self.recipe, self.start = task, groups, recipe, start
        number = torch.cat([group.source_class for group in groups]) + 1
        found = torch.bincount(number, minlength=1 + len(SOURCE_CLASSES)) / len(number)
        self.weights = torch.tensor(list(BALANCE.values())) / found.clamp(min=1e-4)
        self.sizes = np.array([len(group) for group in groups])
        self.chances = [_normalised(self.weights[group.source_class + 1]) for group in groups]

    def __len__(self):
        return self.recipe.optimiser.batches_per_epoch

    def __getitem__(self, index):
        """Inputs and target of batch ``start + index``."""
        if not 0 <= index < len(self):
            raise IndexError(f"No batch {index} in an epoch of {len(self)}")
        rng = np.random.default_rng((self.recipe.seed, 3, self.start + index))
        group = rng.choice(len(self.groups), p=self.sizes / self.sizes.sum())
        # By inversion of the cumulative chance: of a probability each, NumPy would make a table anew
        rows = np.searchsorted(self.chances[group], rng.random(self.recipe.optimiser.batch_size))
        candidates = self.groups[group].select(torch.as_tensor(rows))
        stamps = candidates.stamps.merged(self._bins(rng, candidates.stamps.counts.shape[1]))
        candidates.stamps = stamps.turned(int(rng.integers(8)))
        inputs, _ = self.task.batch(candidates)
        return inputs, target_of(candidates, self.weights)

    def _bins(self, rng, n_bins):
        """New bin of each bin of time: all together, each its own, or a random number of stretches."""
        if rng.random() < self.recipe.no_time:
            return torch.zeros(n_bins, dtype=torch.long)
        if rng.random() < ALL_BINS:
            return torch.arange(n_bins)
        n_cuts = rng.integers(1, n_bins - 1)
        cuts = np.zeros(n_bins, int)
        cuts[rng.choice(np.arange(1, n_bins), n_cuts, replace=False)] = 1
        return torch.as_tensor(np.cumsum(cuts))


def _normalised(weight):
    """Cumulative probability of rows, the last 1."""
    total = np.cumsum(weight.double().numpy())
    return total / total[-1]
