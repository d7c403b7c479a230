# Licensed under a 3-clause BSD style license - see LICENSE
"""Sets of simulated sources, kept in chunks so that an interrupted run goes on."""

from safetensors.torch import load_file, save_file

from ...utils.work_folder import WorkFolder
from .features import SourceFeatures
from .simulator import SimulatedSources, simulate_sources

__all__ = ["simulated_sources"]

# Patches in a file: what an interruption loses at most.
CHUNK = 1000


def simulated_sources(model, simulator, n_patches, seed, folder, overwrite=False):
    """Simulated sources, kept in a folder so that an interrupted simulation goes on.

    Parameters
    ----------
    model : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Detection model.
    simulator : `~gammapy_asid.simulation.patch_simulator.PatchSimulator`
        Simulator of patches.
    n_patches : int
        Number of patches.
    seed : int
        Seed.
    folder : path
        Folder of the files.
    overwrite : bool
        Replace what the folder holds of another model or simulator.

    Returns
    -------
    sources : `~gammapy_asid.tasks.measurement.simulator.SimulatedSources`
        Sources.

    Raises
    ------
    ValueError
        If the folder holds the sources of another model or simulator.
    """
    record = {"model": model.card, "simulator": simulator, "patches": n_patches, "seed": seed}
    work = WorkFolder(folder, f"sources_{seed}", record, overwrite)
    sizes = [min(CHUNK, n_patches - start) for start in range(0, n_patches, CHUNK)]
    return SimulatedSources.cat(
        [_simulated_chunk(model, simulator, n, seed, work, chunk) for chunk, n in enumerate(sizes)]
    )


def _simulated_chunk(model, simulator, n_patches, seed, work, chunk):
    """One file of `simulated_sources`, simulated if it is not there as it was written."""
    name = f"sources_{seed}_{chunk:03d}.safetensors"
    if work.find(name) is None:
        drawn = list(simulate_sources(model, simulator, n_patches, seed + chunk))
        if not drawn:
            raise ValueError(
                f"The model finds nothing in {n_patches} simulated patches: "
                "train it longer, or take more patches"
            )
        with work.new_file(name) as temporary:
            save_file(_to_tensors(SimulatedSources.cat(drawn)), temporary)
    return _from_tensors(load_file(work.folder / name))


def _to_tensors(sources):
    tensors = {name: value for name, value in vars(sources).items() if name != "features"}
    features = dict(vars(sources.features))
    images = {f"features.images.{i}": image for i, image in enumerate(features.pop("images"))}
    tensors |= {f"features.{name}": value for name, value in features.items()} | images
    return {name: value.contiguous() for name, value in tensors.items()}


def _from_tensors(tensors):
    features = {k.removeprefix("features."): v for k, v in tensors.items() if k.startswith("features.")}
    images = [features.pop(f"images.{i}") for i in range(sum(k.startswith("images.") for k in features))]
    rest = {k: v for k, v in tensors.items() if not k.startswith("features.")}
    return SimulatedSources(SourceFeatures(**features, images=images), **rest)
