# Licensed under a 3-clause BSD style license - see LICENSE
"""False candidates of a detector on skies that are wrong, and where one emission model is given for another.

All patches come with a prediction; instruments are those of the recipe. A candidate is false that claims no
true source of an expected significance of two within the match radius.
"""

import numpy as np
import torch

from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.simulation import EmissionBank, EmissionModel, draw_sky
from gammapy_asid.simulation.faulty_patches import FAULTS, FaultyLatSimulator
from gammapy_asid.simulation.lat_bank import ISOTROPIC
from gammapy_asid.simulation.lat_patches import LatSimulator
from gammapy_asid.simulation.variations import patch_grid, sample_emission
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.detection.simulated_candidates import detected_candidates
from gammapy_asid.tasks.detection.simulator import emission_blur, recipe_responses

from ..common import Parts, arguments, data_folder, rows_to_markdown, write
from ..skies.open_skies import load_bank, load_unseen
from .fakes_figure import figure

__all__ = ["ExchangedSkies", "FaultySkies", "false_rates"]

NEEDS = "data, a quarter of an hour"

#: Patches simulated at once, of one instrument, and scores above which false candidates are counted.
BATCH, SCORES = 16, (0.1, 0.5, 0.9)
#: Regions by name: latitudes on both sides of the plane, or a box in longitude and latitude, in deg.
REGIONS = {
    "abs(b) < 5": (0, 5),
    "5-20": (5, 20),
    "> 20": (20, 90),
    "15 deg around the centre": ((-12, 12), (-12, 12)),
    "centre": ((-2, 2), (-1, 1)),
    "Vela": ((-102, -92), (-8, 2)),
}
#: Emission that makes the counts, and the one that is given, by region; outside of its field a model is v07.
EVERYWHERE = [("v07", "v07"), ("v07", "model-a"), ("model-a", "v07"), ("v07", "p6v11"), ("p6v11", "v07")]
PAIRS = {name: EVERYWHERE for name in REGIONS} | {
    "15 deg around the centre": [("v07", "v07"), ("v07", "model-o"), ("model-o", "v07")],
    "centre": [("v07", "v07"), ("v07-centre", "v06"), ("v06", "v07-centre")],
    "Vela": [("v07", "v07"), ("v07", "v05"), ("v05", "v07")],
}
#: Full resolution of v07 at the centre.
CENTRE = "lat/iem/gll_iem_v07_gc.fits.gz"
#: Region of the picture.
PICTURED = "5-20"
#: Draws of the bootstrap over patches.
N_BOOTSTRAP = 1000


class _Places:
    """Patches in one of `REGIONS`."""

    region = next(iter(REGIONS))

    def _places(self, rng, n):
        low, high = REGIONS[self.region]
        if np.ndim(low):
            lon, lat = np.radians(rng.uniform(*low, n)), np.radians(rng.uniform(*high, n))
        else:
            lon = rng.uniform(-np.pi, np.pi, n)
            lat = np.arcsin(rng.uniform(*np.sin(np.radians((low, high))), n)) * rng.choice([-1, 1], n)
        roll = rng.uniform(0, 2 * np.pi, n)
        return [torch.tensor(v, dtype=torch.float32) for v in (np.column_stack([lon, lat]), roll)]


class FaultySkies(_Places, FaultyLatSimulator):
    """Skies that are wrong in the region named ``region``."""


