# Licensed under a 3-clause BSD style license - see LICENSE
"""Classes of candidates on simulated patches of the LAT, with bins of time and without.

The same candidates are judged with all bins of time that are drawn, and with these put together into fewer
and into one. Probabilities are those of the shares of the training at the latitude. A forest learns the
numbers of the fit, the spectrum and the variability of other patches of the same sky.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.special import expit

from gammapy_asid.evaluation import evaluate_classes
from gammapy_asid.evaluation.classification import confusion
from gammapy_asid.evaluation.classification_plots import (
    plot_class_reliability,
    plot_confusion,
    plot_one_against_rest,
)
from gammapy_asid.evaluation.intervals import bootstrap_intervals, bootstrap_weights, share_intervals
from gammapy_asid.simulation.mock_catalog import SOURCE_CLASSES
from gammapy_asid.tasks.classification.figures import kind_probabilities
from gammapy_asid.tasks.classification.loss import FSRQ_ODDS, class_of
from gammapy_asid.tasks.classification.model import ClassificationModel
from gammapy_asid.tasks.classification.recipe import ClassRecipe
from gammapy_asid.tasks.classification.simulator import build_candidate_simulator

from ..common import arguments, rows_to_markdown, write
from .candidates import simulate, simulated
from .peers import crossed, forest

__all__ = ["NAMES", "candidates_of", "options", "true_classes"]

NEEDS = "the emission of the training (--bank or GAMMAPY_ASID_EMISSION), ten minutes for 1600 patches"

NAMES = ("AGN", "PSR", "PWN-SNR", "FAKE")
FSRQ = SOURCE_CLASSES.index("fsrq")
#: Bins of time that are judged; the largest number is drawn.
BINS = (20, 10, 5, 1)
#: Test statistic above which candidates are judged, and the edges of its bins.
BRIGHT, TS_EDGES = 25.0, (25, 49, 100, 400, np.inf)
#: Candidates by name: those of patches without faults, what a user keeps of them, and all. Numbers of faults
#: are those of `~gammapy_asid.simulation.faulty_patches.FAULTS`.
SKIES = {
    "without faults": lambda rows: rows["fault"] <= 0,
    "without faults, score above 0.5": lambda rows: (rows["fault"] <= 0) & (rows["score"] >= 0.5),
    "without faults, predicted": lambda rows: (rows["fault"] <= 0) & rows["has_background"],
    "without faults, predicted, TS > 100": lambda rows: (
        (rows["fault"] <= 0) & (rows["ts"] > 100) & rows["has_background"]
    ),
    "that of the training": lambda rows: rows["fault"] >= -1,
}
#: Resamples of the bootstrap.
N_RESAMPLES = 400
#: Figures of each class with their headings.
PER_CLASS = {
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "roc_area": "area",
    "calibration_error": "calibration error",
}


def true_classes(source_class):
    """Index in `NAMES` of the true classes of candidates.

    Parameters
    ----------
    source_class : `~numpy.ndarray`
        Index in `~gammapy_asid.simulation.mock_catalog.SOURCE_CLASSES`, -1 for fakes.
    """
    number = class_of(torch.as_tensor(source_class).long()).numpy()
    return np.where(number < 0, len(NAMES) - 1, number)


def options(output, description=__doc__):
    """Parser of the programs that judge these candidates.

    Parameters
    ----------
    output : str
        Default of ``--output``.
    description : str
        Docstring of the program.
    """
    own = arguments(description, output, model="lat-classes", bank=None, seed=0)
    own.add_argument("--patches", type=int, default=1600, help="patches that are simulated")
    own.add_argument(
        "--candidates", default="classes_candidates.npz", help="file in which the candidates are kept"
    )
    return own


def candidates_of(args):
    """Candidates of the arguments of `options`, from their file if there is one.

    Parameters
    ----------
    args : `~argparse.Namespace`
        Arguments.
    """
    model = ClassificationModel.load(args.model)
    settings = {"weights": model.card.weights_sha256, "patches": args.patches, "seed": args.seed}

    def make():
        recipe = ClassRecipe(**model.card.recipe)
        if args.bank:
            recipe = recipe.model_copy(update={"emission": args.bank})
        simulator = build_candidate_simulator(recipe)
        return simulate(
            model, simulator.detector, simulator.patches, args.patches, args.seed, max(BINS), BINS
        )

    return simulated(args.candidates, settings, make)


def measure(candidates):
    """Results of `evaluate_classes` as numbers by bins of time, with those of BL Lac against FSRQ."""
    true, results = true_classes(candidates.rows["source_class"]), {}
    for n_bins, logits in candidates.logits.items():
        probability = kind_probabilities(logits, candidates.rows["latitude"])
        found = evaluate_classes(true, probability, NAMES, n_resamples=N_RESAMPLES)
        results[str(n_bins)] = found.numbers | fsrq_figures(candidates, logits)
    return results


def fsrq_figures(candidates, logits):
    """Area under the curve and calibration error of FSRQ against BL Lac among true AGN."""
    is_agn = true_classes(candidates.rows["source_class"]) == 0
    is_fsrq = candidates.rows["source_class"][is_agn] == FSRQ
    if is_fsrq.all() or not is_fsrq.any():
        return {}
    probability = expit(logits.fsrq[is_agn] + np.log(FSRQ_ODDS))
    both = np.column_stack([1 - probability, probability])
    found = evaluate_classes(is_fsrq.astype(int), both, ("BL Lac", "FSRQ"), n_resamples=N_RESAMPLES)
    return {
        "fsrq_area": found.per_class["roc_area"][1].numbers,
        "fsrq_calibration_error": found.per_class["calibration_error"][1].numbers,
        "fsrq_number": found.number.tolist(),
    }


def gain_of_time(candidates, n_bins=10):
    """Recall of each class with and without time in bins of the test statistic, and the difference."""
    true, ts = true_classes(candidates.rows["source_class"]), candidates.rows["ts"]
    right = {
        n: kind_probabilities(candidates.logits[n], candidates.rows["latitude"]).argmax(axis=1) == true
        for n in (n_bins, 1)
    }
    rows = []
    for i, name in enumerate(NAMES):
        for low, high in zip((BRIGHT, *TS_EDGES), (np.inf, *TS_EDGES[1:]), strict=False):
            own = (true == i) & (ts >= low) & (ts < high)
            number = int(own.sum())
            if number:
                rows.append({"class": name, "ts": f"{low:g}-{high:g}", "number": number} | _gain(right, own))
    return rows


def _gain(right, own):
    """Recalls with and without time of some candidates, and their difference."""
    values = [hits[own].astype(float) for hits in right.values()]
    shares = share_intervals([v.mean() for v in values], [len(v) for v in values])
    weights = bootstrap_weights(len(values[0]), N_RESAMPLES)
    difference = weights @ (values[0] - values[1]) / weights.sum(axis=1)
    return {
        "with": shares[0].numbers,
        "without": shares[1].numbers,
        "gain": bootstrap_intervals(difference[:, None])[0].numbers,
    }


def fsrq_gain(candidates, n_bins=10):
    """Area of FSRQ against BL Lac with and without time in bins of the test statistic."""
    rows, ts = [], candidates.rows["ts"]
    for low, high in zip((BRIGHT, *TS_EDGES), (np.inf, *TS_EDGES[1:]), strict=False):
        own = candidates.select((ts >= low) & (ts < high))
        figures = [fsrq_figures(own, own.logits[n]) for n in (n_bins, 1)]
        if figures[0]:
            areas = [own["fsrq_area"] for own in figures]
            number = figures[0]["fsrq_number"]
            rows.append({"ts": f"{low:g}-{high:g}", "number": number, "with": areas[0], "without": areas[1]})
    return rows


def peer(candidates, seed=0):
    """Figures of a forest on the numbers that the network sees, with time."""
    true = true_classes(candidates.rows["source_class"])
    numbers = np.column_stack([candidates.numbers, np.abs(candidates.rows["latitude"])])
    probability = crossed(forest(seed=seed), numbers, true, candidates.rows["patch"])
    found = evaluate_classes(true, probability, NAMES, n_resamples=N_RESAMPLES).numbers
    return found | {"fsrq_area": forest_fsrq_area(candidates, numbers, true == 0, seed)}


def forest_fsrq_area(candidates, numbers, is_agn, seed):
    """Area of FSRQ against BL Lac of a forest among true AGN."""
    is_fsrq = (candidates.rows["source_class"][is_agn] == FSRQ).astype(int)
    own = crossed(forest(seed=seed), numbers[is_agn], is_fsrq, candidates.rows["patch"][is_agn])
    found = evaluate_classes(is_fsrq, own, ("BL Lac", "FSRQ"), n_resamples=N_RESAMPLES)
    return found.per_class["roc_area"][1].numbers


def cell(numbers):
    """A figure with its 68 % interval as text."""
    if not numbers or not np.isfinite(numbers["value"]):
        return "-"
    return "{:.3f} [{:.3f}, {:.3f}]".format(numbers["value"], *numbers["interval_68"])


def to_markdown(results):
    """Tables: figures of all skies and bins, of each class, and the gain of time."""
    header = ["sky", "classifier", "n AGN/PSR/PWN-SNR/FAKE", "right", "macro-F1", "BL Lac against FSRQ: area"]
    rows, classes = [], []
    for sky, own in results.items():
        for name, found in own["figures"].items():
            label = {"forest": "forest, 20 bins", "1": "no time"}.get(name, f"{name} bins")
            texts = (cell(found.get(key)) for key in ("accuracy", "macro_f1", "fsrq_area"))
            rows.append([sky, label, "/".join(map(str, found["number"])), *texts])
            if name not in ("5", "20"):
                classes += [[sky, label, *row] for row in class_rows(found)]
    text = rows_to_markdown(header, rows) + "\n"
    header = ["sky", "classifier", "class", *PER_CLASS.values(), "calibration error by chance"]
    text += rows_to_markdown(header, classes) + "\n"
    return text + "\n".join(gain_tables(results))


def class_rows(found):
    """Rows of the classes of one classifier."""
    for i, kind in enumerate(NAMES):
        yield [kind, *(cell(found[key][i]) for key in PER_CLASS), f"{found['calibration_chance'][i][0]:.3f}"]


def gain_tables(results):
    """Tables of the gain of time on the first sky: by class, and for BL Lac against FSRQ."""
    sky, own = next(iter(results.items()))
    rows = [
        [r["class"], r["ts"], str(r["number"]), cell(r["with"]), cell(r["without"]), cell(r["gain"])]
        for r in own["gain"]
    ]
    header = [f"class, sky {sky}", "TS", "n", "recall, ten bins", "recall, no time", "gain"]
    yield rows_to_markdown(header, rows)
    rows = [
        [r["ts"], "/".join(map(str, r["number"])), cell(r["with"]), cell(r["without"])]
        for r in own["fsrq_gain"]
    ]
    header = [f"TS, sky {sky}", "n BL Lac/FSRQ", "area, ten bins", "area, no time"]
    yield rows_to_markdown(header, rows)


def figures(candidates):
    """Confusion with and without time, reliability, and one class against the rest, by end of the name."""
    true = true_classes(candidates.rows["source_class"])
    probability = {n: kind_probabilities(candidates.logits[n], candidates.rows["latitude"]) for n in (10, 1)}
    fig, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    number = np.bincount(true, minlength=len(NAMES))
    for ax, (n_bins, own) in zip(axes, probability.items(), strict=True):
        plot_confusion(confusion(true, own.argmax(axis=1), len(NAMES)), NAMES, ax=ax, number=number)
        ax.set_title("ten bins of time" if n_bins > 1 else "without time")
    return {
        "_confusion": fig,
        "_reliability": plot_class_reliability(true, probability[10], NAMES),
        "_rest": plot_one_against_rest(true, probability[10], NAMES),
    }


def parser():
    """Arguments."""
    return options("classes_simulated")


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    candidates = candidates_of(args)
    bright = candidates.select(candidates.rows["ts"] > BRIGHT)
    results, pictures = {}, None
    for name, kept in SKIES.items():
        own = bright.select(kept(bright.rows))
        results[name] = {
            "figures": measure(own) | {"forest": peer(own)},
            "gain": gain_of_time(own),
            "fsrq_gain": fsrq_gain(own),
        }
        pictures = pictures or figures(own)
    write(args.output, results, to_markdown(results), pictures)


if __name__ == "__main__":
    main()
