# Licensed under a 3-clause BSD style license - see LICENSE
"""Train, calibrate and write the ensembles of a detection model."""

from dataclasses import asdict
from importlib.metadata import version

from ...learning.io import load_card, save_model
from ...learning.registry import ensemble_path, model_files
from ...utils.work_folder import WorkFolder
from .calibrate import calibrate_flux, calibrate_position
from .card import EnsembleCard
from .source_sets import simulated_sources
from .training import FluxTask, PositionTask, train_ensemble

__all__ = ["release_sources"]

# Seeds of training, calibration and test; those of the detection model differ.
SEEDS = {"train": 2**34, "calibration": 2**35, "test": 2**36}


TASKS = {"position": (PositionTask, calibrate_position), "flux": (FluxTask, calibrate_flux)}


def release_sources(model, weights, recipe, simulator, output, overwrite=False, progress=True):
    """Train, calibrate and write the ensembles of a detection model.

    Parameters
    ----------
    model : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Detection model.
    weights : path
        Its weight file; the ensembles are written beside it.
    recipe : `~gammapy_asid.tasks.detection.recipe.Recipe`
        Recipe.
    simulator : `~gammapy_asid.simulation.patch_simulator.PatchSimulator`
        Simulator of the training.
    output : path
        Folder of simulated sources and checkpoints.
    overwrite : bool
        Replace existing files.
    progress : bool
        Show progress bars.

    Returns
    -------
    cards : dict of `~gammapy_asid.tasks.measurement.card.EnsembleCard`
        Card of each ensemble.

    Raises
    ------
    FileExistsError
        If they exist and `overwrite` is False.
    ValueError
        If the folder holds the ensembles of another model, recipe or simulator.
    """
    record = {"model": model.card, "recipe": recipe, "simulator": simulator}
    work = WorkFolder(output, "ensembles", record, overwrite)
    paths = {kind: model_files(ensemble_path(weights, kind)) for kind in TASKS}
    work.claim([path for files in paths.values() for path in files])
    finished = [kind for kind in TASKS if work.is_finished(paths[kind])]
    if len(finished) == len(TASKS) and not overwrite:
        raise FileExistsError(
            f"{paths['flux'][0]} exists: choose another name or overwrite it (overwrite=True, --overwrite)"
        )
    n = recipe.sources.patches
    # Rare bright sources need many patches to be calibrated.
    numbers = {"train": n, "calibration": max(1, n // 2), "test": max(1, n // 4)}
    sets = {
        name: simulated_sources(model, simulator, numbers[name], seed + recipe.seed, output, overwrite)
        for name, seed in SEEDS.items()
        if len(finished) < len(TASKS)
    }
    cards = {}
    for kind, (task, calibrate) in TASKS.items():
        if kind in finished:
            cards[kind] = load_card(paths[kind][0], EnsembleCard)
            continue
        ensemble = train_ensemble(
            task(sets["train"]),
            recipe.sources,
            output,
            seed=recipe.seed,
            progress=progress,
            overwrite=overwrite,
        )
        state = {name: value.half() for name, value in ensemble.state_dict().items()}
        # What is calibrated is what ships: weights in half precision.
        ensemble.load_state_dict({name: value.float() for name, value in state.items()})
        card = model.card
        card = EnsembleCard(
            name=card.name,
            task=kind,
            version=version("gammapy-asid"),
            architecture=asdict(ensemble.config),
            bands=card.bands,
            pixel_size=card.pixel_size,
            psf_r68=card.psf_r68,
            exposure=card.exposure,
            background=card.background,
            intensity=card.intensity,
            beyond_bands=card.beyond_bands,
            detection_sha256=card.weights_sha256,
            recipe=recipe.model_dump(mode="json"),
            recipe_sha256=recipe.sha256,
            package_version=version("gammapy-asid"),
            **calibrate(ensemble, sets["calibration"], sets["test"], simulator.bank.responses),
        )
        cards[kind] = save_model(paths[kind][0], state, card, overwrite=True)
        work.finish(paths[kind])
    return cards
