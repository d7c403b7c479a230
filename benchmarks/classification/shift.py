# Licensed under a 3-clause BSD style license - see LICENSE
"""Probabilities of classes at the faint end, and on populations of another mixture than that of the training.

Candidates are those of ``simulated_sky``. Another mixture is made by weights of the candidates: fainter ones,
such nearer to the plane, other shares of the classes. Calibration is measured with the shares of the
training, and with those of the mixture, which a user states as prior.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch

from gammapy_asid.evaluation import evaluate_classes
from gammapy_asid.tasks.classification.figures import kind_probabilities

from ..common import rows_to_markdown, write
from .simulated_sky import NAMES, candidates_of, cell, options, true_classes

NEEDS = "what simulated_sky needs, or the candidates that it has kept and a minute"

#: Edges of the test statistic of the fit.
TS_EDGES = (0, 9, 16, 25, 49, 100, np.inf)
#: Odds of the classes, and of fakes, over those of the training in the other mixtures: more pulsars and
#: nebulae, as one expects of sources without association; and more fakes as well.
MIXTURES = {
    "as simulated": (1.0, 1.0, 1.0, 1.0),
    "unassociated": (1.0, 3.0, 3.0, 1.0),
    "unassociated, twice the fakes": (1.0, 3.0, 3.0, 2.0),
}
#: The others are fainter by this power of the test statistic, and nearer to the plane within this latitude
#: in deg: those of 4FGL without association have a median test statistic of 50, others of 100.
FAINTER, PLANE = -0.5, 10.0
#: Resamples of the bootstrap.
N_RESAMPLES = 200


def mixture_weights(true, rows, odds, shifted):
    """Weights of the candidates that make them those of another mixture.

    Parameters
    ----------
    true : `~numpy.ndarray` of int
        True classes, index in `NAMES`.
    rows : dict of `~numpy.ndarray`
        Columns of the candidates.
    odds : tuple of float
        Of each class over those of the training.
    shifted : bool
        Whether sources are fainter and nearer to the plane too.

    Returns
    -------
    weights : `~numpy.ndarray`
        Shape ``(n,)``, of mean 1.
    """
    weights = np.array(odds)[true]
    if shifted:
        weights = weights * np.maximum(rows["ts"], 9.0) ** FAINTER
        weights = weights * (0.2 + np.exp(-np.abs(rows["latitude"]) / PLANE))
    return weights / weights.mean()


def stated_probabilities(probability, odds):
    """Probabilities with a prior whose odds differ from the training's.

    Parameters
    ----------
    probability : `~numpy.ndarray`
        With the prior of the training, shape ``(n, 4)``.
    odds : tuple of float
        See `mixture_weights`.

    Returns
    -------
    probability : `~numpy.ndarray`
        Shape ``(n, 4)``.
    """
    stated = probability * np.array(odds)
    return stated / stated.sum(axis=1, keepdims=True)


def faint_end(candidates, n_bins):
    """Accuracy and calibration error of each class in bins of the test statistic."""
    true, rows = true_classes(candidates.rows["source_class"]), []
    probability = kind_probabilities(candidates.logits[n_bins], candidates.rows["latitude"])
    for low, high in zip(TS_EDGES, TS_EDGES[1:], strict=False):
        own = (candidates.rows["ts"] >= low) & (candidates.rows["ts"] < high)
        if own.sum() > 1:
            found = evaluate_classes(true[own], probability[own], NAMES, n_resamples=N_RESAMPLES)
            mean = float(probability[own].max(axis=1).mean())
            rows.append({"ts": f"{low:g}-{high:g}", "expected": mean} | found.numbers)
    return rows


def mixtures(candidates, n_bins):
    """Figures on other mixtures, with the prior of the training and with that of the mixture."""
    true, results = true_classes(candidates.rows["source_class"]), {}
    logits, latitude = candidates.logits[n_bins], candidates.rows["latitude"]
    for name, odds in MIXTURES.items():
        weights = mixture_weights(true, candidates.rows, odds, name != "as simulated")
        own = kind_probabilities(logits, latitude)
        priors = {"training": own, "stated": stated_probabilities(own, odds)}
        for prior, probability in priors.items():
            found = evaluate_classes(true, probability, NAMES, weights=weights, n_resamples=N_RESAMPLES)
            results[f"{name}, {prior}"] = found.numbers
    return results


def to_markdown(faint, mixed):
    """Tables of the faint end and of the mixtures."""
    header = ["bins of time", "TS", "n", "right", "mean probability", *(f"calibration {n}" for n in NAMES)]
    rows = []
    for n_bins, own in faint.items():
        for r in own:
            errors = [f"{cell(e)} ({c[0]:.3f})" for e, c in _errors(r)]
            number = "/".join(map(str, r["number"]))
            rows.append([n_bins, r["ts"], number, cell(r["accuracy"]), f"{r['expected']:.3f}", *errors])
    text = rows_to_markdown(header, rows) + "\n"
    header = ["bins of time", "mixture", "prior", "right", "macro-F1", *(f"calibration {n}" for n in NAMES)]
    rows = []
    for n_bins, own in mixed.items():
        for name, r in own.items():
            mixture, prior = name.rsplit(", ", 1)
            errors = [f"{cell(e)} ({c[0]:.3f})" for e, c in _errors(r)]
            rows.append([n_bins, mixture, prior, cell(r["accuracy"]), cell(r["macro_f1"]), *errors])
    return text + rows_to_markdown(header, rows)


def _errors(numbers):
    return zip(numbers["calibration_error"], numbers["calibration_chance"], strict=True)


def figure(faint):
    """Share of right classes and mean probability of the called class against the test statistic."""
    fig, axes = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
    for (n_bins, rows), color in zip(faint.items(), ("C1", "C0"), strict=True):
        label = "without time" if n_bins == "1" else f"{n_bins} bins of time"
        place = np.arange(len(rows))
        right = np.array([r["accuracy"]["value"] for r in rows])
        low, high = np.array([r["accuracy"]["interval_68"] for r in rows]).T
        axes[0].errorbar(
            place, right, [right - low, high - right], fmt="o-", color=color, capsize=2, label=label
        )
        axes[0].plot(place, [r["expected"] for r in rows], "--", color=color)
        for i, (name, marker) in enumerate(zip(NAMES, "osDv", strict=True)):
            errors = [r["calibration_error"][i]["value"] for r in rows]
            style = "-" if color == "C1" else ":"
            axes[1].plot(place, errors, marker + style, color=f"C{i + 2}", label=f"{name}, {label}")
    for ax in axes:
        ax.set_xticks(place, [r["ts"] for r in rows])
        ax.set_xlabel("Test statistic of the fit")
    axes[0].set_ylabel("Share that is right (dashed: mean probability)")
    axes[1].set_ylabel("Expected calibration error")
    axes[1].axhline(0.03, color="0.5", lw=1)
    axes[0].legend()
    axes[1].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return fig


def parser():
    """Arguments."""
    return options("classes_shift", __doc__)


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    candidates = candidates_of(args)
    faint = {str(n): faint_end(candidates, n) for n in (10, 1)}
    mixed = {str(n): mixtures(candidates, n) for n in (10, 1)}
    text = to_markdown(faint, mixed)
    write(args.output, {"faint": faint, "mixtures": mixed}, text, figure(faint))


if __name__ == "__main__":
    main()
