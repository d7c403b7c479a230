# Licensed under a 3-clause BSD style license - see LICENSE
import pytest

from gammapy_asid.learning.diffusion import SCHEDULES
from gammapy_asid.learning.recipe import OptimiserRecipe
from gammapy_asid.simulation.generated_counts import WholePatchSimulator
from gammapy_asid.tasks.counts.recipe import CountsRecipe
from gammapy_asid.tasks.counts.simulator import CountsPatches
from gammapy_asid.tasks.detection.simulator import build_simulator


@pytest.fixture(scope="session")
def recipe():
    """Recipe of a tiny network."""
    return CountsRecipe(
        name="tiny",
        instrument={"irf": "P8R3_SOURCE_V2", "copies": 1},
        widths=(4, 6),
        reuse=2,
        scaling_patches=8,
        validation_patches=4,
        calibration_patches=6,
        optimiser=OptimiserRecipe(batch_size=4, batches_per_epoch=4, epochs=2, ema_decay=0.5),
    )


@pytest.fixture(scope="session")
def response(make_response):
    """Response without files of an instrument."""
    return make_response(0.2, 10.0)


@pytest.fixture(scope="session")
def fine_response(response):
    """The same with all bands on the finest pixels."""
    from dataclasses import replace

    return replace(response, bands=replace(response.bands, levels=(0,) * len(response.bands)))


@pytest.fixture(scope="session")
def simulator(recipe, fine_response):
    """Simulator of what is learned, of an instrument and an emission that need no files."""
    sky = build_simulator(recipe.detection, [fine_response], [1.0])
    return CountsPatches(
        WholePatchSimulator(**sky.settings), SCHEDULES[recipe.schedule](), recipe.scaling_patches
    )
