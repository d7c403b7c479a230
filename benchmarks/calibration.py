# Licensed under a 3-clause BSD style license - see LICENSE
"""Calibration of the score on simulated patches that no training and no calibration saw.

Run as ``python -m benchmarks.calibration --model lat --recipe lat --patches 4096 --output NAME``; the
recipe's emission bank must be where the recipe says.
"""

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from gammapy_asid.evaluation import plot_reliability
from gammapy_asid.evaluation.metrics import binomial_interval
from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.learning.score_calibration import expected_calibration_error
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.detection.simulated_candidates import simulated_candidates
from gammapy_asid.tasks.detection.simulator import build_simulator

from .report import rows_to_markdown

SEED = 2**34
BATCH = 32


def main(args=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="lat")
    parser.add_argument("--recipe", default="lat", help="recipe of the simulated skies")
    parser.add_argument("--patches", type=int, default=4096)
    parser.add_argument("--output", default="calibration", help="name of the JSON, Markdown and PNG files")
    args = parser.parse_args(args)

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
    text = rows_to_markdown(header, rows)
    output = Path(args.output)
    output.with_suffix(".json").write_text(json.dumps(results))
    output.with_suffix(".md").write_text(text)
    figure.savefig(output.with_suffix(".png"), dpi=120)
    print(text)


if __name__ == "__main__":
    main()
