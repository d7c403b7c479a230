# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulated sources kept in files, and batches of them: they take longer to simulate than to learn from."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import Dataset

from ...utils.work_folder import WorkFolder
from .features import FluxFeatures
from .simulator import FluxExamples

__all__ = ["CHUNK", "ExampleBatches", "drawn_examples", "image_weights", "kept_examples"]

#: Images of a file: what an interruption loses at most.
CHUNK = 8


def drawn_examples(simulator, n_images, seed):
    """Sources of many images.

    Parameters
    ----------
    simulator : `~gammapy_asid.optical.flux.simulator.FluxSimulator`
        Simulator.
    n_images : int
        Images, rounded up to `CHUNK`.
    seed : int
        First number of the seeds.
    """
    return _joined(simulator.draw(CHUNK, (seed, i)) for i in range(-(-n_images // CHUNK)))


def kept_examples(simulator, recipe, folder):
    """Sources of a training, kept in a folder so that an interrupted simulation goes on.

    Parameters
    ----------
    simulator : `~gammapy_asid.optical.flux.simulator.FluxSimulator`
        Simulator.
    recipe : `~gammapy_asid.optical.flux.recipe.OpticalFluxRecipe`
        Recipe.
    folder : path
        Folder of the training.

    Returns
    -------
    examples : `~gammapy_asid.optical.flux.simulator.FluxExamples`
        Sources of `CHUNK` images after the other.
    """
    work = WorkFolder(Path(folder) / "examples", "examples", {"simulator": simulator, "seed": recipe.seed})
    parts = []
    for number in range(-(-recipe.images // CHUNK)):
        name = f"examples_{number:04d}.safetensors"
        if work.find(name) is None:
            drawn = simulator.draw(CHUNK, (recipe.seed, number))
            with work.new_file(name) as path:
                save_file(_to_tensors(drawn), path)
        parts.append(_from_tensors(load_file(work.folder / name)))
    return _joined(parts)


def _joined(parts):
    """Sources of many draws, each image with a number of its own."""
    parts = list(parts)
    for i, part in enumerate(parts):
        part.image = part.image + i * CHUNK
    return FluxExamples.cat(parts)


def _to_tensors(examples):
    columns = dict(vars(examples))
    columns |= {f"features.{name}": value for name, value in vars(columns.pop("features")).items()}
    return {name: value.contiguous() for name, value in columns.items()}


def _from_tensors(tensors):
    inner = {k.removeprefix("features."): v for k, v in tensors.items() if k.startswith("features.")}
    rest = {k: v for k, v in tensors.items() if not k.startswith("features.")}
    return FluxExamples(features=FluxFeatures(**inner), **rest)


def image_weights(examples):
    """Weights with which images of few sources count beside those of many: each as the root of their number.

    Parameters
    ----------
    examples : `~gammapy_asid.optical.flux.simulator.FluxExamples`
        Sources.

    Returns
    -------
    weights : `~numpy.ndarray`
        Of each source, shape ``(n,)``.
    """
    _, own, number = torch.unique(examples.image, return_inverse=True, return_counts=True)
    return number.double().rsqrt()[own].numpy()


class ExampleBatches(Dataset):
    """Batches of kept sources, equal for equal seeds; every member of an ensemble has others.

    Parameters
    ----------
    examples : `~gammapy_asid.optical.flux.simulator.FluxExamples`
        Sources.
    recipe : `~gammapy_asid.optical.flux.recipe.OpticalFluxRecipe`
        Recipe.
    start : int
        Number of the first batch.
    """

    def __init__(self, examples, recipe, start):
        self.inputs = examples.features.inputs
        self.target = examples.features.target(examples.flux)
        share = np.cumsum(image_weights(examples))
        self.share = share / share[-1]
        self.recipe, self.start = recipe, start

    def __len__(self):
        return self.recipe.optimiser.batches_per_epoch

    def __getitem__(self, index):
        """Inputs and target, each of shape ``(members, batch_size, ...)``."""
        if not 0 <= index < len(self):
            raise IndexError(f"No batch {index} in an epoch of {len(self)}")
        rng = np.random.default_rng((self.recipe.seed, self.start + index))
        shape = self.recipe.members, self.recipe.optimiser.batch_size
        rows = torch.from_numpy(np.searchsorted(self.share, rng.random(shape)))
        return (self.inputs[rows],), self.target[rows][..., None]
