# Licensed under a 3-clause BSD style license - see LICENSE
"""Calibrate a classifier of extension on simulations that trained nothing, and write it with its card."""

from dataclasses import asdict
from importlib.metadata import version

import numpy as np
import torch
import torch.nn.functional as F

from ..evaluation.calibration import expected_calibration_error, fit_knots
from ..evaluation.uncertainty import fit_quantiles
from ..networks.description import psf_radius
from ..networks.extension_model import LEVELS, ExtensionModel
from ..simulation.extension_stamps import SimulatedStamps
from ..weights import ExtensionCard, save_model
from .extension import classes_of
from .release import ranges

__all__ = ["CALIBRATION_SEED", "TEST_SEED", "draw_stamps", "release_extension"]

#: Seeds that neither training nor validation use.
CALIBRATION_SEED, TEST_SEED = 2**33, 2**34
BATCH = 256


def draw_stamps(simulator, n, seed, scene=None, keep_source=False):
    """Simulated stamps, many batches joined.

    Parameters
    ----------
    simulator : `~gammapy_asid.simulation.extension_stamps.StampSimulator`
        Simulator.
    n : int
        Number of stamps.
    seed : int
        Seed.
    scene, keep_source
        See `~gammapy_asid.simulation.extension_stamps.StampSimulator.draw`.
    """
    sizes = [min(BATCH, n - i) for i in range(0, n, BATCH)]
    return SimulatedStamps.cat(
        [simulator.draw(k, (seed, i), scene, keep_source) for i, k in enumerate(sizes)]
    )


def release_extension(network, recipe, simulator, path, overwrite=False):
    """Calibrate a trained network and write it with its card.

    Parameters
    ----------
    network : `~gammapy_asid.networks.extension.ExtensionNetwork`
        Trained network.
    recipe : `~gammapy_asid.training.extension_recipe.ExtensionRecipe`
        Recipe of the training.
    simulator : `~gammapy_asid.simulation.extension_stamps.StampSimulator`
        Simulator of the training.
    path : path
        Weight file, ``NAME.safetensors``.
    overwrite : bool
        Replace existing files.

    Returns
    -------
    card : `~gammapy_asid.weights.ExtensionCard`
        Card as written.
    """
    responses = [place.response for place in simulator.places]
    level = np.array([place.background.mean((1, 2)) for place in simulator.places])
    level = np.where(level > 0, level, np.nan)
    hours = np.array([scene.hours for scene in recipe.scenes])
    card = ExtensionCard(
        name=recipe.name,
        version=version("gammapy-asid"),
        architecture=asdict(network.config),
        bands=asdict(simulator.bands),
        edges=recipe.edges,
        size_range=(min(s.size[0] for s in recipe.scenes), max(s.size[1] for s in recipe.scenes)),
        psf_r68=ranges(np.array([psf_radius(response) for response in responses])),
        background=ranges(np.concatenate([level * hours.min(), level * hours.max()])),
        temperature=1.0,
        bias=(0.0,) * (len(recipe.edges) + 1),
        extended_knots=((-1.0, -1.0), (1.0, 1.0)),
        levels=LEVELS,
        size_quantiles=((0.0, *np.zeros(len(LEVELS))),),
        recipe=recipe.model_dump(mode="json"),
        recipe_sha256=recipe.sha256,
        metrics={},
        package_version=version("gammapy-asid"),
    )
    parts = [
        draw_stamps(simulator, recipe.calibration_stamps, CALIBRATION_SEED + i, scene)
        for i, scene in enumerate(recipe.scenes)
    ]
    card = card.model_copy(update=_calibration(ExtensionModel(card, network), SimulatedStamps.cat(parts)))
    model = ExtensionModel(card, network)
    metrics = {
        f"scene {i}": _metrics(model, draw_stamps(simulator, recipe.calibration_stamps, TEST_SEED + i, scene))
        for i, scene in enumerate(recipe.scenes)
    }
    card = card.model_copy(update={"metrics": metrics})
    return save_model(path, network.state_dict(), card, overwrite=overwrite)


def _calibration(model, simulated):
    """Fields of the card that make probabilities and intervals true."""
    output = model.output(simulated.stamps)
    target = classes_of(simulated.size, model.card.edges)
    # Temperature and one bias a class (Guo et al. 2017, ICML, eq. 9), by maximum likelihood.
    log_t = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(len(model.card.edges) + 1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([log_t, bias], max_iter=100, line_search_fn="strong_wolfe")
    logits = output.classes.double()

    def closure():
        optimiser.zero_grad()
        loss = F.cross_entropy(logits * torch.exp(-log_t) + bias, target)
        loss.backward()
        return loss

    with torch.enable_grad():
        optimiser.step(closure)
    extended = simulated.size > 0
    n_knots = min(30, len(simulated) // 20)
    knots = fit_knots(torch.sigmoid(output.extended.double()).numpy(), extended.numpy(), n_knots)
    error = torch.exp(output.log_error[extended]).double().numpy()
    deviation = torch.log(simulated.size[extended]) - output.log_size[extended]
    rows = fit_quantiles(deviation.double().numpy() / error, error, LEVELS)
    return {
        "temperature": float(log_t.detach().exp()),
        "bias": tuple((bias - bias.mean()).detach().tolist()),
        "extended_knots": tuple(map(tuple, knots.tolist())),
        "size_quantiles": tuple(map(tuple, rows.tolist())),
    }


def _metrics(model, simulated):
    """Figures for the card."""
    predicted = model.predict(simulated.stamps)
    target = classes_of(simulated.size, model.card.edges).numpy()
    extended, bright = simulated.size.numpy() > 0, simulated.ts.numpy() > 25
    right = predicted.probability.argmax(1) == target
    low, high = predicted.size[extended][:, [1, 3]].T
    size = simulated.size.numpy()[extended]
    score = predicted.probability.ravel()
    is_class = (target[:, None] == np.arange(predicted.probability.shape[1])).ravel()
    values = {
        "accuracy": right.mean(),
        "accuracy_ts25": right[bright].mean() if bright.any() else np.nan,
        "expected_calibration_error": expected_calibration_error(score, is_class),
        "size_coverage_68": ((size >= low) & (size <= high)).mean(),
    }
    return {name: round(float(value), 4) for name, value in values.items()} | {"n": len(simulated)}
