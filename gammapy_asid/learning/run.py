# Licensed under a 3-clause BSD style license - see LICENSE
"""From a recipe to a model: simulator, training, calibration, release; the same for every task."""

from contextlib import nullcontext
from pathlib import Path

import lightning
import torch

from ..utils.devices import as_device, channels_last, moved
from ..utils.work_folder import WorkFolder
from .io import load_card, save_model
from .registry import followers, get_task
from .simulator import named_simulator
from .trainer import EpochData, TaskModule, fit_module, load_averaged

__all__ = [
    "evaluate_model",
    "output_files",
    "prepare_simulator",
    "release",
    "train",
    "train_model",
    "training_folder",
]


def prepare_simulator(recipe, datasets=None, settled=False):
    """Simulator of a recipe, and the recipe with what it settled.

    Parameters
    ----------
    recipe : `~gammapy_asid.learning.recipe.Recipe`
        Recipe.
    datasets : `~gammapy.datasets.Datasets`, optional
        Data whose instrument is simulated, in place of that of the recipe.
    settled : bool
        Whether the recipe is that in a card, see `~gammapy_asid.learning.task.Task.simulator`.

    Returns
    -------
    simulator : `~gammapy_asid.learning.simulator.Simulator`
        Simulator.
    recipe : `~gammapy_asid.learning.recipe.Recipe`
        Recipe.

    Raises
    ------
    ValueError
        If the recipe or the data do not tell what to simulate.
    """
    task = get_task(recipe.task)
    if recipe.simulator is not None:
        if datasets is not None:
            raise ValueError(
                f"Recipe {recipe.name!r} names the simulator {recipe.simulator!r}, which is not made for the "
                "instrument of a dataset: leave out one of them"
            )
        return named_simulator(recipe), recipe
    if datasets is not None and not settled:
        recipe = recipe.for_datasets()
    simulator = task.simulator(recipe, datasets, settled)
    return simulator, task.settled(recipe, simulator)


def output_files(recipe, output):
    """Files of a training: weights and card of the model, and of those that belong to it.

    Parameters
    ----------
    recipe : `~gammapy_asid.learning.recipe.Recipe`
        Recipe.
    output : path
        Folder of the model.

    Returns
    -------
    files : dict of list of `~pathlib.Path`
        Files by the name of the task, that of the recipe first.
    """
    task = get_task(recipe.task)
    return {own.name: own.files(recipe, output) for own in (task, *followers(task))}


def training_folder(recipe, output, simulator, overwrite=False, resume=True):
    """Folder of a training, see `~gammapy_asid.utils.work_folder.WorkFolder`.

    Parameters
    ----------
    recipe, output, simulator, overwrite, resume
        See `train`.
    """
    record = {"recipe": recipe, "simulator": simulator, "start": None}
    if recipe.start is not None:
        record["start"] = load_card(recipe.start, get_task(recipe.task).Card)
    return WorkFolder(output, "training", record, overwrite, resume)


def train(
    recipe,
    output,
    simulator=None,
    resume=True,
    num_workers=0,
    progress=True,
    overwrite=False,
    device=None,
):
    """Train the network of a recipe, or go on with an interrupted training.

    Parameters
    ----------
    recipe : `~gammapy_asid.learning.recipe.Recipe`
        Recipe.
    output : path
        Folder of the checkpoints and of the history (``metrics.csv``).
    simulator : `~gammapy_asid.learning.simulator.Simulator`, optional
        What makes the examples, by default that of the recipe.
    resume : bool
        Go on from the last checkpoint in the folder, if there is one.
    num_workers : int
        Processes that simulate beside the training.
    progress : bool
        Show a progress bar.
    overwrite : bool
        Replace another training in the folder.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.

    Returns
    -------
    network : `~torch.nn.Module`
        Network with the running mean of the weights, in evaluation mode.

    Raises
    ------
    ValueError
        If the folder holds another training, or a checkpoint that this one did not write.
    """
    task, optimiser = get_task(recipe.task), recipe.optimiser
    lightning.seed_everything(recipe.seed, verbose=False)
    simulator = prepare_simulator(recipe)[0] if simulator is None else simulator
    work = training_folder(recipe, output, simulator, overwrite, resume)
    validation = task.validation(simulator, recipe)
    network = task.network(recipe, simulator.bands)
    if recipe.start is not None:
        task.start(network, simulator.bands, recipe.start)
    module = TaskModule(task, channels_last(network), recipe, validation)
    # Processes of their own have no accelerator
    drawn_by = simulator if num_workers else moved(simulator, as_device(device))
    drawn_by = task.kept(drawn_by, recipe, work.folder)
    data = EpochData(
        lambda start: task.batches(drawn_by, recipe, start), optimiser.batches_per_epoch, num_workers
    )
    last = fit_module(module, data, optimiser, work, progress, device)
    return load_averaged(task.network(recipe, simulator.bands), last)


