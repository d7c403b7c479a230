# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulated candidates kept in files: they take longer to simulate than to learn from."""

from dataclasses import fields
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ...utils.work_folder import WorkFolder
from .simulator import N_BINS, SimulatedCandidates
from .stamps import CandidateStamps

__all__ = ["CHUNK", "FINE_BINS", "chunk_bins", "from_tensors", "keep_candidates", "to_tensors"]

#: Candidates of a file: what an interruption loses at most.
CHUNK = 2000
#: Types of large tensors in a file, and the largest numbers that they hold.
SMALL = {
    "counts": (torch.int16, 32768),
    "expected": (torch.float16, 65504),
    "own": (torch.float16, 65504),
}
#: Every so many files has the largest number of bins of time, the others the usual one.
FINE_EVERY, FINE_BINS = 5, 20


def chunk_bins(number):
    """Bins of time of a chunk.

    Parameters
    ----------
    number : int
        Number of the chunk.
    """
    return FINE_BINS if number % FINE_EVERY == FINE_EVERY - 1 else N_BINS


def to_tensors(candidates):
    """Candidates as tensors by name, for a file, which is half as large.

    Parameters
    ----------
    candidates : `~gammapy_asid.tasks.classification.simulator.SimulatedCandidates`
        Candidates; those with too many photons in a pixel for the smaller numbers are left out.
    """
    fits = [getattr(candidates.stamps, name).flatten(1).amax(1) < top for name, (_, top) in SMALL.items()]
    candidates = candidates.select(torch.nonzero(torch.stack(fits).all(0))[:, 0])
    columns = dict(vars(candidates))
    inner = vars(columns.pop("stamps")).copy()
    inner |= {name: inner[name].to(kind) for name, (kind, _) in SMALL.items()}
    tensors = {**columns, **{f"stamps.{name}": value for name, value in inner.items()}}
    return {name: value.contiguous() for name, value in tensors.items()}


def from_tensors(tensors):
    """Candidates of `to_tensors`.

    Parameters
    ----------
    tensors : dict of `~torch.Tensor`
        Tensors.
    """
    stamps = CandidateStamps(**{f.name: tensors[f"stamps.{f.name}"] for f in fields(CandidateStamps)})
    rest = {f.name: tensors[f.name] for f in fields(SimulatedCandidates) if f.name != "stamps"}
    return SimulatedCandidates(stamps=stamps, **rest)


def keep_candidates(simulator, recipe, folder):
    """Candidates of a training, kept in a folder so that an interrupted simulation goes on.

    Parameters
    ----------
    simulator : `~gammapy_asid.tasks.classification.simulator.CandidateSimulator`
        Simulator.
    recipe : `~gammapy_asid.tasks.classification.recipe.ClassRecipe`
        Recipe.
    folder : path
        Folder of the training.

    Returns
    -------
    groups : list of `~gammapy_asid.tasks.classification.simulator.SimulatedCandidates`
        Candidates by the number of their bins of time.
    """
    work = WorkFolder(
        Path(folder) / "candidates", "candidates", {"simulator": simulator, "seed": recipe.seed}
    )
    groups, number, n = {}, 0, 0
    while n < recipe.candidates:
        name = f"candidates_{number:04d}.safetensors"
        if work.find(name) is None:
            drawn = simulator.draw(min(CHUNK, recipe.candidates), (recipe.seed, number), chunk_bins(number))
            with work.new_file(name) as path:
                save_file(to_tensors(drawn), path)
        candidates = from_tensors(load_file(work.folder / name))
        groups.setdefault(chunk_bins(number), []).append(candidates)
        number, n = number + 1, n + len(candidates)
    return [SimulatedCandidates.cat(parts) for parts in groups.values()]
