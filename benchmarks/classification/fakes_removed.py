# Licensed under a 3-clause BSD style license - see LICENSE
"""False candidates that are left at equal recall where a classifier scores them again.

Patches are simulated on the emission of the training, on emission that no training saw, and with the faults
of skies, masks and models of the training; candidates are those of the detector. Recall counts true sources
of an expected significance above 2. Intervals are of a bootstrap over patches.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from gammapy_asid.evaluation.intervals import bootstrap_intervals, bootstrap_weights, short
from gammapy_asid.simulation import EmissionBank, draw_sky
from gammapy_asid.simulation.faulty_patches import FaultyLatSimulator
from gammapy_asid.simulation.lat_patches import LatSimulator
from gammapy_asid.tasks.classification.model import ClassificationModel
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.detection.recipe import DetectionRecipe
from gammapy_asid.tasks.detection.simulator import emission_blur, recipe_responses

from ..common import arguments, rows_to_markdown, write
from ..skies.open_skies import load_bank, load_unseen
from .candidates import simulate

__all__ = [
    "LEFT_HEADER",
    "ExactPrediction",
    "OtherPrediction",
    "left_at_recall",
    "left_figures",
    "left_rows",
]

NEEDS = "data, ten minutes for 256 patches a sky"

#: Recalls at which false candidates are counted.
RECALLS = (0.3, 0.4, 0.5, 0.6)
#: Scores by name: the detector's, and the classifier's without and with bins of time.
SCORES = {"detector": None, "without time": 1, "ten bins": 10}
#: Resamples of the patches.
N_RESAMPLES = 300
#: Heads of the columns of `left_rows`.
LEFT_HEADER = [
    "score",
    *(f"false a patch, recall {r:g}" for r in RECALLS),
    *(f"ratio, {r:g}" for r in RECALLS),
]


class ExactPrediction(LatSimulator):
    """Patches whose given prediction is the emission itself."""

    def _intensity(self, generator, instrument, centres, roll):
        truth, _ = super()._intensity(generator, instrument, centres, roll)
        return truth, truth


class OtherPrediction(LatSimulator):
    """Patches whose prediction is made of other models than their emission.

    Parameters
    ----------
    *args, **kwargs
        See `~gammapy_asid.simulation.lat_patches.LatSimulator`.
    known : `~torch.Tensor`
        Intensities of the emission bank of the prediction.
    """

    def __init__(self, *args, known, **kwargs):
        super().__init__(*args, **kwargs)
        self.known = known

    def _intensity(self, generator, instrument, centres, roll):
        truth, _ = super()._intensity(generator, instrument, centres, roll)
        self.emission, kept = self.known, self.emission
        try:
            prediction, _ = super()._intensity(generator, instrument, centres, roll)
        finally:
            self.emission = kept
        return truth, prediction


def skies(recipe, bank, unseen):
    """Simulators by name.

    Parameters
    ----------
    recipe : `~gammapy_asid.tasks.detection.recipe.DetectionRecipe`
        Recipe of the detector.
    bank, unseen : `~gammapy_asid.simulation.EmissionBank`
        Emission models of the training, and others.
    """
    responses, weights = recipe_responses(recipe)
    blur = emission_blur(responses, weights)
    own, other = (models.smooth(blur).to_torch() for models in (bank, whole_sky(unseen)))
    return {
        "emission of the training, exact prediction": ExactPrediction(
            responses, weights, own, draw_sky, background_share=1.0
        ),
        "emission of the training, wrong prediction": LatSimulator(
            responses, weights, own, draw_sky, background_share=1.0
        ),
        "emission of the training, no prediction": LatSimulator(
            responses, weights, own, draw_sky, background_share=0.0
        ),
        "other emission, wrong prediction": LatSimulator(
            responses, weights, other, draw_sky, background_share=1.0
        ),
        "other emission, predicted by the training's": OtherPrediction(
            responses, weights, other, draw_sky, background_share=1.0, known=own
        ),
        "faults of the training": FaultyLatSimulator(responses, weights, own, draw_sky),
    }


def whole_sky(bank):
    """Models of a bank that say something everywhere."""
    known = [bool(np.isfinite(values).all()) for values in bank.intensity]
    names = tuple(name for name, own in zip(bank.names, known, strict=True) if own)
    return EmissionBank(names, np.asarray(bank.intensity)[known])


def left_at_recall(score, is_real, patch, n_true, recalls, weights):
    """False candidates above the threshold where a recall is reached.

    Parameters
    ----------
    score : `~numpy.ndarray`
        Scores, shape ``(n,)``.
    is_real, patch : `~numpy.ndarray`
        Whether each is a true source, and its patch.
    n_true : `~numpy.ndarray`
        True sources of each patch, shape ``(n_patches,)``.
    recalls : array-like
        Recalls, shape ``(n_recalls,)``.
    weights : `~numpy.ndarray`
        Weights of the patches, shape ``(n_weightings, n_patches)``.

    Returns
    -------
    left : `~numpy.ndarray`
        Weight of the false ones, NaN where the recall is not reached, ``(n_weightings, n_recalls)``.
    """
    order = np.argsort(-score, kind="stable")
    real, own = is_real[order], weights[:, patch[order]].astype(float)
    found = np.cumsum(own * real, axis=1) / (weights @ n_true.astype(float))[:, None]
    false = np.cumsum(own * ~real, axis=1)
    left = np.full((len(weights), len(recalls)), np.nan)
    for row, (recall, wrong) in enumerate(zip(found, false, strict=True)):
        place = np.searchsorted(recall, recalls)
        reached = place < len(recall)
        left[row, reached] = wrong[place[reached]]
    return left


def left_figures(scores, is_real, patch, n_true):
    """False candidates a patch by score and recall, and their ratio to those of the first score.

    Parameters
    ----------
    scores : dict of `~numpy.ndarray`
        Scores of the candidates by name, shape ``(n,)`` each.
    is_real, patch, n_true
        See `left_at_recall`.

    Returns
    -------
    figures : dict
        For each score ``left`` and ``ratio`` at the `RECALLS`, with intervals.
    """
    weights = bootstrap_weights(len(n_true), N_RESAMPLES)
    left = {
        name: left_at_recall(score, is_real, patch, n_true, RECALLS, weights)
        for name, score in scores.items()
    }
    first, result = next(iter(left.values())), {}
    for name, own in left.items():
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = own / first
        result[name] = {
            "left": _intervals(own / weights.sum(axis=1, keepdims=True)),
            "ratio": _intervals(ratio),
        }
    return result


def _intervals(values):
    """Figures with intervals as numbers; resamples that have none are left out."""
    found = []
    for own in values.T:
        some = own[np.isfinite(own)] if np.isfinite(own[0]) else np.full(2, np.nan)
        found.append(bootstrap_intervals(some[:, None])[0].numbers)
    return found


def figures(candidates):
    """Numbers of candidates and sources of one sky, and results of `left_figures`.

    Parameters
    ----------
    candidates : `~benchmarks.classification.candidates.JudgedCandidates`
        Candidates of one sky.
    """
    is_real, n_true = candidates.rows["source_class"] >= 0, candidates.n_true
    scores = {name: score_of(candidates, name) for name in SCORES}
    return {
        "patches": len(n_true),
        "candidates": len(is_real),
        "real": int(is_real.sum()),
        "true": int(n_true.sum()),
    } | left_figures(scores, is_real, candidates.rows["patch"], n_true)


def score_of(candidates, name):
    """Scores of one of `SCORES`."""
    n_bins = SCORES[name]
    return candidates.rows["score"] if n_bins is None else candidates.logits[n_bins].real


def to_markdown(results):
    """Table of the skies."""
    rows = [
        [sky, *row] for sky, own in results.items() for row in left_rows({name: own[name] for name in SCORES})
    ]
    return rows_to_markdown(["sky", *LEFT_HEADER], rows)


def left_rows(found):
    """Rows of a table of results of `left_figures`."""
    for i, (name, own) in enumerate(found.items()):
        ratios = [_cell(v) if i else "1" for v in own["ratio"]]
        yield [name, *(_cell(v) for v in own["left"]), *ratios]


def _cell(numbers):
    if not np.isfinite(numbers["value"]):
        return "-"
    low, high = numbers["interval_68"]
    return f"{short(numbers['value'])} [{short(low)}, {short(high)}]"


def figure(parts):
    """Purity against recall of all skies."""
    fig, axes = plt.subplots(2, 3, figsize=(13, 8), layout="constrained", sharex=True, sharey=True)
    styles = {"detector": ("0.4", "-"), "without time": ("C0", "--"), "ten bins": ("C1", "-")}
    for ax, (name, candidates) in zip(axes.flat, parts.items(), strict=True):
        is_real, total = candidates.rows["source_class"] >= 0, candidates.n_true.sum()
        for score, (color, line) in styles.items():
            real = is_real[np.argsort(-score_of(candidates, score), kind="stable")]
            found = np.cumsum(real)
            some = slice(9, None)
            purity, recall = (found / np.arange(1, len(real) + 1))[some], (found / total)[some]
            ax.plot(recall, purity, color=color, ls=line, label=score)
        ax.set_title(f"{name}\n{len(candidates.n_true)} patches, {total} sources", fontsize="medium")
        ax.grid(alpha=0.3)
    axes[0, 0].legend(title="scored by", loc="lower left")
    axes[0, 0].set(xlim=(0, 0.8), ylim=(0.5, 1.005))
    for ax in axes[1]:
        ax.set_xlabel("Recall of sources above 2 standard deviations")
    for ax in axes[:, 0]:
        ax.set_ylabel("Purity")
    return fig


def parser():
    """Arguments."""
    own = arguments(__doc__, "classes_fakes", data=False, model="lat-classes", bank=None, unseen=None, seed=0)
    own.add_argument("--detector", default="lat", help="name or path of the detector")
    own.add_argument("--patches", type=int, default=256, help="patches of each sky")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    classifier, detector = ClassificationModel.load(args.model), DetectionModel.load(args.detector)
    bank, unseen = load_bank(args.bank, args.data), load_unseen(args.unseen, args.data)
    simulators = skies(DetectionRecipe(**detector.card.recipe), bank, unseen)
    parts = {
        name: simulate(classifier, detector, simulator, args.patches, args.seed, 10, (10, 1))
        for name, simulator in simulators.items()
    }
    results = {name: figures(part) for name, part in parts.items()}
    write(args.output, results, to_markdown(results), figure(parts))


if __name__ == "__main__":
    main()
