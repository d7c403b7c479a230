# Licensed under a 3-clause BSD style license - see LICENSE
"""A look inside the classifier of sources: its last layer, and what decides the class of a candidate.

Candidates are simulated with ten bins of time, from seeds of which no training and no calibration knows.
"""

import numpy as np
import torch

from gammapy_asid.evaluation.classification_plots import plot_embedding
from gammapy_asid.evaluation.drawing import panels
from gammapy_asid.evaluation.explanation_plots import plot_explanation
from gammapy_asid.evaluation.interpretation import embed
from gammapy_asid.simulation.mock_catalog import SOURCE_CLASSES
from gammapy_asid.tasks.classification.explanation import explain_candidates
from gammapy_asid.tasks.classification.model import ClassificationModel
from gammapy_asid.tasks.classification.recipe import ClassRecipe
from gammapy_asid.tasks.classification.simulator import N_BINS, build_candidate_simulator

from ..common import arguments, rows_to_markdown, write

__all__ = ["draw_figures", "explained_rows"]

NEEDS = "a trained classifier, ten minutes"

#: Neither training nor calibration use this seed.
SEED = 2**40
#: Names of true classes, and what each is explained as.
SHOWN = {"bll": "BLL", "fsrq": "FSRQ", "psr": "PSR", "pwn": "PWN-SNR", "snr": "PWN-SNR"}
TARGETS = {"BLL": "AGN", "FSRQ": "FSRQ", "PSR": "PSR", "PWN-SNR": "PWN-SNR", "FAKE": "real"}
#: Expected significance of a source from which a map has something to show.
BRIGHT = 8.0
#: Candidates of each class whose maps are averaged.
N_AVERAGED = 30
#: Mean size of what the inputs add to the logarithm of the odds.
COLUMNS = [
    "class",
    "n",
    "explained as",
    "numbers of the fit",
    "steady images",
    "images in time",
    "light curves",
]


def class_names(source_class):
    """Name of the class of each candidate."""
    names = np.array([*(SHOWN[name] for name in SOURCE_CLASSES), "FAKE"])
    return names[np.asarray(source_class)]


def explained_rows(model, candidates):
    """Rows of a table, and the maps of each class.

    The table has the mean of what each input adds, by its size: a part that speaks as often for as against a
    class counts as well.
    """
    names, rows, maps = class_names(candidates.source_class), [], {}
    significance = candidates.significance.numpy()
    for name, target in TARGETS.items():
        own = np.flatnonzero((names == name) & ((significance > BRIGHT) | (name == "FAKE")))[:N_AVERAGED]
        if not len(own):
            continue
        stamps = candidates.stamps.select(torch.as_tensor(own))
        explanation, shares = explain_candidates(model.network, stamps, target)
        parts = {key: v.reshape(len(own), -1).sum(axis=1) for key, v in explanation.attributions.items()}
        rows.append([name, str(len(own)), target, *(f"{np.abs(v).mean():.2f}" for v in parts.values())])
        # The one that the network is surest of
        best = (
            int(explanation.difference.argmax()) if name != "FAKE" else int(explanation.difference.argmin())
        )
        maps[name] = {
            "one": shares[best],
            "size": np.abs(shares).mean(axis=0),
            "difference": explanation.difference[best],
            "significance": significance[own[best]],
        }
    return rows, maps


def draw_figures(model, candidates, maps):
    """Embedding of the last layer, and maps of one candidate of each class."""
    names = class_names(candidates.source_class)
    figure, axes = panels(1, 2, size=(5.2, 4.6))
    bright = (candidates.significance.numpy() > BRIGHT) | (names == "FAKE")
    samples = {"all": bright | True, f"sources above {BRIGHT:g} sigma": bright}
    for ax, (title, chosen) in zip(axes[0], samples.items(), strict=True):
        own = np.flatnonzero(chosen)
        points = embed(model, candidates.stamps.select(torch.as_tensor(own)), "tsne")
        plot_embedding(points, names[own], ax, "True class")
        ax.set_title(f"t-SNE of the last layer, {title}")
    figures = {"_embedding": figure}
    edges = model.bands.edges
    bands = [f"{low:.3g}-{high:.3g} GeV" for low, high in zip(edges[:-1], edges[1:], strict=True)]
    years = range(1, N_BINS + 1)
    for name, own in maps.items():
        target = TARGETS[name]
        seen = "" if name == "FAKE" else f" of {own['significance']:.0f} sigma"
        title = f"{name}{seen}, log odds of {target}\n(the rest: numbers of the fit)"
        key = f"_{name.lower().replace('-', '_')}"
        figures[key] = plot_explanation(own["one"], bands, years, title=title, difference=own["difference"])
    return figures


def parser():
    """Arguments."""
    own = arguments(__doc__, "inside", model="lat-classes")
    own.add_argument("--candidates", type=int, default=2500, help="simulated candidates")
    return own


def main(args=None):
    """Simulate, look inside and write."""
    args = parser().parse_args(args)
    model = ClassificationModel.load(args.model)
    simulator = build_candidate_simulator(ClassRecipe(**model.card.recipe))
    candidates = simulator.draw(args.candidates, SEED, N_BINS)
    rows, maps = explained_rows(model, candidates)
    results = {name: {"size": own["size"].tolist()} for name, own in maps.items()}
    text = rows_to_markdown(COLUMNS, rows)
    write(args.output, results, text, draw_figures(model, candidates, maps))


if __name__ == "__main__":
    main()
