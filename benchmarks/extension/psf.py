# Licensed under a 3-clause BSD style license - see LICENSE
"""Points and extended sources seen by telescopes with point spread functions of any width.

The telescopes are drawn as in the training, with another seed: Gaussians and pairs of them from 0.02 to 0.15
deg, told to the network with an error of 2 %.
"""

from dataclasses import replace

import numpy as np
import torch

from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.tasks.extension.calibrate import draw_stamps
from gammapy_asid.tasks.extension.model import ExtensionModel
from gammapy_asid.tasks.extension.recipe import ExtensionRecipe
from gammapy_asid.tasks.extension.simulator import build_stamp_simulator
from gammapy_asid.tasks.extension.stamps import NARROWEST

from ..common import arguments, rows_to_markdown, write

__all__ = ["rows_by_width"]

NEEDS = "the responses of the CTAO in GAMMAPY_DATA, minutes"

#: Training and calibration use neither of these seeds.
SEED, PLACES = 2**41, 120
#: Largest 68 % radius of the bands in deg.
WIDTHS = (0.02, 0.05, 0.08, 0.12, 0.16, 0.35)


def rows_by_width(size, ts, radius, probability):
    """Shares of points and of extended sources on the right side of a probability of 0.5.

    Parameters
    ----------
    size, ts, radius, probability : `~numpy.ndarray`
        True size in deg (0 for points), expected test statistic, largest 68 % radius of the bands in deg, and
        probability to be extended; shape ``(n,)``.
    """
    rows = []
    for low, high in zip(WIDTHS[:-1], WIDTHS[1:], strict=True):
        own = (radius >= low) & (radius < high)
        row = [f"{low:g}-{high:g}"]
        for chosen, extended in (
            (own & (size == 0) & (ts > 25), False),
            (own & (size == 0) & (ts > 1000), False),
            (own & (size > radius / 2) & (ts > 100), True),
        ):
            right = (probability[chosen] > 0.5) == extended
            row += [f"{chosen.sum()}", f"{right.mean():.3f}" if chosen.any() else ""]
        rows.append(row)
    return rows


def parser():
    """Arguments."""
    own = arguments(__doc__, "extension_psf", model="cta-extension")
    own.add_argument("--sources", type=int, default=6000, help="number of sources")
    return own


def main(args=None):
    """Measure and write."""
    args = parser().parse_args(args)
    model, recipe = ExtensionModel.load(args.model), read_recipe("cta-extension", ExtensionRecipe)
    others = recipe.others.model_copy(update={"places": PLACES})
    simulator = build_stamp_simulator(
        recipe.model_copy(update={"seed": SEED, "places": PLACES // 3, "others": others})
    )
    scene = replace(next(scene for scene in recipe.scenes if scene.other), points=0.5)
    columns = []
    for simulated in draw_stamps(simulator, args.sources, SEED, scene):
        radii = torch.exp(simulated.stamps.psf[..., 0]) * simulator.pixel_size
        radius = radii.nan_to_num(nan=0.0).amax(1)
        simulated.stamps.narrowest = NARROWEST * radii.nan_to_num(nan=torch.inf).amin(1)
        probability = model.predict(simulated.stamps).extended
        columns.append([simulated.size.numpy(), simulated.ts.numpy(), radius.numpy(), probability])
    rows = rows_by_width(*(np.concatenate(column) for column in zip(*columns, strict=True)))
    header = ["r68 (deg)", *("points TS > 25", "p < .5", "TS > 1000", "p < .5"), "wide, TS > 100", "p > .5"]
    write(args.output, rows, rows_to_markdown(header, rows))


if __name__ == "__main__":
    main()
