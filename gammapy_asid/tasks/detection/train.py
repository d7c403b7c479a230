# Licensed under a 3-clause BSD style license - see LICENSE
"""Train a detection model from a recipe."""

import lightning
import torch

from ...learning.io import load_card
from ...learning.trainer import VALIDATION_SEED, EpochData, fit_module, load_averaged
from ...utils.work_folder import WorkFolder
from .card import DetectionCard
from .network import build_network
from .simulator import build_simulator
from .stream import PatchStream
from .training import DetectionModule
from .transfer import start_from

__all__ = ["averaged_network", "train", "training_folder"]


def training_folder(recipe, output, simulator, overwrite=False, resume=True):
    """Folder of a training, see `~gammapy_asid.utils.work_folder.WorkFolder`.

    Parameters
    ----------
    recipe, output, simulator, overwrite, resume
        See `train`.
    """
    record = {"recipe": recipe, "simulator": simulator, "start": None}
    if recipe.start is not None:
        record["start"] = load_card(recipe.start, DetectionCard)
    return WorkFolder(output, "training", record, overwrite, resume)


def train(recipe, output, simulator=None, resume=True, num_workers=1, progress=True, overwrite=False):
    """Train a detection model, or go on with an interrupted training.

    Parameters
    ----------
    recipe : `~gammapy_asid.tasks.detection.recipe.Recipe`
        Recipe.
    output : path
        Folder of the checkpoints and of the history (``metrics.csv``).
    simulator : `~gammapy_asid.simulation.patch_simulator.PatchSimulator`, optional
        What makes the patches, by default that of the recipe's instruments.
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
    network : `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Network with the running mean of the weights, in evaluation mode.

    Raises
    ------
    ValueError
        If the folder holds another training, or a checkpoint that this one did not write.
    """
    lightning.seed_everything(recipe.seed, verbose=False)
    simulator = build_simulator(recipe) if simulator is None else simulator
    work = training_folder(recipe, output, simulator, overwrite, resume)
    size = recipe.optimiser.batch_size
    n_batches = -(-recipe.validation_patches // size)
    validation = [simulator.draw(size, (VALIDATION_SEED, i)) for i in range(n_batches)]
    bands = simulator.bands
    network = build_network(bands, recipe.widths)
    if recipe.start is not None:
        start_from(network, bands, recipe.start)
    network = network.to(memory_format=torch.channels_last)
    module = DetectionModule(network, recipe.optimiser, validation)

    def batches(start):
        return PatchStream(
            simulator,
            size,
            start + recipe.optimiser.batches_per_epoch,
            seed=recipe.seed,
            start=start,
            reuse=recipe.reuse,
        )

    data = EpochData(batches, recipe.optimiser.batches_per_epoch, num_workers)
    last = fit_module(module, data, recipe.optimiser, work, progress)
    return averaged_network(last, bands, recipe.widths)


def averaged_network(checkpoint, bands, widths):
    """Network with the running mean of the weights from a checkpoint.

    Parameters
    ----------
    checkpoint : path
        Checkpoint.
    bands : `~gammapy_asid.inputs.Bands`
        Bands.
    widths : tuple of int
        Feature channels on every level.
    """
    return load_averaged(build_network(bands, widths), checkpoint)
