# Licensed under a 3-clause BSD style license - see LICENSE
"""What all trainings of networks share: the trainer, its checkpoints, the averaged weights."""

import logging
import math
import warnings
from bisect import bisect_right
from contextlib import contextmanager
from datetime import timedelta

import lightning
import torch
from lightning.pytorch.callbacks import (
    EMAWeightAveraging,
    ModelCheckpoint,
    ProgressBar,
    Timer,
    WeightAveraging,
)
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from ..utils.devices import channels_last, trainer_device
from .checkpoints import WorkCheckpoints, fit_or_stop, load_checkpoint
from .history import History
from .training_bar import training_bars

__all__ = ["EpochData", "TaskModule", "cosine_cycles", "fit_module", "load_averaged", "quiet"]

#: Checkpoint after the last epoch that was finished.
LAST = "last.ckpt"


class EpochData(lightning.LightningDataModule):
    """Batches of the current epoch, so that a resumed training sees what it would have seen.

    Parameters
    ----------
    batches : callable
        Makes the dataset of batches from the number of the first one.
    batches_per_epoch : int
        Batches of an epoch.
    num_workers : int
        Processes that simulate beside the training.
    """

    def __init__(self, batches, batches_per_epoch, num_workers):
        super().__init__()
        self.batches, self.batches_per_epoch, self.num_workers = batches, batches_per_epoch, num_workers

    def train_dataloader(self):
        return DataLoader(
            self.batches(self.trainer.current_epoch * self.batches_per_epoch),
            batch_size=None,
            num_workers=self.num_workers,
            # Enough to bridge a batch that takes longer
            prefetch_factor=4 if self.num_workers else None,
        )

    def val_dataloader(self):
        # The module holds what it is validated on; one empty batch triggers it.
        return DataLoader(torch.zeros(1, 1))


class TaskModule(lightning.LightningModule):
    """Training of the network of any task.

    Parameters
    ----------
    task : `~gammapy_asid.learning.task.Task`
        Task.
    network : `~torch.nn.Module`
        Its network.
    recipe : `~gammapy_asid.learning.recipe.Recipe`
        Recipe.
    validation : list
        What the training is watched on.
    """

    def __init__(self, task, network, recipe, validation):
        super().__init__()
        self.task, self.network, self.recipe, self.validation = task, network, recipe, validation
        minutes = recipe.optimiser.minutes
        #: Wall time of the training, of all its parts if it was interrupted.
        self.timer = None if minutes is None else Timer(timedelta(minutes=minutes))

    def share_of_time(self):
        """Share of the wall time that has passed, 0 where it has no limit."""
        if self.timer is None:
            return 0.0
        return self.timer.time_elapsed() / (60 * self.recipe.optimiser.minutes)

    def training_step(self, batch, batch_idx):
        inputs, target = batch
        parts = self.task.loss(self.task.forward(self.network, inputs), target, self.recipe)
        size = self.recipe.optimiser.batch_size
        self.log_dict(parts, on_step=False, on_epoch=True, batch_size=size)
        self.log("last_loss", parts["loss"], prog_bar=True)
        return parts["loss"]

    def validation_step(self, batch, batch_idx):
        # In full precision also where the training runs in half
        with torch.autocast(self.device.type, enabled=False):
            self.log_dict(self.task.validate(self.network, self.validation, self.recipe), batch_size=1)

    def configure_optimizers(self):
        return cosine_cycles(self.network.parameters(), self.recipe.optimiser, self.share_of_time)


@contextmanager
def quiet():
    """Keep Lightning's notes and its use of deprecated parts of torch from the user."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning, module="lightning")
            # A training that goes on finds its own files.
            warnings.filterwarnings("ignore", "Checkpoint directory .* is not empty")
            # The checkpoints of the ensembles hold the state after a step, as they should.
            warnings.filterwarnings("ignore", "Using ModelCheckpoint with manual optimization")
            yield
    finally:
        logger.setLevel(level)


@quiet()
def fit_module(module, data, optimiser, work, progress=True, device=None):
    """Train a module, or go on with an interrupted training.

    Parameters
    ----------
    module : `TaskModule`
        Module.
    data : `EpochData`
        Batches.
    optimiser : `~gammapy_asid.learning.recipe.OptimiserRecipe`
        Length and averaging of the training.
    work : `~gammapy_asid.utils.work_folder.WorkFolder`
        Folder of the checkpoints and of the history (``metrics.csv``).
    progress : bool
        Show a progress bar.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.

    Returns
    -------
    checkpoint : `~pathlib.Path`
        Last checkpoint, for `load_averaged`.
    """
    bars = training_bars("Training", progress, 10)
    trainer = lightning.Trainer(
        max_epochs=optimiser.epochs,
        precision=optimiser.precision,
        **trainer_device(device),
        logger=False,
        callbacks=[
            History(work.folder / "metrics.csv"),
            ModelCheckpoint(work.folder, filename="last", save_top_k=1, enable_version_counter=False),
            _averaging(optimiser),
            *([] if module.timer is None else [module.timer]),
            *bars,
        ],
        enable_progress_bar=any(isinstance(own, ProgressBar) for own in bars),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        gradient_clip_val=1.0,  # no batch moves the weights far
        plugins=[WorkCheckpoints(work)],
    )
    with work.alone():
        last = work.find_or_refuse(LAST)
        with fit_or_stop(trainer):
            trainer.fit(module, data, ckpt_path=None if last is None else str(last), weights_only=True)
    return work.folder / LAST


def _averaging(optimiser):
    """Running mean of the weights."""
    decay = optimiser.ema_decay
    if optimiser.minutes is None:
        return EMAWeightAveraging(decay=decay)

    def average(means, currents, n):
        # Over a tenth of the steps while these are few: the untrained weights are soon forgotten
        share = (1 + float(n)) / (10 + float(n))
        get_ema_multi_avg_fn(min(share, decay))(means, currents, n)

    return WeightAveraging(multi_avg_fn=average)


def load_averaged(network, checkpoint):
    """Give a network the running mean of the weights from a checkpoint.

    Parameters
    ----------
    network : `~torch.nn.Module`
        Network of the shape that was trained.
    checkpoint : path
        Checkpoint.

    Returns
    -------
    network : `~torch.nn.Module`
        The network, in evaluation mode.
    """
    state = load_checkpoint(checkpoint)["state_dict"]
    prefix = "network."
    network.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
    return channels_last(network.eval())


def cosine_cycles(parameters, recipe, share_of_time=None):
    """AdamW with cycles of a linear rise and a cosine fall of the learning rate, for Lightning.

    Parameters
    ----------
    parameters : iterable of `~torch.nn.Parameter`
        What is trained.
    recipe : `~gammapy_asid.learning.recipe.OptimiserRecipe`
        Length and step size.
    share_of_time : callable, optional
        Share of the wall time of the training that has passed. Where that is larger than the share of the
        steps, the learning rate follows the time.
    """
    optimiser = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    bounds = [epoch * recipe.batches_per_epoch for epoch in (0, *recipe.restarts, recipe.epochs)]

    # Plain numbers: checkpoints hold nothing else
    def factor(step):
        if share_of_time is not None:
            step = max(step, min(1.0, share_of_time()) * bounds[-1])
        cycle = min(bisect_right(bounds, step), len(bounds) - 1)
        step, length = step - bounds[cycle - 1], bounds[cycle] - bounds[cycle - 1]
        rise = max(1, length // 20)  # 5 %
        if step < rise:
            return (step + 1) / rise
        # The last steps still count a little
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, length - rise)))) + 1e-3

    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
