# Licensed under a 3-clause BSD style license - see LICENSE
"""Calibration of the score on simulated patches that no training and no calibration saw.

The recipe's emission bank must be where the recipe says.
"""

import matplotlib.pyplot as plt
import numpy as np

from gammapy_asid.evaluation import binomial_interval, plot_reliability
from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.learning.score_calibration import expected_calibration_error
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.detection.simulated_candidates import simulated_candidates
from gammapy_asid.tasks.detection.simulator import build_simulator

from ..common import arguments, rows_to_markdown, write

NEEDS = "the recipe's emission bank, ten minutes"


SEED = 2**34
BATCH = 32


def parser():
    """Arguments."""
    own = arguments(__doc__, "calibration", model="lat", recipe="lat")
    own.add_argument("--patches", type=int, default=4096, help="number of patches")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    model = DetectionModel.load(args.model)
    simulator = build_simulator(read_recipe(args.recipe))
    draws = (simulator.draw(BATCH, (SEED, i)) for i in range(-(-args.patches // BATCH)))
    candidates, n_true = simulated_candidates(model.network, draws)
    rows, results = [], {}
    figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    for ax, known, name in zip(axes, (1, 0), ("with background", "counts only"), strict=True):
        chosen = candidates["has_background"] == known
        score = model.card.score(candidates["score"][chosen], candidates["height"][chosen], bool(known))
        real = np.isfinite(candidates["offset"][chosen])
        error = expected_calibration_error(score, real)
        above = score > 0.5
        _, low, high = (v[0] for v in binomial_interval(real[above].sum(), above.sum()))
        results[name] = {"error": error, "candidates": len(score), "sources": int(n_true[known])}
        rows.append(
            [
                name,
                f"{len(score)}",
                f"{n_true[known]}",
                f"{error:.4f}",
                f"{real[above].mean():.3f} ({low:.3f}-{high:.3f})",
                f"{score[above].mean():.3f}",
            ]
        )
        plot_reliability(score, real, ax=ax)
        ax.set_title(name)
    header = ["Fields", "Candidates", "True sources", "ECE", "Real of those above .5", "Mean score of those"]
    write(args.output, results, rows_to_markdown(header, rows), figure)


if __name__ == "__main__":
    main()
