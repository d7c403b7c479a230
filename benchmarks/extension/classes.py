# Licensed under a 3-clause BSD style license - see LICENSE
"""Classes and sizes of simulated sources that no training and no calibration saw."""

import numpy as np

from gammapy_asid.evaluation.classification import (
    balanced_accuracy,
    balanced_choice,
    class_calibration_error,
    confusion,
)
from gammapy_asid.learning.score_calibration import expected_calibration_error
from gammapy_asid.simulation.imaging import ImagingInstrument
from gammapy_asid.simulation.scenes import Scene, SimulatedStamps
from gammapy_asid.simulation.stamp_simulator import StampSimulator
from gammapy_asid.tasks.extension.calibrate import draw_stamps, simulated_predictions
from gammapy_asid.tasks.extension.model import ExtensionModel, Extensions
from gammapy_asid.tasks.extension.recipe import ExtensionRecipe
from gammapy_asid.tasks.extension.simulator import HOUR, build_stamp_simulator, place_at

from ..common import arguments, rows_to_markdown, spread68, write
from .classes_figures import draw_figures
from .limit import posterior_classes

__all__ = ["PUBLISHED", "published_simulator", "two_classes"]

NEEDS = "the responses of the CTAO in GAMMAPY_DATA, ten minutes"

#: Neither training nor calibration use these seeds.
SEED = 2**40
#: The exposure that reproduces the counts of the published classifier: prod5 South, 1 deg off the pointing.
HOURS, OFFSET, IRF = 41.0, 1.0, "prod5-south"
#: Fluxes, indices and sizes of the published classifier.
PUBLISHED = Scene(hours=(HOURS, HOURS), index=(2.2, 0.1))
#: The same in a survey of the plane: emission known to 15 %, neighbours half of which are known, a
#: background known to 1 % and worse, positions off by 0.02 deg and a tenth of the size.
SURVEY = Scene(
    hours=(HOURS, HOURS),
    index=(2.2, 0.1),
    emission=1.0,
    neighbours=0.7,
    offset=(0.02, 0.1),
    background_error=0.01,
    exact=0.0,
)
#: Points against sources with a size from 0.05 deg.
POINTS = Scene(hours=(HOURS, HOURS), index=(2.2, 0.1), points=0.5, size=(0.05, 1.0))
#: Sources of the first set whose stamps are kept for pictures: whole batches.
N_SHOWN = 1536
#: Columns of the tables.
ACCURACIES = ["sources", "n", "C0 against C1, C2", "three classes", "most probable: C0", "three classes"]
CALIBRATIONS = ["set", "n", "ECE classes", "ECE extended", "inside 68 %", "inside 95 %", "scatter ln size"]
CALIBRATIONS += ["TS > 25"]
#: Samples of sources.
CUTS = {
    "all fluxes": lambda truth: np.ones(len(truth.size), bool),
    "TS > 25": lambda truth: truth.ts > 25,
    "K0 >= 1e-12": lambda truth: truth.amplitude >= 1e-12,
}


def published_simulator(size):
    """Simulator of the published exposure."""
    instrument = ImagingInstrument.from_irf(IRF)
    place = place_at(instrument, np.array([[OFFSET], [0.0]]), np.array([HOUR]), size)
    return StampSimulator([place], [PUBLISHED])


def two_classes(probability):
    """Probabilities of C0, and of all larger classes together."""
    return np.column_stack([probability[:, 0], probability[:, 1:].sum(axis=1)])


def summary(truth, predicted, edges):
    """Rows of balanced accuracies, C0 against the larger classes and three classes, for every sample.

    First of the choice that serves balanced accuracy, then of the most probable class.
    """
    true, probability = truth.classes(edges), predicted.probability
    share = np.bincount(true, minlength=probability.shape[1]) / len(true)
    both = two_classes(probability)
    balanced = balanced_choice(both, two_classes(share[None])[0]), balanced_choice(probability, share)
    plain = both.argmax(axis=1), probability.argmax(axis=1)
    rows = []
    for name, cut in CUTS.items():
        own = cut(truth)
        values = []
        for two, three in (balanced, plain):
            values += [balanced_accuracy(true[own] > 0, two[own]), balanced_accuracy(true[own], three[own])]
        rows.append([name, f"{own.sum()}", *(f"{value:.4f} ± {error:.4f}" for value, error in values)])
    return rows


