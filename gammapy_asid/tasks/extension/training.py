# Licensed under a 3-clause BSD style license - see LICENSE
"""Training of classifiers of extension."""

import lightning
import torch
import torch.nn.functional as F
from torch.utils.data import Dataset

from ...learning.io import load_card
from ...learning.trainer import VALIDATION_SEED, EpochData, cosine_cycles, fit_module, load_averaged
from ...simulation.scenes import SimulatedStamps
from ...utils.work_folder import WorkFolder
from .card import ExtensionCard
from .network import build_stamp_network
from .simulator import build_stamp_simulator
from .transfer import start_extension_from

__all__ = ["ExtensionModule", "classes_of", "extension_folder", "extension_loss", "train_extension"]

# Deviations of the size beyond this many errors pull no harder: a confused source has any size.
OUTLIER = 3.0

# Weight of the loss of the size.
SIZE_WEIGHT = 0.3


def classes_of(size, edges):
    """Class of each size in deg, an integer tensor."""
    return torch.bucketize(size, torch.tensor(edges, dtype=size.dtype), right=True)


def extension_loss(output, size, edges):
    """Loss of classes, of points against extended sources, and of sizes.

    Parameters
    ----------
    output : `~gammapy_asid.tasks.extension.network.ExtensionOutput`
        Predictions.
    size : `~torch.Tensor`
        True size in deg, 0 for points, shape ``(n,)``.
    edges : tuple of float
        Edges of the classes.

    Returns
    -------
    parts : dict of `~torch.Tensor`
        ``loss``, and its parts ``class``, ``point`` and ``size``.
    """
    extended = size > 0
    of_class = F.cross_entropy(output.classes, classes_of(size, edges))
    of_point = F.binary_cross_entropy_with_logits(output.extended, extended.float())
    pull = ((torch.log(size.clamp(min=1e-4)) - output.log_size) * torch.exp(-output.log_error)).abs()
    pull = torch.where(pull < OUTLIER, pull**2 / 2, OUTLIER * pull - OUTLIER**2 / 2)
    of_size = ((pull + output.log_error) * extended).sum() / extended.sum().clamp(min=1)
    loss = of_class + 0.5 * of_point + SIZE_WEIGHT * of_size
    return {"loss": loss, "class": of_class, "point": of_point, "size": of_size}


class ExtensionModule(lightning.LightningModule):
    """Training of the network.

    Parameters
    ----------
    network : `~gammapy_asid.tasks.extension.network.ExtensionNetwork`
        Network.
    recipe : `~gammapy_asid.tasks.extension.recipe.ExtensionRecipe`
        Recipe.
    validation : list of `~gammapy_asid.simulation.scenes.SimulatedStamps`
        Stamps of each scene on which the training is watched.
    """

    def __init__(self, network, recipe, validation):
        super().__init__()
        self.network, self.recipe, self.validation = network, recipe, validation

    def training_step(self, batch, batch_idx):
        """Loss of one batch."""
        stamps, size = batch
        output = self.network.split(self.network(*stamps).float())
        parts = extension_loss(output, size, self.recipe.edges)
        self.log_dict(parts, on_step=False, on_epoch=True, batch_size=len(size))
        return parts["loss"]

    def validation_step(self, batch, batch_idx):
        """Losses and accuracy for each scene."""
        metrics = {}
        for i, simulated in enumerate(self.validation):
            parts = [
                self.network(*(v.to(self.device) for v in simulated.stamps[first : first + 256].tensors))
                for first in range(0, len(simulated), 256)
            ]
            output = self.network.split(torch.cat(parts).float().cpu())
            losses = extension_loss(output, simulated.size, self.recipe.edges)
            right = output.classes.argmax(1) == classes_of(simulated.size, self.recipe.edges)
            metrics |= {f"{name}_{i}": value for name, value in losses.items()}
            metrics[f"accuracy_{i}"] = right.float().mean()
        self.log_dict(metrics, batch_size=1)

    def configure_optimizers(self):
        """See `~gammapy_asid.learning.trainer.cosine_cycles`."""
        return cosine_cycles(self.network.parameters(), self.recipe.optimiser)


class _Batches(Dataset):
    """Batches of stamps and true sizes; batch ``i`` depends on the seed and on ``i`` alone."""

    def __init__(self, simulator, recipe, start):
        self.simulator, self.recipe, self.start = simulator, recipe, start

    def __len__(self):
        return self.recipe.optimiser.batches_per_epoch

    @torch.no_grad()
    def __getitem__(self, index):
        seed = (self.recipe.seed, self.start + index)
        simulated = self.simulator.draw(self.recipe.optimiser.batch_size, seed)
        return simulated.stamps.tensors, simulated.size


def extension_folder(recipe, output, simulator, overwrite=False, resume=True):
    """Folder of a training, see `~gammapy_asid.utils.work_folder.WorkFolder`.

    Parameters
    ----------
    recipe, output, simulator, overwrite, resume
        See `train_extension`.
    """
    record = {"recipe": recipe, "simulator": simulator, "start": None}
    if recipe.start is not None:
        record["start"] = load_card(recipe.start, ExtensionCard)
    return WorkFolder(output, "training", record, overwrite, resume)


def train_extension(
    recipe, output, simulator=None, resume=True, num_workers=0, progress=True, overwrite=False
):
    """Train a classifier of extension, or go on with an interrupted training.

    Parameters
    ----------
    recipe : `~gammapy_asid.tasks.extension.recipe.ExtensionRecipe`
        Recipe.
    output : path
        Folder of the checkpoints and of the history (``metrics.csv``).
    simulator : `~gammapy_asid.simulation.stamp_simulator.StampSimulator`, optional
        What makes the stamps, by default that of the recipe's responses.
    resume : bool
        Go on from the last checkpoint in the folder, if there is one.
    num_workers : int
        Processes that simulate beside the training.
    progress : bool
        Show a progress bar.
    overwrite : bool
        Replace another training in the folder.

    Returns
    -------
    network : `~gammapy_asid.tasks.extension.network.ExtensionNetwork`
        Network with the running mean of the weights, in evaluation mode.

    Raises
    ------
    ValueError
        If the folder holds another training, or a checkpoint that this one did not write.
    """
    lightning.seed_everything(recipe.seed, verbose=False)
    simulator = build_stamp_simulator(recipe) if simulator is None else simulator
    work = extension_folder(recipe, output, simulator, overwrite, resume)
    validation = [
        SimulatedStamps.cat(
            [
                simulator.draw(min(256, recipe.validation_stamps), (VALIDATION_SEED, k, i), scene)
                for i in range(-(-recipe.validation_stamps // 256))
            ]
        )
        for k, scene in enumerate(recipe.scenes)
    ]
    n_bands = len(simulator.bands)
    network = build_stamp_network(recipe, n_bands)
    if recipe.start is not None:
        start_extension_from(network, recipe.start)
    network = network.to(memory_format=torch.channels_last)
    module = ExtensionModule(network, recipe, validation)
    data = EpochData(
        lambda start: _Batches(simulator, recipe, start), recipe.optimiser.batches_per_epoch, num_workers
    )
    last = fit_module(module, data, recipe.optimiser, work, progress)
    return load_averaged(build_stamp_network(recipe, n_bands), last)
