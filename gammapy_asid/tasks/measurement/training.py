# Licensed under a 3-clause BSD style license - see LICENSE
"""Training of the ensembles for position and flux."""

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, ProgressBar
from torch.utils.data import DataLoader, Dataset

from ...learning.checkpoints import WorkCheckpoints, fit_or_stop, load_checkpoint
from ...learning.ensembles import Ensemble, EnsembleConfig
from ...learning.trainer import quiet
from ...learning.training_bar import training_bars
from ...utils.devices import trainer_device
from ...utils.work_folder import WorkFolder
from .features import SYMMETRIES, turn_vectors
from .simulator import FAINTEST_GIVEN

__all__ = ["FluxTargets", "PositionTargets", "train_ensemble"]

# Deviations beyond this many units are confused sources: they pull no harder than this.
OUTLIER = 6.0

# Rows from which the zero point and the scale of the inputs are taken.
N_STANDARDISE = 20000

# Significance up to which the weighted sources are as many in each interval of the flux, beyond in
# each of its logarithm: there the noise is so small that it does not matter.
TURN = 15.0

# Largest weight of a rare, bright source over the mean.
LARGEST_WEIGHT = 20.0


class PositionTargets:
    """Offset of the true position from the fitted one, in units of the fit's error.

    Parameters
    ----------
    sources : `~gammapy_asid.tasks.measurement.simulator.SimulatedSources`
        Sources; those that the detector found are learned from.
    """

    name, targets = "position", 2

    def __init__(self, sources):
        self.sources = sources.select(~sources.given)
        self.target = self.sources.offset / self.sources.features.scale[:, None]
        self.weight = torch.ones(len(self.sources))

    def __len__(self):
        return len(self.sources)

    def batch(self, rows, generator, symmetry=SYMMETRIES[0]):
        """Input, target and weight of sources, each with one row per source.

        Parameters
        ----------
        rows : `~torch.Tensor`
            Indices of the sources, shape ``(n,)``.
        generator : `~torch.Generator`
            Draws what is random.
        symmetry : tuple
            One of the `SYMMETRIES`.
        """
        inputs = self.sources.features.select(rows).flat(symmetry)
        return inputs, turn_vectors(self.target[rows], symmetry), self.weight[rows]


class FluxTargets:
    """Flux in a range of energies, on the scale of `~gammapy_asid.stats.flux_scale.FluxScale`.

    The weights of the sources are those of `flux_weights`: trained on the steep distribution of fluxes,
    estimates would be drawn to the faint end (Eddington 1913, MNRAS 73, 359).

    Parameters
    ----------
    sources : `~gammapy_asid.tasks.measurement.simulator.SimulatedSources`
        Sources.
    """

    name, targets = "flux", 1

    def __init__(self, sources):
        self.sources = sources
        self.weight = flux_weights(sources.significance, sources.given)

    def __len__(self):
        return len(self.sources)

    def batch(self, rows, generator, symmetry=SYMMETRIES[0]):
        """Input, target and weight of sources, each in one of its ranges of energies.

        Parameters
        ----------
        rows, generator, symmetry
            See `PositionTargets.batch`.
        """
        n_ranges = self.sources.range_coordinate.shape[1]
        which = torch.randint(n_ranges, rows.shape, generator=generator)
        inputs = self.sources.features.select(rows).flat(symmetry)
        inputs = torch.cat([inputs, self.sources.range_inputs[rows, which]], 1)
        return inputs, self.sources.range_coordinate[rows, which][:, None], self.weight[rows]


