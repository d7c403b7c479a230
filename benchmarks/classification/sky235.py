# Licensed under a 3-clause BSD style license - see LICENSE
"""Classes of the candidates on the simulated sky 235 of Panes et al. 2021 (A&A 656, A62).

AGN, pulsars and fakes are told apart without time. Beside the network stand the photons: the odds of the true
population of that sky, each source told by the others, with all else known. Fits of spectra and a forest
learn from other candidates of the same sky. A choice is "most probable" for the shares of the classes among
the candidates, "balanced" for equal shares, as that of the published network.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy.special import softmax

from gammapy_asid.evaluation import evaluate_classes, purity_recall
from gammapy_asid.evaluation.classification_plots import plot_confusion
from gammapy_asid.evaluation.intervals import share_intervals
from gammapy_asid.stats.template_spectra import TEMPLATES
from gammapy_asid.tasks.classification.model import ClassificationModel
from gammapy_asid.tasks.classification.prior import SkyShares, class_probabilities
from gammapy_asid.tasks.detection.model import DetectionModel

from ..common import arguments, rows_to_markdown, write
from ..skies.sky235 import load_sky235, random_patches
from ..skies.sky235_patches import sky_response
from ..skies.sky235_spectra import CLASSES, load_classes, load_spectra
from .fakes_removed import LEFT_HEADER, left_figures, left_rows
from .peers import crossed, curvature_numbers, forest, spectral_fit
from .photon_limit import Population
from .sky_candidates import KnownSources, is_inside, sky_candidates

NEEDS = "data, ten minutes for 256 patches"

NAMES = (*CLASSES, "FAKE")
#: Of the published network: all together, and each class.
PUBLISHED = (0.71, 0.70, 0.80, 0.75)
#: Lowest scores, and purities of the detection alone, at which candidates are chosen.
THRESHOLDS, PURITIES = (0.1, 0.5), (0.878, 0.95)
#: Edges of bins of the test statistic of the fit.
TS_EDGES = (0, 9, 16, 25, 49, 100, 400, np.inf)
#: Probability from which a candidate counts as told.
TOLD = 0.9


def photon_probabilities(candidates, population, known):
    """Probabilities of AGN, PSR and fake that the photons leave, shape ``(n, 3)``."""
    area = 2 * np.pi * candidates.error**2
    true_id = known.sky.true_id
    odds = np.zeros((len(candidates), len(NAMES)))
    for row, true in enumerate(candidates.true):
        own = true_id[true] if true >= 0 else -1
        latitude = candidates.lat[row]
        odds[row, :2] = population.log_odds(candidates.likelihoods, row, latitude, own, area[row])
    return softmax(odds, axis=1)


def network_probabilities(candidates, population, real_share):
    """Those of the network with the shares of AGN and pulsars in that sky at the latitude."""
    shares = np.zeros((len(candidates), 3))
    for row, latitude in enumerate(candidates.lat):
        shares[row, :2] = np.bincount(population.source_class, population.density(latitude), 2)
    shares /= shares.sum(axis=1, keepdims=True)
    fsrq = np.full(len(candidates), 0.5)
    agn, psr, _, _, real = class_probabilities(candidates.logits, SkyShares(shares, fsrq), real_share).T
    return np.column_stack([real * agn, real * psr, 1 - real])


def method_probabilities(candidates, target, population, known, real_share):
    """Probabilities of all classifiers by name."""
    true_id = known.sky.true_id
    group = np.where(candidates.true >= 0, true_id[candidates.true], true_id.max() + 1 + candidates.patch)
    n_scalars = candidates.numbers.shape[1] - len(TEMPLATES)
    deviances = candidates.numbers[:, n_scalars:]
    curvature = curvature_numbers(candidates.ts, deviances)
    all_numbers = np.column_stack([candidates.numbers, np.abs(candidates.lat)])
    return {
        "photons": photon_probabilities(candidates, population, known),
        "network": network_probabilities(candidates, population, real_share),
        "forest of the same sky": crossed(forest(), all_numbers, target, group),
        "spectral fits": crossed(spectral_fit(), curvature, target, group),
    }


def choices(probability):
    """Classes that are called: most probable, and balanced; the shares are those that are predicted."""
    return {
        "most probable": probability.argmax(axis=1),
        "balanced": (probability / probability.mean(axis=0)).argmax(axis=1),
    }


def judge(target, probability, called):
    """Accuracy and recall of each class with intervals, and macro-F1."""
    found = evaluate_classes(target, probability, NAMES, called=called, n_resamples=200)
    own = {name: found.overall[name].numbers for name in ("accuracy", "balanced_accuracy", "macro_f1")}
    return own | {
        "recall": [interval.numbers for interval in found.per_class["recall"]],
        "calibration_error": [interval.numbers for interval in found.per_class["calibration_error"]],
        "number": found.number.tolist(),
        "matrix": found.matrix.tolist(),
        "told": float(np.mean(probability.max(axis=1) >= TOLD)),
        "expected_accuracy": float(probability.max(axis=1).mean()),
    }


def operating_points(score, target):
    """Lowest scores by name: fixed ones, and those at which the detection alone has a purity."""
    points = {f"score {value:g}": value for value in THRESHOLDS}
    curve = purity_recall(score, target != 2, int((target != 2).sum()))
    for purity in PURITIES:
        points[f"purity {purity:g}"] = float(curve.threshold_at_purity(purity))
    return points


def measure(candidates, target, methods):
    """Figures by operating point, classifier and choice; and by test statistic at the lowest score."""
    results, bins = {}, {}
    for point, threshold in operating_points(candidates.score, target).items():
        chosen = candidates.score >= threshold
        for name, probability in methods.items():
            for choice, called in choices(probability[chosen]).items():
                own = judge(target[chosen], probability[chosen], called)
                results[f"{point}, {name}, {choice}"] = own
    chosen = candidates.score >= THRESHOLDS[0]
    ts, true = candidates.ts[chosen], target[chosen]
    for name, probability in methods.items():
        for choice, called in choices(probability[chosen]).items():
            for low, high in zip(TS_EDGES, TS_EDGES[1:], strict=False):
                inside = (ts >= low) & (ts < high)
                bins[f"{low:g}-{high:g}, {name}, {choice}"] = _shares(true[inside], called[inside])
    return results, bins


def fakes_left(candidates, target, methods, sky, patches):
    """False candidates at equal recall of all listed sources, see `left_figures`."""
    row = np.full(sky.n_patches, -1)
    row[patches] = np.arange(len(patches))
    listed = np.flatnonzero(row[sky.patch] >= 0)
    x, y = sky.sky_to_pixel(sky.patch[listed], sky.lon[listed], sky.lat[listed])
    n_true = np.bincount(row[sky.patch[listed[is_inside(x, y)]]], minlength=len(patches))
    scores = {"detector": candidates.score} | {name: 1 - p[:, 2] for name, p in methods.items()}
    return left_figures(scores, target != 2, row[candidates.patch], n_true)


def _shares(true, called):
    """Numbers, accuracy and recalls of the classes with intervals."""
    number = [len(true), *(int((true == i).sum()) for i in range(3))]
    right = [int((called == true).sum()), *(int(((true == i) & (called == i)).sum()) for i in range(3))]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = share_intervals(np.divide(right, number), number)
    return {"number": number, "share": [str(own) for own in share]}


def to_markdown(results, bins, left):
    """Tables by operating point and by test statistic, and of fakes at equal recall."""
    header = ["candidates", "classifier", "choice", "n AGN/PSR/FAKE", "right", *NAMES, "mean", "told"]
    rows = [["published", "published network", "balanced", "-", *(f"{v:.2f}" for v in PUBLISHED), "-", "-"]]
    for name, own in results.items():
        number = "/".join(map(str, own["number"]))
        shares = [own["accuracy"], *own["recall"], own["balanced_accuracy"]]
        texts = ["{:.3f} [{:.3f}, {:.3f}]".format(v["value"], *v["interval_68"]) for v in shares]
        rows.append([*name.split(", "), number, *texts, f"{own['told']:.3f}"])
    text = rows_to_markdown(header, rows) + "\n"
    header = ["TS", "classifier", "n, AGN/PSR/FAKE", "right, balanced choice", *NAMES]
    rows = []
    for name, own in bins.items():
        ts, classifier, choice = name.split(", ")
        if own["number"][0] and choice == "balanced":
            rows.append([ts, classifier, "/".join(map(str, own["number"])), *own["share"]])
    text += rows_to_markdown(header, rows) + "\n"
    return text + rows_to_markdown(LEFT_HEADER, list(left_rows(left)))


def figure(candidates, target, methods):
    """Confusion at the lowest score, and accuracy against the test statistic, for a balanced choice."""
    chosen = candidates.score >= THRESHOLDS[0]
    true, ts = target[chosen], candidates.ts[chosen]
    fig, axes = plt.subplots(1, 3, figsize=(15, 4.6), layout="constrained")
    edges = np.array([4, 9, 16, 25, 49, 100, 400, 2000])
    middle = np.sqrt(edges[:-1] * edges[1:])
    for ax, name in zip(axes, ("network", "photons"), strict=False):
        called = choices(methods[name][chosen])["balanced"]
        number = np.bincount(true, minlength=3)
        matrix = np.array([np.bincount(called[true == i], minlength=3) for i in range(3)])
        plot_confusion(matrix / np.maximum(number, 1)[:, None], NAMES, ax=ax, number=number)
        ax.set_title(f"{name}, balanced choice, score above {THRESHOLDS[0]:g}")
    for (name, probability), marker in zip(methods.items(), "osDv", strict=False):
        right = choices(probability[chosen])["balanced"] == true
        index = np.digitize(ts, edges) - 1
        inside = [right[index == i] for i in range(len(middle))]
        number = np.array([len(own) for own in inside])
        share = [own.mean() if len(own) else np.nan for own in inside]
        ends = share_intervals(share, number)
        error = [[v.value - v.low_68 for v in ends], [v.high_68 - v.value for v in ends]]
        axes[2].errorbar(middle, share, error, fmt=marker + "-", ms=4, capsize=2, label=name)
    axes[2].axhline(PUBLISHED[0], color="0.5", ls=":", label="published, all candidates")
    axes[2].set(
        xscale="log", xlabel="Test statistic of the fit", ylabel="Share of right classes", ylim=(0, 1)
    )
    axes[2].legend(fontsize="small")
    return fig


def parser():
    """Arguments."""
    own = arguments(__doc__, "classes_sky235", data=True, model="lat-classes", seed=0)
    own.add_argument("--detector", default="lat", help="name or path of the detector")
    own.add_argument("--patches", type=int, default=256, help="random patches, 768 are all")
    own.add_argument("--no-background", action="store_true", help="without a given background")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    sky = load_sky235(args.data)
    classifier, detector = ClassificationModel.load(args.model), DetectionModel.load(args.detector)
    response = sky_response(args.data, detector.bands)
    known = KnownSources(sky, load_spectra(sky, args.data), response)
    classes = load_classes(sky, args.data)
    patches = random_patches(sky, args.patches)
    counts = sky.counts(args.seed, patches)
    background = None if args.no_background else sky.background(patches)
    candidates = sky_candidates(detector, classifier, known, counts, background, response, patches)
    candidates = candidates.select(candidates.is_inside & (candidates.score >= THRESHOLDS[0]))
    target = np.where(candidates.true >= 0, classes[candidates.true], 2)
    once = known.once
    population = Population(known.counts[once], classes[once], sky.lat[once], detector.bands.edges[:-1])
    real_share = classifier.card.real_share
    methods = method_probabilities(candidates, target, population, known, real_share)
    results, bins = measure(candidates, target, methods)
    left = fakes_left(candidates, target, methods, sky, patches)
    numbers = {"operating points": results, "test statistic": bins, "fakes left": left}
    picture = figure(candidates, target, methods)
    write(args.output, numbers, to_markdown(results, bins, left), picture)


if __name__ == "__main__":
    main()