def calibration_row(name, truth, predicted, edges):
    """Calibration of probabilities and intervals of one set."""
    extended = truth.size > 0
    low, high = predicted.size[extended][:, [1, 3]].T
    low95, high95 = predicted.size[extended][:, [0, 4]].T
    size = truth.size[extended]
    deviation = np.log(predicted.size[extended][:, 2] / size)
    bright = truth.ts[extended] > 25
    return [
        name,
        f"{len(truth.size)}",
        f"{class_calibration_error(predicted.probability, truth.classes(edges)):.4f}",
        f"{expected_calibration_error(predicted.extended, extended):.4f}" if not extended.all() else "",
        f"{((size >= low) & (size <= high)).mean():.3f}",
        f"{((size >= low95) & (size <= high95)).mean():.3f}",
        f"{spread68(deviation):.3f}",
        f"{spread68(deviation[bright]):.3f}",
    ]


def parser():
    """Arguments."""
    own = arguments(__doc__, "extension", model="cta-extension")
    own.add_argument("--sources", type=int, default=6000, help="sources of each set")
    return own


def point_rows(truth, predicted):
    """Rows of balanced accuracies of points against extended sources."""
    rows = []
    for name, cut in CUTS.items():
        own = cut(truth)
        accuracy, error = balanced_accuracy(truth.size[own] > 0, predicted.extended[own] > 0.5)
        rows.append([name, f"{own.sum()}", f"{accuracy:.4f} ± {error:.4f}"])
    return rows


def section(title, header, rows):
    """Lines of a section with a table."""
    return [f"### {title}", "", rows_to_markdown(header, rows), ""]


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    model = ExtensionModel.load(args.model)
    edges, recipe = model.card.edges, ExtensionRecipe(**model.card.recipe)
    simulator = published_simulator(recipe.size)
    sets = {
        "isolated": (simulator, PUBLISHED),
        "survey": (simulator, SURVEY),
        "points": (simulator, POINTS),
        # Other places than those of the training.
        "training, isolated": (None, recipe.scenes[0]),
        "training, survey": (None, recipe.scenes[1]),
        "training, other telescopes": (None, recipe.scenes[2]),
    }
    other = build_stamp_simulator(recipe.model_copy(update={"seed": SEED, "places": 60}))
    lines, results, calibration = [], {}, []
    drawn = {}
    isolated = list(draw_stamps(simulator, N_SHOWN, SEED, PUBLISHED))
    for i, (name, (own, scene)) in enumerate(sets.items()):
        batches = draw_stamps(own or other, args.sources, SEED + i, scene)
        truth, output = simulated_predictions(model, batches)
        predicted = model.calibrated(output)
        drawn[name] = truth, predicted
        rows = summary(truth, predicted, edges)
        calibration.append(calibration_row(name, truth, predicted, edges))
        matrix = confusion(truth.classes(edges), predicted.probability.argmax(axis=1), len(edges) + 1)
        results[name] = {"accuracy": rows, "confusion": matrix.tolist()}
        lines += section(name, ACCURACIES, rows)
        if scene is PUBLISHED:
            batches = draw_stamps(own, args.sources, SEED + i, scene)
            limit = np.concatenate([posterior_classes(own, scene, edges, batch) for batch in batches])
            results[name]["limit"] = summary(truth, Extensions(limit, None, None), edges)
            lines += section("isolated, limit", ACCURACIES, results[name]["limit"])
    results["points"]["point or extended"] = rows = point_rows(*drawn["points"])
    lines += section("Point or extended", ["sources", "n", "point against size >= 0.05 deg"], rows)
    lines += section("Calibration", CALIBRATIONS, calibration)
    results["calibration"] = calibration
    stamps = SimulatedStamps.cat(isolated).stamps
    figures = draw_figures(model, stamps, *drawn["isolated"], survey=drawn["survey"])
    write(args.output, results, "\n".join(lines), figures)


if __name__ == "__main__":
    main()
