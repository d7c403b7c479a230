# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection against the radius of the mask that marks a source in training.

Run as ``python -m benchmarks.mask_radius --output FOLDER``. One short training for each radius, of
one instrument; a run that was interrupted goes on. Candidates match a source within 0.3 deg, whatever the
mask.
"""

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from gammapy_asid.evaluation import binomial_interval, purity_recall
from gammapy_asid.inputs import Bands
from gammapy_asid.networks.peaks import Peaks, find_centres
from gammapy_asid.training import InstrumentRecipe, OptimiserRecipe, Recipe
from gammapy_asid.training.module import claimed_sources, network_output, visible_sources
from gammapy_asid.training.train import build_simulator, recipe_responses, train

from .report import rows_to_markdown

__all__ = ["MaskBands", "measure"]

#: Radii in deg. The width of the marks of the centres follows.
RADII = (0.1, 0.2, 0.3, 0.45)
#: Sources that the data could show, in standard deviations.
DETECTABLE = 2.0
#: Seed of the sky that the networks are measured on.
TEST_SEED = 2**33
BATCH = 32
RECIPE = Recipe(
    name="mask",
    seed=1,
    emission="$GAMMAPY_ASID_EMISSION",
    instruments=(
        InstrumentRecipe(irf="P8R3_SOURCE_V2", livetime=(10.0, 10.0), pixel_size=(0.1, 0.1), copies=1),
    ),
    validation_patches=64,
    optimiser=OptimiserRecipe(batches_per_epoch=100, epochs=8, ema_decay=0.995),
)


@dataclass(frozen=True)
class MaskBands(Bands):
    """Bands of a model whose sources are marked by masks of another radius.

    Parameters
    ----------
    mask_radius : float
        Radius in deg.
    """

    mask_radius: float = 0.3

    @property
    def match_radius(self):
        """Radius of the mask in deg."""
        return self.mask_radius

    @property
    def centre_sigma(self):
        """Width in deg of the mark of the centre, the same share of the radius as in the model ``lat``."""
        return 0.4 * self.mask_radius


def simulator_of(radius):
    """Simulator whose truth is marked with a radius."""
    responses, weights = recipe_responses(RECIPE)
    bands = responses[0].bands
    bands = MaskBands(bands.edges, bands.levels, bands.pixel_size, radius)
    return build_simulator(RECIPE, [replace(response, bands=bands) for response in responses], weights)


def measure(network, bands, simulator, n_patches):
    """Purity and recall with and without a background on a sky that no training saw.

    Parameters
    ----------
    network : `~gammapy_asid.networks.MultiResolutionUNet`
        Network.
    bands : `~gammapy_asid.inputs.Bands`
        Bands of its training.
    simulator : `~gammapy_asid.training.PatchSimulator`
        Simulator with the matching radius of the measurement.
    n_patches : int
        Number of patches.

    Returns
    -------
    result : dict
        By case the number of true sources, the recall at a purity of 0.95 and 0.9, the average
        precision and the 68 % offset in deg of what is found at 0.95.
    """
    scores, found, offsets, known, n_true = [], [], [], [], np.zeros(2, int)
    for i in range(n_patches // BATCH):
        patches = simulator.draw(BATCH, (TEST_SEED, i))
        output, batch = network_output(network, patches.batch), patches.batch
        parts = []
        for j in range(BATCH):
            size, mask = float(batch.pixel_size[j]), batch.field_mask[j : j + 1]
            part = find_centres(output[j : j + 1], size, mask, bands=bands)
            part.field[:] = j
            parts.append(part)
        peaks = Peaks(*(np.concatenate(v) for v in zip(*(vars(p).values() for p in parts), strict=True)))
        true, separation = claimed_sources(patches, peaks)
        has_background = batch.has_background.numpy().astype(int)
        scores.append(peaks.score)
        found.append(true >= 0)
        offsets.append(separation)
        known.append(has_background[peaks.field])
        visible = visible_sources(patches, DETECTABLE)
        n_true += np.bincount(has_background[patches.patch[visible]], minlength=2)
    score, found, offset, known = (np.concatenate(v) for v in (scores, found, offsets, known))
    result = {}
    for case, name in enumerate(("counts only", "background")):
        own = known == case
        curve = purity_recall(score[own], found[own], n_true[case])
        threshold = curve.threshold_at_purity(0.95)
        chosen = own & found & (score >= threshold)
        result[name] = {
            "sources": int(n_true[case]),
            "recall at 0.95": curve.at_threshold(threshold)[1],
            "recall at 0.9": curve.at_threshold(curve.threshold_at_purity(0.9))[1],
            "average precision": curve.average_precision,
            "offset": float(np.quantile(offset[chosen], 0.68)) if chosen.any() else np.nan,
        }
    return result


def figure(results):
    """Recall and offset against the radius."""
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    radii = sorted(results)
    for name in ("background", "counts only"):
        rows = [results[radius][name] for radius in radii]
        found = [round(row["recall at 0.95"] * row["sources"]) for row in rows]
        fraction, low, high = binomial_interval(found, [row["sources"] for row in rows])
        axes[0].errorbar(radii, fraction, yerr=[fraction - low, high - fraction], marker="o", label=name)
        axes[1].plot(radii, [row["offset"] for row in rows], marker="o", label=name)
    axes[0].set(xlabel="Mask radius [deg]", ylabel="Recall at a purity of 0.95")
    axes[1].set(xlabel="Mask radius [deg]", ylabel="68 % offset [deg]", ylim=(0, None))
    axes[0].legend()
    return fig


def main(args=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="mask_radius", help="folder of checkpoints and results")
    parser.add_argument("--patches", type=int, default=1024, help="patches of the measurement")
    args = parser.parse_args(args)
    output, results = Path(args.output), {}
    standard = build_simulator(RECIPE)
    for radius in RADII:
        simulator = simulator_of(radius)
        network = train(RECIPE, output / f"{radius:g}", simulator, num_workers=0, progress=False)
        results[radius] = measure(network, simulator.bank.bands, standard, args.patches)
        (output / "mask_radius.json").write_text(json.dumps(results, indent=1))
    header = [
        "mask radius (deg)",
        "case",
        "sources",
        "R at P .95",
        "R at P .90",
        "average precision",
        "68 % offset",
    ]
    rows = [
        [f"{radius:g}", name, str(row["sources"]), *(f"{row[key]:.3f}" for key in list(row)[1:])]
        for radius, cases in results.items()
        for name, row in cases.items()
    ]
    text = rows_to_markdown(header, rows)
    (output / "mask_radius.md").write_text(text)
    figure(results).savefig(output / "mask_radius.png", dpi=100)
    print(text)


if __name__ == "__main__":
    main()