def flux_weights(significance, given, n_bins=24):
    """Weights with which all fluxes are equally likely, before the data are seen.

    A mean over such sources lies where the likelihood does: it is right for sources of any given true
    flux, as long as their noise does not carry them out of the range. Up to `TURN` standard deviations
    equal intervals of the flux count alike, beyond equal intervals of its logarithm. Empty places stand for
    the fluxes up to `~gammapy_asid.tasks.measurement.simulator.FAINTEST_GIVEN`, from which sources are given.

    Parameters
    ----------
    significance : `~torch.Tensor`
        Expected significance, 0 at empty places; shape ``(n,)``.
    given : `~torch.Tensor`
        Whether the position was given; both kinds are weighted on their own.
    n_bins : int
        Bins between the quantiles 0.02 and 0.98 in which the sources are counted.

    Returns
    -------
    weights : `~torch.Tensor`
        Mean one, at most `LARGEST_WEIGHT`.
    """
    empty = significance.numpy() == 0
    value = np.log(significance.numpy().clip(1e-3))
    # Per interval of the logarithm.
    wanted = np.exp(value) / np.hypot(1, np.exp(value) / TURN)
    weights = np.ones(len(value))
    for kind in (False, True):
        own = (given.numpy() == kind) & ~empty
        if own.sum() < n_bins:
            continue
        edges = np.linspace(*np.quantile(value[own], [0.02, 0.98]), n_bins + 1)
        index = np.clip(np.digitize(value[own], edges) - 1, 0, n_bins - 1)
        weights[own] = wanted[own] / np.bincount(index, minlength=n_bins)[index]
        nothing = (given.numpy() == kind) & empty
        if nothing.any():
            # The other weights are per interval of the logarithm of the width of a bin.
            weights[nothing] = FAINTEST_GIVEN / (edges[1] - edges[0]) / nothing.sum()
        both = own | nothing
        weights[both] /= weights[both].mean()
    weights = np.minimum(weights, LARGEST_WEIGHT)
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)


class _Steps(Dataset):
    """Batches of all members, each drawn by its own number."""

    def __init__(self, task, members, batch_size, n_steps, seed, start=0):
        self.task, self.members, self.batch_size = task, members, batch_size
        self.n_steps, self.seed, self.start = n_steps, seed, start

    def __len__(self):
        return self.n_steps - self.start

    def __getitem__(self, index):
        seed = np.random.SeedSequence((self.seed, self.start + index)).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(seed) % 2**62)
        # Every member sees other sources, so that they differ in more than their start.
        rows = torch.randint(len(self.task), (self.members * self.batch_size,), generator=generator)
        symmetry = SYMMETRIES[int(torch.randint(len(SYMMETRIES), (1,), generator=generator))]
        parts = self.task.batch(rows, generator, symmetry)
        return tuple(part.view(self.members, self.batch_size, *part.shape[1:]) for part in parts)


class EnsembleModule(lightning.LightningModule):
    """First the means by their squared error, then the spreads with the means kept.

    Parameters
    ----------
    ensemble : `~gammapy_asid.learning.ensembles.Ensemble`
        Ensemble.
    recipe : `~gammapy_asid.tasks.detection.recipe.SourceRecipe`
        Length and step size.
    """

    def __init__(self, ensemble, recipe):
        super().__init__()
        self.ensemble, self.recipe = ensemble, recipe
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        inputs, target, weight = batch
        inputs = self.ensemble.prepare(inputs)
        of_mean, of_spread = self.optimizers()
        if self.global_step < self.recipe.steps:
            error = (self.ensemble.mean(inputs) - target).norm(dim=-1)
            # Squared up to OUTLIER, linear beyond (Huber 1964, Ann. Math. Stat. 35, 73).
            loss = torch.where(error < OUTLIER, error**2, 2 * OUTLIER * error - OUTLIER**2)
            optimiser, schedule, name = of_mean, self.lr_schedulers()[0], "mean"
        else:
            with torch.no_grad():
                mean = self.ensemble.mean(inputs)
            factor = self.ensemble.factor(self.ensemble.spread(inputs))
            pull = (factor.transpose(-1, -2) @ (target - mean)[..., None])[..., 0]
            pull = (pull**2).sum(-1)
            # The tail of confused sources must not widen all errors: it counts logarithmically.
            pull = torch.where(
                pull < OUTLIER**2, pull, OUTLIER**2 * (1 + torch.log(pull.clamp(min=1) / OUTLIER**2))
            )
            loss = pull / 2 - torch.log(torch.diagonal(factor, dim1=-2, dim2=-1)).sum(-1)
            optimiser, schedule, name = of_spread, self.lr_schedulers()[1], "spread"
        loss = (loss * weight).mean()
        optimiser.zero_grad()
        self.manual_backward(loss * self.ensemble.config.members)
        optimiser.step()
        schedule.step()
        self.log(name, loss, on_step=True, on_epoch=False, prog_bar=True)

    def configure_optimizers(self):
        recipe, optimisers, schedules = self.recipe, [], []
        for part, steps in ((self.ensemble.mean, recipe.steps), (self.ensemble.spread, recipe.steps // 2)):
            optimiser = torch.optim.AdamW(
                part.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
            )
            optimisers.append(optimiser)
            schedules.append(torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, steps)))
        return optimisers, schedules


