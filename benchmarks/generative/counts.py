# Licensed under a 3-clause BSD style license - see LICENSE
"""Detectors trained on generated and on simulated counts, both tested on simulated ones.

One small recipe for all. Beside the generated library stand one of as many simulated patches, whose sources
were read from images like those of generated ones, and simulated patches that are drawn anew for each batch.
The first tells what the generator costs, the second what a library of this size does.
"""

from pathlib import Path

import numpy as np
import torch
from scipy.stats import ks_2samp

from gammapy_asid.evaluation.metrics import purity_recall
from gammapy_asid.learning.recipe import OptimiserRecipe
from gammapy_asid.learning.run import train
from gammapy_asid.simulation.counts_images import mark_sources, read_marks, stabilised
from gammapy_asid.simulation.counts_library import CountsLibrary
from gammapy_asid.simulation.generated_counts import GeneratedCountsSimulator
from gammapy_asid.tasks.counts.model import CountsModel
from gammapy_asid.tasks.counts.simulator import build_simulator as build_counts
from gammapy_asid.tasks.detection.recipe import DetectionRecipe
from gammapy_asid.tasks.detection.simulated_candidates import simulated_candidates
from gammapy_asid.tasks.detection.simulator import build_simulator

from ..common import arguments, file_of, kept, rows_to_markdown, write

__all__ = ["detector_figures", "figures", "simulated_library"]

NEEDS = "the model of generated counts, responses and emission of its training, half an hour"

#: Seeds of libraries and of the test, which no training uses.
SEED, TEST = 2**43, 2**44
#: Patches made or tested at once.
BATCH = 64
#: Samples of the test that tell the error of a recall.
SAMPLES = 200


def detector_recipe(model, steps):
    """Small detector of the instrument of a generator, without a background."""
    own = model.recipe
    return DetectionRecipe(
        name="from-counts",
        seed=1,
        instruments=(own.instrument,),
        emission=own.emission,
        background_share=0,
        patch_size=own.patch_size,
        widths=(16, 32, 48, 64),
        validation_patches=64,
        reuse=4,
        optimiser=OptimiserRecipe(
            batches_per_epoch=100, epochs=max(1, round(steps / 100)), ema_decay=0.99, learning_rate=2e-3
        ),
    )


def _joined(parts):
    """Libraries one after the other."""
    first, before = np.cumsum([0, *(len(part) for part in parts)]), []
    for start, part in zip(first, parts, strict=False):
        before.append(part.patch + int(start))
    columns = {
        name: torch.cat([getattr(part, name) for part in parts])
        for name in ("counts", "x", "y", "significance")
    }
    one = parts[0]
    return CountsLibrary(
        **columns, patch=torch.cat(before), edges=one.edges, pixel_size=one.pixel_size, exposure=one.exposure
    )


