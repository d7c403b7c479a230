# Licensed under a 3-clause BSD style license - see LICENSE
"""Calibrate a classifier of extension on simulations that trained nothing."""

from itertools import chain

import numpy as np
import torch

from ...evaluation.classification import class_calibration_error
from ...inputs.psf import psf_radius
from ...learning.domain import ranges
from ...learning.interval_calibration import fit_quantiles
from ...learning.score_calibration import fit_knots
from ...learning.seeds import EXTENSION
from ...learning.temperature import fit_temperature
from .model import LEVELS, ExtensionModel
from .network import ExtensionOutput
from .truth import ExtensionTruth

__all__ = ["calibration", "draw_stamps", "range_fields", "simulated_predictions"]

#: Stamps drawn at once, which fit into any memory.
BATCH = 256


def draw_stamps(simulator, n, seed, scene=None):
    """Simulated stamps in batches, which need not fit into the memory together.

    Parameters
    ----------
    simulator : `~gammapy_asid.simulation.stamp_simulator.StampSimulator`
        Simulator.
    n : int
        Number of stamps.
    seed : int
        Seed.
    scene : `~gammapy_asid.simulation.scenes.Scene`, optional
        What is simulated; by default a mixture.

    Yields
    ------
    simulated : `~gammapy_asid.simulation.scenes.SimulatedStamps`
        Up to `BATCH` stamps.
    """
    for i, first in enumerate(range(0, n, BATCH)):
        yield simulator.draw(min(BATCH, n - first), (seed, i), scene)


def simulated_predictions(model, batches):
    """Truth and raw predictions of simulated stamps.

    Parameters
    ----------
    model : `~gammapy_asid.tasks.extension.model.ExtensionModel`
        Model.
    batches : iterable of `~gammapy_asid.simulation.scenes.SimulatedStamps`
        Stamps.

    Returns
    -------
    truth : `~gammapy_asid.tasks.extension.truth.ExtensionTruth`
        True sources.
    output : `~gammapy_asid.tasks.extension.network.ExtensionOutput`
        Predictions.
    """
    truths, outputs = [], []
    for simulated in batches:
        truths.append([v.numpy() for v in (simulated.size, simulated.ts, simulated.amplitude)])
        outputs.append(model.output(simulated.stamps))
    truth = ExtensionTruth(*(np.concatenate(values) for values in zip(*truths, strict=True)))
    return truth, ExtensionOutput.cat(outputs)


def range_fields(simulator, recipe):
    """Entries of a card that say what it was trained for, and those of no calibration.

    Parameters
    ----------
    simulator : `~gammapy_asid.simulation.stamp_simulator.StampSimulator`
        Simulator of the training.
    recipe : `~gammapy_asid.tasks.extension.recipe.ExtensionRecipe`
        Recipe of the training.

    Returns
    -------
    fields : dict
        Entries of the `~gammapy_asid.tasks.extension.card.ExtensionCard`.
    """
    level = np.array([place.background.mean((1, 2)) for place in simulator.places])
    level = np.where(level > 0, level, np.nan)
    hours = np.array([scene.hours for scene in recipe.scenes])
    return {
        "edges": recipe.edges,
        "size_range": (min(s.size[0] for s in recipe.scenes), max(s.size[1] for s in recipe.scenes)),
        "psf_r68": ranges(np.array([psf_radius(place.response) for place in simulator.places])),
        "background": ranges(np.concatenate([level * hours.min(), level * hours.max()])),
        "temperature": 1.0,
        "bias": (0.0,) * (len(recipe.edges) + 1),
        "extended_knots": ((-1.0, -1.0), (1.0, 1.0)),
        "levels": LEVELS,
        "size_quantiles": ((0.0, *np.zeros(len(LEVELS))),),
        "metrics": {},
    }


def calibration(card, network, simulator, recipe):
    """Entries that make the probabilities and sizes of a card true, and figures on other simulations.

    Parameters
    ----------
    card : `~gammapy_asid.tasks.extension.card.ExtensionCard`
        Card with `range_fields`.
    network : `~gammapy_asid.tasks.extension.network.ExtensionNetwork`
        Trained network.
    simulator : `~gammapy_asid.simulation.stamp_simulator.StampSimulator`
        Simulator of the training.
    recipe : `~gammapy_asid.tasks.extension.recipe.ExtensionRecipe`
        Recipe of the training.

    Returns
    -------
    fields : dict
        Entries of the card.
    """
    n, scenes = recipe.calibration_stamps, list(enumerate(recipe.scenes))
    model = ExtensionModel(card, network)
    batches = (draw_stamps(simulator, n, EXTENSION.calibration + i, scene) for i, scene in scenes)
    fitted = _fitted(card.edges, *simulated_predictions(model, chain.from_iterable(batches)))
    model = ExtensionModel(card.model_copy(update=fitted), network)
    metrics = {
        f"scene {i}": _metrics(
            model, *simulated_predictions(model, draw_stamps(simulator, n, EXTENSION.test + i, scene))
        )
        for i, scene in scenes
    }
    return fitted | {"metrics": metrics}


def _fitted(edges, truth, output):
    """Fields of the card that make probabilities and intervals true."""
    target = torch.from_numpy(truth.classes(edges))
    temperature, bias = fit_temperature(output.classes.double(), target)
    extended = truth.size > 0
    # Twenty sources a knot, of which some are points
    n_knots = min(30, len(extended) // 20)
    knots = fit_knots(torch.sigmoid(output.extended.double()).numpy(), extended, n_knots)
    error = torch.exp(output.log_error).double().numpy()[extended]
    deviation = np.log(truth.size[extended]) - output.log_size.double().numpy()[extended]
    rows = fit_quantiles(deviation / error, error, LEVELS)
    return {
        "temperature": temperature,
        "bias": bias,
        "extended_knots": tuple(map(tuple, knots.tolist())),
        "size_quantiles": tuple(map(tuple, rows.tolist())),
    }


def _metrics(model, truth, output):
    """Figures for the card."""
    predicted, target = model.calibrated(output), truth.classes(model.card.edges)
    extended, bright = truth.size > 0, truth.ts > 25
    right = predicted.probability.argmax(axis=1) == target
    low, high = predicted.size[extended][:, [1, 3]].T
    size = truth.size[extended]
    values = {
        "accuracy": right.mean(),
        "accuracy_ts25": right[bright].mean() if bright.any() else np.nan,
        "expected_calibration_error": class_calibration_error(predicted.probability, target),
        "size_coverage_68": ((size >= low) & (size <= high)).mean(),
    }
    return {name: round(float(value), 4) for name, value in values.items()} | {"n": len(target)}