def train_ensemble(task, recipe, output, seed=0, resume=True, progress=True, overwrite=False, device=None):
    """Train an ensemble, or go on with an interrupted training.

    Parameters
    ----------
    task : `PositionTargets` or `FluxTargets`
        What is learned.
    recipe : `~gammapy_asid.tasks.detection.recipe.SourceRecipe`
        Length and step size.
    output : path
        Folder of the checkpoint.
    seed : int
        Seed of the initial weights and of the batches.
    resume : bool
        Go on from the last checkpoint in the folder, if there is one.
    progress : bool
        Show a progress bar.
    overwrite : bool
        Replace the ensemble of another training in the folder.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.

    Returns
    -------
    ensemble : `~gammapy_asid.learning.ensembles.Ensemble`
        Trained ensemble in evaluation mode.

    Raises
    ------
    ValueError
        If the folder holds an ensemble of another training, or a checkpoint that this one did not write.
    """
    record = {"task": task, "recipe": recipe, "seed": seed}
    work = WorkFolder(output, f"ensemble-{task.name}", record, overwrite, resume)
    with quiet(), work.alone():
        lightning.seed_everything(seed, verbose=False)
        generator = torch.Generator().manual_seed(seed)
        sample, _, _ = task.batch(torch.randint(len(task), (N_STANDARDISE,), generator=generator), generator)
        ensemble = Ensemble(EnsembleConfig(sample.shape[1], task.targets, recipe.members, recipe.width))
        ensemble.standardise(sample)
        module = EnsembleModule(ensemble, recipe)
        n_steps = recipe.steps + recipe.steps // 2
        last = work.find_or_refuse(f"{task.name}.ckpt")
        checkpoint = None if last is None else load_checkpoint(last)
        start = 0 if checkpoint is None else checkpoint["global_step"]
        bars = training_bars(f"Training for {task.name}", progress, 20)
        trainer = lightning.Trainer(
            max_steps=n_steps,
            **trainer_device(device),
            logger=False,
            callbacks=[
                ModelCheckpoint(
                    work.folder,
                    filename=task.name,
                    every_n_train_steps=min(500, n_steps),  # what an interruption loses at most
                    enable_version_counter=False,
                ),
                *bars,
            ],
            enable_progress_bar=any(isinstance(own, ProgressBar) for own in bars),
            enable_model_summary=False,
            plugins=[WorkCheckpoints(work)],
        )
        steps = _Steps(task, recipe.members, recipe.batch_size, n_steps, seed, start)
        loader = DataLoader(steps, batch_size=None)
        if len(steps):
            with fit_or_stop(trainer):
                trainer.fit(module, loader, ckpt_path=None if last is None else str(last), weights_only=True)
        else:
            module.load_state_dict(checkpoint["state_dict"])
    return ensemble.eval()
