# Licensed under a 3-clause BSD style license - see LICENSE
"""Train, calibrate and write the ensembles of a detection model."""

from dataclasses import asdict
from importlib.metadata import version

from ...learning.io import load_card, save_model
from ...learning.model_files import ensemble_path, model_files
from ...learning.seeds import SOURCES
from ...utils.work_folder import WorkFolder
from .calibrate import calibrate_flux, calibrate_position
from .card import EnsembleCard
from .source_sets import simulated_sources
from .training import FluxTargets, PositionTargets, train_ensemble

__all__ = ["release_sources"]

#: What each ensemble learns, and how it is calibrated.
KINDS = {"position": (PositionTargets, calibrate_position), "flux": (FluxTargets, calibrate_flux)}


def release_sources(
    model, weights, recipe, simulator, output, overwrite=False, progress=True, kinds=tuple(KINDS), device=None
):
    """Train, calibrate and write the ensembles of a detection model.

    Parameters
    ----------
    model : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Detection model.
    weights : path
        Its weight file; the ensembles are written beside it.
    recipe : `~gammapy_asid.tasks.detection.recipe.DetectionRecipe`
        Recipe.
    simulator : `~gammapy_asid.simulation.patch_simulator.PatchSimulator`
        Simulator of the training.
    output : path
        Folder of simulated sources and checkpoints.
    overwrite : bool
        Replace existing files.
    progress : bool
        Show progress bars.
    kinds : tuple of str
        Which ensembles.
    device : str or `~torch.device`, optional
        Where the training runs; by default the accelerator if there is one.

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
    paths = {kind: model_files(ensemble_path(weights, kind)) for kind in kinds}
    work.claim([path for files in paths.values() for path in files])
    finished = [kind for kind in kinds if work.is_finished(paths[kind])]
    if len(finished) == len(kinds) and not overwrite:
        raise FileExistsError(
            f"{paths[kinds[-1]][0]} exists: choose another name or overwrite it (overwrite=True, --overwrite)"
        )
    n = recipe.sources.patches
    # Rare bright sources need many patches to be calibrated.
    numbers = {"train": n, "calibration": max(1, n // 2), "test": max(1, n // 4)}
    sets = {
        name: simulated_sources(model, simulator, numbers[name], seed + recipe.seed, output, overwrite)
        for name, seed in SOURCES._asdict().items()
        if len(finished) < len(kinds)
    }
    cards = {}
    for kind in kinds:
        targets, calibrate = KINDS[kind]
        if kind in finished:
            cards[kind] = load_card(paths[kind][0], EnsembleCard)
            continue
        ensemble = train_ensemble(
            targets(sets["train"]),
            recipe.sources,
            output,
            seed=recipe.seed,
            progress=progress,
            overwrite=overwrite,
            device=device,
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