class ExchangedSkies(_Places, LatSimulator):
    """Skies of one emission model of which another is given: ``pair`` has their indices."""

    pair = (0, 0)

    def _intensity(self, generator, instrument, centres, roll):
        width = self.size * self.bank.pixel_size[instrument].float()
        vectors = patch_grid(centres, roll, width, self.size // 2)
        models = sample_emission(self.emission, vectors)
        return [models[:, index] for index in self.pair]


def open_models(bank, unseen, folder):
    """All emission models; where one says nothing it is the first of them, v07."""
    isotropic = EmissionModel.isotropic(folder / ISOTROPIC)
    centre = EmissionModel.from_cube(folder / CENTRE, "v07-centre") + isotropic
    models = [bank["v07"], bank["model-a"], *(unseen[name] for name in unseen.names), centre]
    filled = [np.where(np.isnan(m.intensity), models[0].intensity, m.intensity) for m in models]
    return EmissionBank(tuple(m.name for m in models), np.stack(filled))


def false_rates(model, simulator, n, seed):
    """Candidates in patches of random instruments.

    Parameters
    ----------
    model : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Detector.
    simulator : `~gammapy_asid.simulation.lat_patches.LatSimulator`
        Simulator.
    n : int
        Number of patches.
    seed : int
        Seed.

    Returns
    -------
    numbers : `~numpy.ndarray`
        False candidates of each patch above each of `SCORES`, and true ones; shape ``(n, 2, 3)``.
    """
    rng, numbers = np.random.default_rng((seed, n)), []
    for start in range(0, n, BATCH):
        instrument = int(rng.choice(len(simulator.weights), p=simulator.weights))
        rows = detected_candidates(model, simulator.draw(min(BATCH, n - start), (seed, start), instrument))
        above = rows["score"][:, None] > np.array(SCORES)
        count = np.zeros((min(BATCH, n - start), 2, len(SCORES)))
        np.add.at(count, (rows["field"], (rows["true"] >= 0).astype(int)), above)
        numbers.append(count)
    return np.concatenate(numbers)


def summary(numbers, seed):
    """Means of `false_rates` and their 68 % intervals by bootstrap over patches."""
    index = np.random.default_rng(seed).integers(len(numbers), size=(N_BOOTSTRAP, len(numbers)))
    means = numbers[index].mean(1)
    return {
        "patches": len(numbers),
        "false": numbers[:, 0].mean(0).tolist(),
        "false_interval": np.quantile(means[:, 0], [0.16, 0.84], axis=0).T.tolist(),
        "true": numbers[:, 1].mean(0).tolist(),
    }


def measure(args, parts):
    """All cases of all regions, by both names."""
    model, recipe = DetectionModel.load(args.model), read_recipe(args.recipe)
    responses, weights = recipe_responses(recipe)
    blur = emission_blur(responses, weights)
    folder = data_folder(args.data)
    bank = load_bank(args.bank, folder)
    models = open_models(bank, load_unseen(args.unseen, folder), folder)
    common = {"draw_sky": draw_sky, "size": recipe.patch_size, "background_share": 1.0}
    faulty = FaultySkies(responses, weights, bank.smooth(blur).to_torch(), **common)
    exchanged = ExchangedSkies(responses, weights, models.smooth(blur).to_torch(), **common)

    def rates(simulator):
        return summary(false_rates(model, simulator, args.patches, args.seed), args.seed)

    results = {}
    for region in REGIONS:
        rows = results[region] = {}
        faulty.region = exchanged.region = region
        # In single fields only what their emission can make
        for fault in FAULTS if region in list(REGIONS)[:3] else ("none", "gas", "emission"):
            faulty.shares = np.array([name == fault for name in FAULTS], float)
            rows[fault] = parts(f"{region}: {fault}", lambda: rates(faulty))
        for pair in PAIRS[region]:
            exchanged.pair = tuple(models.names.index(name) for name in pair)
            name = f"{pair[0]}, given {pair[1]}"
            rows[name] = parts(f"{region}: {name}", lambda: rates(exchanged))
    faulty.region = PICTURED
    return results, figure(model, faulty, args.seed)


def to_markdown(results):
    """Table of the false candidates a patch."""
    header = ["where", "sky", *(f"false > {s}" for s in SCORES), *(f"true > {s}" for s in SCORES)]
    lines = []
    for region, rows in results.items():
        for name, row in rows.items():
            false = [
                f"{mean:.3g} ({low:.3g}-{high:.3g})"
                for mean, (low, high) in zip(row["false"], row["false_interval"], strict=True)
            ]
            lines.append([region, name, *false, *(f"{v:.3g}" for v in row["true"])])
    return rows_to_markdown(header, lines)


def parser():
    """Arguments."""
    own = arguments(__doc__, "fakes", data=True, model="lat", recipe="lat", bank=None, unseen=None, seed=1)
    own.add_argument("--patches", type=int, default=256, help="patches of each case")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    torch.set_num_threads(1)
    parts = Parts(args.output, model=args.model, patches=args.patches, seed=args.seed)
    results, picture = measure(args, parts)
    write(args.output, results, to_markdown(results), picture)


if __name__ == "__main__":
    main()