def generated_library(model, n):
    """Generated patches."""
    return _joined([model.draw(BATCH, (SEED, i)) for i in range(-(-n // BATCH))])


def simulated_library(simulator, n, about):
    """Simulated patches, with their sources as an image of them tells.

    Parameters
    ----------
    simulator : `~gammapy_asid.simulation.generated_counts.WholePatchSimulator`
        Simulator of patches with all bands on the finest pixels.
    n : int
        Number of patches, at least.
    about : dict
        What a `~gammapy_asid.simulation.counts_library.CountsLibrary` says of its instrument.
    """
    parts = []
    for i in range(-(-n // BATCH)):
        drawn = simulator.draw(BATCH, (SEED, i))
        sources = drawn.patch, drawn.x, drawn.y, drawn.significance
        marks = mark_sources(*sources, BATCH, simulator.size)
        counts = torch.stack(drawn.batch.counts, 1).int()
        parts.append(CountsLibrary(counts, *read_marks(marks), **about))
    return _joined(parts)


def figures(made, real):
    """Generated counts and sources over simulated ones.

    Parameters
    ----------
    made, real : `~gammapy_asid.simulation.counts_library.CountsLibrary`
        Patches.

    Returns
    -------
    figures : dict
        By band: mean counts, the spread of stabilised ones from patch to patch and from pixel to pixel, each
        over the simulated one, and the largest distance of the distributions of pixels. Of the sources: their
        numbers, and the largest distance of the distributions of their significance.
    """
    mine, theirs = (library.counts.numpy().astype(float) for library in (made, real))
    # The few brightest patches would be all that a spread of counts tells
    even = [stabilised(library.counts.double()).numpy() for library in (made, real)]
    means = [values.mean((2, 3)) for values in even]
    pixels = [
        (values - mean[..., None, None]).std((0, 2, 3)) for values, mean in zip(even, means, strict=True)
    ]
    distance = [
        ks_2samp(mine[:, band].ravel(), theirs[:, band].ravel()).statistic for band in range(mine.shape[1])
    ]
    number = len(made.x) / len(made), len(real.x) / len(real)
    return {
        "mean": (mine.mean((0, 2, 3)) / theirs.mean((0, 2, 3))).tolist(),
        "spread of patches": (means[0].std(0) / means[1].std(0)).tolist(),
        "spread of pixels": (pixels[0] / pixels[1]).tolist(),
        "distance of the histograms": [float(value) for value in distance],
        "sources a patch, generated and simulated": list(number),
        "distance of the significances": float(ks_2samp(made.significance, real.significance).statistic),
    }


def detector_figures(network, simulator, n):
    """Recall of a detector on simulated patches.

    Parameters
    ----------
    network : `~torch.nn.Module`
        Trained network in evaluation mode.
    simulator : `~gammapy_asid.simulation.lat_patches.LatSimulator`
        Simulator.
    n : int
        Number of patches, at least.

    Returns
    -------
    figures : dict of float
        Average precision and recall at a purity of .95 and .90, with their errors from samples of the
        batches.
    """
    batches = [
        simulated_candidates(network, [simulator.draw(BATCH, (TEST, i))]) for i in range(-(-n // BATCH))
    ]
    rng = np.random.default_rng(0)
    samples = [rng.integers(len(batches), size=len(batches)) for _ in range(SAMPLES)]
    values = np.array([_recalls([batches[i] for i in chosen]) for chosen in samples])
    whole = _recalls(batches)
    names = ("average precision", "recall at purity .95", "recall at purity .90")
    result = {"sources": int(sum(n_true.sum() for _, n_true in batches))}
    for name, value, error in zip(names, whole, values.std(0), strict=True):
        result |= {name: float(value), f"{name}, error": float(error)}
    return result


def _recalls(batches):
    score = np.concatenate([candidates["score"] for candidates, _ in batches])
    found = np.isfinite(np.concatenate([candidates["offset"] for candidates, _ in batches]))
    curve = purity_recall(score, found, sum(n_true.sum() for _, n_true in batches))
    return [
        curve.average_precision,
        *(max(curve.recall[curve.purity >= purity], default=0.0) for purity in (0.95, 0.90)),
    ]


def parser():
    """Arguments."""
    own = arguments(__doc__, "generated_counts", model="runs/generated-counts.safetensors")
    own.add_argument("--patches", type=int, default=2048, help="patches of a library")
    own.add_argument("--test", type=int, default=2048, help="simulated patches of the test")
    own.add_argument("--steps", type=int, default=2000, help="steps of the training of a detector")
    return own


def _table(results):
    rows = [
        [name, *(" ".join(f"{v:.3g}" for v in np.atleast_1d(value)) for value in [values])]
        for name, values in results["counts"].items()
    ]
    text = rows_to_markdown(["generated over simulated, by band", ""], rows) + "\n"
    detectors = results["detectors"]
    if not detectors:
        return text
    names = [name for name in next(iter(detectors.values())) if not name.endswith("error")]
    rows = []
    for trained, own in detectors.items():
        cells = [
            f"{own[name]:.3f} ± {own[f'{name}, error']:.3f}" if f"{name}, error" in own else str(own[name])
            for name in names
        ]
        rows.append([trained, *cells])
    return text + rows_to_markdown(["trained on", *names], rows)


def main(args=None):
    """Make libraries, train detectors, test them and write."""
    args = parser().parse_args(args)
    model = CountsModel.load(args.model)
    counts = build_counts(model.recipe)
    about = {
        "edges": model.bands.edges,
        "pixel_size": model.card.pixel_size,
        "exposure": model.card.exposure,
    }
    makers = {
        "generated": lambda: generated_library(model, args.patches),
        "simulated": lambda: simulated_library(counts.sky, args.patches, about),
    }
    libraries = {
        name: kept(
            file_of(args.output, f"_{name}.safetensors"),
            make,
            lambda library, path: library.save(path, overwrite=True),
            CountsLibrary.load,
        )
        for name, make in makers.items()
    }
    results = {"counts": figures(*libraries.values()), "detectors": {}}
    write(args.output, results, _table(results))
    recipe = detector_recipe(model, args.steps)
    sky = build_simulator(recipe)
    simulators = {
        "generated": GeneratedCountsSimulator(libraries["generated"], **sky.settings),
        "as many simulated": GeneratedCountsSimulator(libraries["simulated"], **sky.settings),
        "simulated anew": sky,
    }
    for name, simulator in simulators.items():
        folder = Path(f"{file_of(args.output, '_runs')}") / name.replace(" ", "-")
        network = train(recipe, folder, simulator, progress=False, device="cpu")
        results["detectors"][name] = detector_figures(network, sky, args.test)
        write(args.output, results, _table(results))


if __name__ == "__main__":
    main()