def release(network, recipe, simulator, path, overwrite=False):
    """Calibrate a trained network and write it with its card.

    Parameters
    ----------
    network : `~torch.nn.Module`
        Trained network.
    recipe : `~gammapy_asid.learning.recipe.Recipe`
        Recipe of the training.
    simulator : `~gammapy_asid.learning.simulator.Simulator`
        Simulator of the training.
    path : path
        Weight file, ``NAME.safetensors``.
    overwrite : bool
        Replace existing files.

    Returns
    -------
    card : `~gammapy_asid.learning.card.Card`
        Card as written.
    """
    task, network = get_task(recipe.task), network.eval()
    fields = task.calibrate(network, simulator, recipe)
    card = task.new_card(network, recipe, simulator.bands, **fields)
    return save_model(path, network.state_dict(), card, overwrite=overwrite)


def train_model(
    recipe,
    output,
    simulator,
    num_workers=1,
    progress=True,
    overwrite=False,
    device=None,
    status=nullcontext,
):
    """Train and release the model of a recipe and those that belong to it; goes on if interrupted.

    Parameters
    ----------
    recipe : `~gammapy_asid.learning.recipe.Recipe`
        Recipe.
    output : path
        Folder of the models.
    simulator : `~gammapy_asid.learning.simulator.Simulator`
        Simulator, see `prepare_simulator`.
    num_workers, progress, overwrite, device
        See `train`.
    status : callable
        Gives a context that shows what is done, from a text.

    Returns
    -------
    files : dict of list of `~pathlib.Path`
        See `output_files`.

    Raises
    ------
    FileExistsError
        If a file exists that is not of this training, and `overwrite` is False.
    ValueError
        If the folder holds another training.
    """
    task, files = get_task(recipe.task), output_files(recipe, output)
    folder = task.folder(recipe, output)
    work = training_folder(recipe, folder, simulator, overwrite)
    work.claim([path for own in files.values() for path in own])
    weights = files[task.name]
    if not work.is_finished(weights):
        network = train(
            recipe,
            folder,
            simulator,
            num_workers=num_workers,
            progress=progress,
            overwrite=overwrite,
            device=device,
        )
        with status("Calibrating"):
            release(network, recipe, simulator, weights[0], overwrite=True)
        work.finish(weights)
    for follower in followers(task):
        # What else the folder holds is of this training
        follower.follow(weights[0], recipe, simulator, Path(output), progress=progress, device=device)
        work.finish(files[follower.name])
    return files


def evaluate_model(model, task, datasets=None, device=None):
    """Figures of a trained model on simulations that trained nothing.

    Parameters
    ----------
    model : str or path
        Shipped model, or weight file.
    task : `~gammapy_asid.learning.task.Task`
        Task of the model.
    datasets : `~gammapy.datasets.Datasets`, optional
        Data whose instrument it was trained for, if it was.
    device : str or `~torch.device`, optional
        Where it runs; by default the accelerator if there is one.

    Returns
    -------
    figures : dict of float
        Figures of the task, see `~gammapy_asid.learning.task.Task.validate`.

    Raises
    ------
    ValueError
        If the recipe in its card does not tell what to simulate.
    """
    trained = task.Model.load(model, device)
    simulator, recipe = prepare_simulator(task.Recipe(**trained.card.recipe), datasets, settled=True)
    with torch.inference_mode():
        figures = task.validate(trained.network, task.validation(simulator, recipe), recipe)
    return {name: float(value) for name, value in figures.items()}
