# Licensed under a 3-clause BSD style license - see LICENSE
"""False candidates of the model 'lat' outside of what it was trained for."""

from dataclasses import replace

import numpy as np
import torch

from gammapy_asid.inputs.response import normalise_psf
from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.simulation import EmissionBank, draw_sky
from gammapy_asid.simulation.lat_patches import LatSimulator
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.detection.simulated_candidates import simulated_candidates, visible_sources
from gammapy_asid.tasks.detection.simulator import emission_blur, recipe_responses

from ..common import Parts, arguments, rows_to_markdown, write

NEEDS = "the emission bank of the recipe lat, hours"


#: Factors of each quantity.
FACTORS = {
    "emission": (0.01, 0.1, 1, 3, 10, 30, 100),
    "exposure": (0.03, 0.1, 0.3, 3, 10, 30),
    "PSF": (0.33, 0.5, 0.7, 1.4, 2, 3),
    "prediction": (0.02, 0.1, 0.2, 0.33, 0.5, 0.7, 1.5, 2),
}
BATCH, SEED = 32, 2**35


def simulator(recipe, emission=1.0, exposure=1.0, psf=1.0):
    """Simulator of the recipe with a changed sky or changed instruments."""
    responses, weights = recipe_responses(recipe)
    bank = EmissionBank.load(recipe.emission_path).smooth(emission_blur(responses, weights))
    changed = []
    for response in responses:
        wide = np.array(
            [[np.interp(response.rad / psf, response.rad, row) for row in b] for b in response.psf]
        )
        changed.append(
            replace(response, psf=normalise_psf(wide, response.rad), exposure=exposure * response.exposure)
        )
    intensity = torch.from_numpy(bank.intensity) * emission
    return LatSimulator(
        changed, weights, intensity, draw_sky, recipe.patch_size, background_share=recipe.background_share
    )


def draw(recipe, quantity, factor, n_patches):
    """Patches of a sky where a quantity is larger by a factor."""
    changed = {quantity.lower(): factor} if quantity != "prediction" else {}
    draws = simulator(recipe, **changed)
    patches = [draws.draw(BATCH, (SEED, i)) for i in range(-(-n_patches // BATCH))]
    for simulated in patches if quantity == "prediction" else ():
        for image in simulated.batch.background:
            image[simulated.batch.has_background] *= factor
    return patches


def measure(model, patches):
    """False candidates in 100 deg2, purity, and real candidates over sources of 5 standard deviations."""
    found, _ = simulated_candidates(model.network, patches)
    row = []
    for known in (True, False):
        own = found["has_background"] == known
        good = model.card.score(found["score"][own], found["height"][own], known) >= 0.5
        real = np.isfinite(found["offset"][own])[good]
        area = visible = 0
        for simulated in patches:
            batch = simulated.batch
            chosen = batch.has_background == known
            area += float((batch.field_mask.sum((1, 2)) * batch.pixel_size**2)[chosen].sum())
            visible += int(chosen[simulated.patch[visible_sources(simulated, 5.0)]].sum())
        row += [f"{100 * (~real).sum() / area:.2f}", f"{real.mean():.3f}", f"{real.sum() / visible:.2f}"]
    return row


def parser():
    """Arguments."""
    own = arguments(__doc__, "domain")
    own.add_argument("--patches", type=int, default=256, help="number of patches")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    model, recipe = DetectionModel.load("lat"), read_recipe("lat")
    parts, rows = Parts(args.output, patches=args.patches), []
    for name, factors in FACTORS.items():
        for factor in factors:
            cells = parts(
                f"{name} {factor:g}",
                lambda what=(name, factor): measure(model, draw(recipe, *what, args.patches)),
            )
            rows.append([name, f"{factor:g}", *cells])
            print(rows[-1], flush=True)
    header = ["quantity", "factor"] + ["false in 100 deg2", "purity", "real over visible"] * 2
    write(args.output, rows, rows_to_markdown(header, rows))


if __name__ == "__main__":
    main()
