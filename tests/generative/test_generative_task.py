# Licensed under a 3-clause BSD style license - see LICENSE
"""Training, release and draws of a generator of fine emission."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.testing import assert_allclose

from gammapy_asid.cli import main
from gammapy_asid.learning.denoiser import build_network, generate
from gammapy_asid.learning.diffusion import DDPM, EDM
from gammapy_asid.learning.run import train_model
from gammapy_asid.simulation.structure import StructureLibrary
from gammapy_asid.tasks import get_task, load_card, read_recipe
from gammapy_asid.tasks.generative.model import GenerativeModel
from gammapy_asid.tasks.generative.sky import read_intensity


@pytest.fixture(scope="module")
def trained(recipe, simulator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("generative")
    files = train_model(recipe, folder, simulator, num_workers=0, progress=False, device="cpu")
    return files["generative"][0]


def test_trained_model_draws(trained, recipe, simulator):
    card = load_card(trained)
    assert card.task == "generative"
    assert card.amplitude == simulator.sky.coefficients
    assert card.bands.edges == (1.0, 2.0)
    assert set(get_task("generative").summary(card)) == set(card.metrics)
    model = GenerativeModel.load(trained, "cpu")
    one, same, other = model.draw(5, 1), model.draw(5, 1), model.draw(5, 2)
    assert one.structure.shape == (5, 16, 16)
    assert torch.isfinite(one.structure).all()
    assert torch.equal(one.structure, same.structure)
    assert not torch.equal(one.structure, other.structure)
    assert torch.equal(model.draw(5, (1, 2)).structure, model.draw(5, (1, 2)).structure)
    # In the same place of another emission the coarse map is another one
    sky = model.sky(np.ascontiguousarray(read_intensity(recipe)[::-1]))
    moved = model.draw(5, 1, sky)
    assert torch.equal(moved.centres, one.centres)
    assert not torch.allclose(moved.channels[:, 2], one.channels[:, 2], atol=0.01)


def test_command_makes_a_library(trained, tmp_path):
    path = tmp_path / "fields.safetensors"
    run = CliRunner().invoke(
        main, ["emission", str(trained), "-o", str(path), "--fields", "6", "--seed", "3"]
    )
    assert run.exit_code == 0, run.output
    library = StructureLibrary.load(path)
    drawn = GenerativeModel.load(trained, "cpu").draw(6, 3)
    assert torch.equal(library.structure, drawn.structure.half())
    assert_allclose(library.latitude, drawn.centres[:, 1].rad2deg().abs())
    assert library.pixel_size == 0.25


def test_learns_from_the_target_of_the_schedule(simulator):
    task, drawn = get_task("generative"), simulator.draw(6, 0)
    (inputs, features), target = task.batch(drawn)
    clean, level = drawn.patches.normalised[:, None], drawn.level[:, None, None, None]
    noisy = clean + level * drawn.noise[:, None]
    assert_allclose(inputs[0][:, :1], noisy / torch.sqrt(1 + level**2), rtol=1e-5)
    assert torch.equal(inputs[0][:, 1:], drawn.patches.channels)
    assert len(features) == 6
    assert_allclose(drawn.schedule.denoised(target, noisy, drawn.level), clean, atol=1e-4)
    assert_allclose(task.loss(target + 2, target, None)["loss"], 4, rtol=1e-5)


def test_untrained_network_knows_a_gaussian():
    # Its output is zero: structure of independent pixels with unit variance
    network = build_network(1, 3, (4, 6)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        images = generate(network, EDM(), torch.zeros(40, 3, 16, 16), generator)[:, 0]
    assert images.shape == (40, 16, 16)
    assert_allclose(images.std(), 1, atol=0.03)
    assert_allclose((images[:, 1:] * images[:, :-1]).mean(), 0, atol=0.03)


def test_recipe_that_ships():
    recipe = read_recipe("fine-emission")
    assert recipe.task == "generative"
    network = get_task("generative").network(recipe, None)
    assert sum(weights.numel() for weights in network.parameters()) < 1e6


def test_classical_schedule(recipe, simulator):
    task = get_task("generative")
    other = task.simulator(recipe.model_copy(update={"schedule": "ddpm"}))
    assert isinstance(simulator.schedule, EDM)
    assert isinstance(other.schedule, DDPM)
    assert set(other.draw(20, 1).level.tolist()) <= set(other.schedule.levels.tolist())


def test_no_data_of_an_instrument(recipe):
    with pytest.raises(ValueError, match="leave out the data"):
        get_task("generative").simulator(recipe, datasets=[])
