# Licensed under a 3-clause BSD style license - see LICENSE
import healpy
import numpy as np
import pytest

from gammapy_asid.learning.recipe import OptimiserRecipe
from gammapy_asid.simulation.diffuse import EmissionBank, analytic_emission
from gammapy_asid.tasks.generative.recipe import GenerativeRecipe
from gammapy_asid.tasks.generative.simulator import build_simulator


@pytest.fixture(scope="session")
def recipe(tmp_path_factory):
    """Recipe with an emission that needs no data, and a tracer made of another one."""
    folder = tmp_path_factory.mktemp("emission")
    EmissionBank.from_models([analytic_emission(0)]).save(folder / "bank.safetensors")
    lon, lat = healpy.pix2ang(64, np.arange(12 * 64**2), lonlat=True)
    column = 1e21 * analytic_emission(1).interpolate(lon, lat)[:, 2]
    # A pixel without a value, and the other order of the pixels
    column[1000] = healpy.UNSEEN
    path = folder / "gas.fits"
    healpy.write_map(str(path), healpy.reorder(column, r2n=True), nest=True, coord="G", dtype=np.float64)
    return GenerativeRecipe(
        name="tiny",
        emission=str(folder / "bank.safetensors"),
        model="analytic",
        tracers=(str(path),),
        size=16,
        widths=(4, 6),
        validation_patches=4,
        calibration_patches=6,
        optimiser=OptimiserRecipe(batch_size=8, batches_per_epoch=6, epochs=2, ema_decay=0.5),
    )


@pytest.fixture(scope="session")
def simulator(recipe):
    """Its simulator."""
    return build_simulator(recipe)
