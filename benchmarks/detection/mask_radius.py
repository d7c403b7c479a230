# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection against the radius of the mask that marks a source in training.

One short training for each radius, of one instrument, all on the same simulated patches; a run that was
interrupted goes on. Candidates match a source within 0.3 deg, whatever the mask.
"""

from dataclasses import dataclass

import lightning
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gammapy_asid.evaluation import binomial_interval, purity_recall
from gammapy_asid.inputs import Bands
from gammapy_asid.learning.peaks import find_centres
from gammapy_asid.learning.recipe import OptimiserRecipe
from gammapy_asid.learning.targets import detection_loss, target_maps
from gammapy_asid.learning.trainer import cosine_cycles
from gammapy_asid.simulation import lat_response
from gammapy_asid.stats.significance import network_inputs
from gammapy_asid.tasks.detection.network import build_network
from gammapy_asid.tasks.detection.simulated_candidates import claimed_sources, visible_sources

from ..common import arguments, file_of, rows_to_markdown, write
from ..skies.open_skies import load_bank, open_skies

__all__ = ["MaskBands", "figure", "measure", "train_networks"]

NEEDS = "data, hours"

#: Radii in deg. The width of the marks of the centres follows.
RADII = (0.1, 0.2, 0.3, 0.45)
#: Sources that the data could show, in standard deviations.
DETECTABLE = 2.0
#: Seed of the sky that the networks are measured on; the training counts from 0.
TEST_SEED = 2**33
BATCH = 32
WIDTHS = (24, 48, 96, 128)
EMA_DECAY = 0.995
#: Batches between two checkpoints.
SAVE_EVERY = 20


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


def mask_bands(simulator, radius):
    """Bands of a simulator with another mask."""
    bands = simulator.bands
    return MaskBands(bands.edges, bands.levels, bands.pixel_size, mask_radius=radius)


def train_networks(simulators, n_batches, checkpoint, radii=RADII):
    """Train one network for each radius side by side.

    Parameters
    ----------
    simulators : list of `~benchmarks.skies.open_skies.OpenSkies`
        Simulators that take turns: with a background and without.
    n_batches : int
        Number of batches.
    checkpoint : path
        File of the checkpoint.
    radii : sequence of float
        Radii in deg.

    Returns
    -------
    networks : dict of `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Networks with the running mean of the weights, by radius.
    """
    bands = {radius: mask_bands(simulators[0], radius) for radius in radii}
    recipe = OptimiserRecipe(batches_per_epoch=n_batches, epochs=1)
    networks, means, settings = {}, {}, {}
    for radius in radii:
        # All start from the same weights
        lightning.seed_everything(1, verbose=False)
        networks[radius] = build_network(bands[radius], WIDTHS).to(memory_format=torch.channels_last)
        means[radius] = AveragedModel(networks[radius], multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY))
        settings[radius] = cosine_cycles(networks[radius].parameters(), recipe)
    parts = {
        f"{radius:g} {name}": part
        for radius in radii
        for name, part in (
            ("network", networks[radius]),
            ("mean", means[radius]),
            ("optimiser", settings[radius]["optimizer"]),
            ("schedule", settings[radius]["lr_scheduler"]["scheduler"]),
        )
    }
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        first = state.pop("batch")
        for name, part in parts.items():
            part.load_state_dict(state[name])
    shape = 2 * (simulators[0].size,)
    for i in range(first, n_batches):
        patches = simulators[i % len(simulators)].draw(BATCH, i)
        batch = patches.batch
        inputs = network_inputs(batch)
        inputs = {level: v.to(memory_format=torch.channels_last) for level, v in inputs.items()}
        truth = patches.patch, patches.x, patches.y, batch.pixel_size
        for radius in radii:
            targets = target_maps(*truth, BATCH, shape, bands=bands[radius])
            with torch.autocast("cpu", dtype=torch.bfloat16):
                output = networks[radius](inputs, batch.conditions)
            loss = detection_loss(output.float(), targets, batch.field_mask)["loss"]
            optimiser, schedule = settings[radius]["optimizer"], settings[radius]["lr_scheduler"]["scheduler"]
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(networks[radius].parameters(), 1.0)
            optimiser.step()
            schedule.step()
            means[radius].update_parameters(networks[radius])
        if (i + 1) % SAVE_EVERY == 0 or i + 1 == n_batches:
            state = {name: part.state_dict() for name, part in parts.items()}
            torch.save(state | {"batch": i + 1}, checkpoint)
    return {radius: mean.module.eval() for radius, mean in means.items()}


@torch.inference_mode()
def measure(networks, simulator, n_patches):
    """Purity and recall of networks on the same sky that no training saw.

    Parameters
    ----------
    networks : dict of `~gammapy_asid.learning.unet.MultiResolutionUNet`
        Networks by the radius of their masks.
    simulator : `~benchmarks.skies.open_skies.OpenSkies`
        Simulator with the matching radius of the measurement.
    n_patches : int
        Number of patches.

    Returns
    -------
    result : dict
        By radius the number of true sources, the recall at a purity of 0.95 and 0.9, the average
        precision and the 68 % offset in deg of what is found at 0.95.
    """
    scores, found, offsets = ({radius: [] for radius in networks} for _ in range(3))
    n_true = 0
    for i in range(n_patches // BATCH):
        patches = simulator.draw(BATCH, (TEST_SEED, i))
        batch = patches.batch
        inputs = network_inputs(batch)
        n_true += int(visible_sources(patches, DETECTABLE).sum())
        for radius, network in networks.items():
            output = network(inputs, batch.conditions).float()
            bands = mask_bands(simulator, radius)
            peaks = find_centres(output, float(batch.pixel_size[0]), batch.field_mask, bands=bands)
            true, separation = claimed_sources(patches, peaks)
            scores[radius].append(peaks.score)
            found[radius].append(true >= 0)
            offsets[radius].append(separation)
    result = {}
    for radius in networks:
        score, real, offset = (np.concatenate(v[radius]) for v in (scores, found, offsets))
        curve = purity_recall(score, real, n_true)
        threshold = curve.threshold_at_purity(0.95)
        chosen = real & (score >= threshold)
        result[radius] = {
            "sources": n_true,
            "recall at 0.95": curve.at_threshold(threshold)[1],
            "recall at 0.9": curve.at_threshold(curve.threshold_at_purity(0.9))[1],
            "average precision": curve.average_precision,
            "offset": float(np.quantile(offset[chosen], 0.68)) if chosen.any() else np.nan,
        }
    return result


def figure(results):
    """Recall and offset against the radius."""
    fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name, rows in results.items():
        radii = [float(radius) for radius in rows]
        number = [row["sources"] for row in rows.values()]
        found = [round(row["recall at 0.95"] * row["sources"]) for row in rows.values()]
        fraction, low, high = binomial_interval(found, number)
        axes[0].errorbar(
            radii,
            fraction,
            yerr=np.maximum([fraction - low, high - fraction], 0),
            marker="o",
            capsize=2,
            label=name,
        )
        axes[1].plot(radii, [row["offset"] for row in rows.values()], marker="o", label=name)
    axes[0].set(xlabel="Mask radius [deg]", ylabel="Recall at a purity of 0.95")
    offsets = np.array([row["offset"] for rows in results.values() for row in rows.values()])
    # Networks of a very short training find nothing
    largest = np.max(offsets, where=np.isfinite(offsets), initial=1e-3)
    axes[1].set(xlabel="Mask radius [deg]", ylabel="68 % offset [deg]", ylim=(0, 1.2 * largest))
    axes[0].legend()
    return fig


def to_markdown(results):
    """Table of radii and cases."""
    header = ["mask radius (deg)", "case", "sources", "R at P .95", "R at P .90", "average precision"]
    rows = [
        [str(radius), name, str(row["sources"]), *(f"{row[key]:.3f}" for key in list(row)[1:])]
        for name, cases in results.items()
        for radius, row in cases.items()
    ]
    return rows_to_markdown([*header, "68 % offset (deg)"], rows)


def parser():
    """Arguments."""
    own = arguments(__doc__, "mask_radius", data=True, bank=None)
    own.add_argument("--batches", type=int, default=640, help="batches of 32 patches in each training")
    own.add_argument("--patches", type=int, default=1024, help="patches of each measurement")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    caldb, bank = args.data / "lat" / "irfs", load_bank(args.bank, args.data)
    response = lat_response("P8R3_SOURCE_V2", "FRONT+BACK", livetime=10.0, caldb=caldb)
    skies = {name: open_skies([response], bank, s) for name, s in (("background", 1.0), ("counts only", 0.0))}
    networks = train_networks(list(skies.values()), args.batches, file_of(args.output, "_training.pt"))
    results = {name: measure(networks, simulator, args.patches) for name, simulator in skies.items()}
    write(args.output, results, to_markdown(results), figure(results))


if __name__ == "__main__":
    main()
