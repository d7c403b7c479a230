# Licensed under a 3-clause BSD style license - see LICENSE
"""Training, release and draws of a generator of counts."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.learning.run import train_model
from gammapy_asid.simulation.counts_images import mark_sources, stabilised
from gammapy_asid.simulation.counts_library import CountsLibrary
from gammapy_asid.tasks import get_task, load_card, read_recipe
from gammapy_asid.tasks.counts.model import CountsModel
from gammapy_asid.tasks.counts.recipe import CountsRecipe
from gammapy_asid.tasks.counts.simulator import Scaling, images_of


@pytest.fixture(scope="module")
def trained(recipe, simulator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("counts")
    files = train_model(recipe, folder, simulator, num_workers=0, progress=False, device="cpu")
    return files["counts"][0]


def test_trained_model_draws_a_library(trained, response, simulator, tmp_path):
    card = load_card(trained)
    assert card.task == "counts"
    assert_allclose(card.brightness, simulator.scaling.brightness, rtol=1e-6)
    assert_allclose(card.marks, simulator.scaling.marks, rtol=1e-6)
    assert set(get_task("counts").summary(card)) == set(card.metrics)
    model = CountsModel.load(trained, "cpu")
    one, same, other = model.draw(5, 1), model.draw(5, 1), model.draw(5, (1, 2))
    assert one.counts.shape == (5, 6, 32, 32)
    assert one.counts.dtype == torch.int32
    assert one.counts.min() >= 0
    assert torch.equal(one.counts, same.counts)
    assert not torch.equal(one.counts, other.counts)
    assert one.edges == response.bands.edges
    assert_allclose(one.exposure, response.exposure.mean(1))
    one.save(tmp_path / "counts.safetensors")
    read = CountsLibrary.load(tmp_path / "counts.safetensors")
    assert vars(read).keys() == vars(one).keys()
    for name in ("counts", "patch", "x", "y", "significance"):
        assert torch.equal(getattr(read, name), getattr(one, name))
    assert (read.edges, read.pixel_size, read.exposure) == (one.edges, one.pixel_size, one.exposure)


def test_images_are_scaled_counts_and_sources(simulator):
    drawn = simulator.draw(8, (1, 2))
    again = simulator.draw(8, (1, 2))
    assert torch.equal(drawn.images, again.images)
    assert torch.equal(drawn.noise, again.noise)
    assert_allclose(drawn.noise.std(), 1, atol=0.03)
    sky = simulator.sky.draw(8, (1, 2))
    counts, (patch, x, y, significance) = simulator.scaling.read(drawn.images, drawn.brightness)
    # Of rounded counts nothing is lost
    assert torch.equal(counts, torch.stack(sky.batch.counts, 1))
    marked = (sky.significance >= 2) & (sky.x > -0.5) & (sky.x < 31.5) & (sky.y > -0.5) & (sky.y < 31.5)
    # Sources within two pixels of a brighter one have no peak of their own
    assert 0.7 * marked.sum() < len(x) <= marked.sum()
    brightest = sky.significance[marked].argmax()
    found = significance.argmax()
    assert patch[found] == sky.patch[marked][brightest]
    assert_allclose(significance[found], sky.significance[marked][brightest], rtol=0.01)
    assert_allclose([x[found], y[found]], [sky.x[marked][brightest], sky.y[marked][brightest]], atol=0.05)


def test_scaled_images_have_no_brightness_of_their_own(simulator):
    images = images_of(simulator.sky.draw(64, (2**34, 0)))
    brightness = simulator.scaling.brightness_of(images)
    scaled = simulator.scaling.scaled(images, brightness)[:, :-1]
    assert_allclose(scaled.mean((2, 3)), 0, atol=1e-4)
    # A band of a patch without a photon has no spread
    seen = images[:, :-1].std((2, 3)) > 1e-3
    assert seen.float().mean() > 0.5
    assert_allclose(scaled.std((2, 3))[seen], 1, atol=1e-3)
    # The network is told in numbers about one
    measured = simulator.scaling.brightness
    known = simulator.scaling.known(measured, 4)
    assert known.shape == (*measured.shape, 4, 4)
    assert_allclose(known.mean((0, 2, 3)), 0, atol=1e-4)
    assert_allclose(known.std(0, correction=0)[measured.std(0) > 2e-3], 1, rtol=1e-3)


def test_a_generated_patch_has_the_brightness_of_a_simulated_one(simulator):
    # A network that knows nothing makes noise: mean and spread are still those of a patch
    brightness = simulator.scaling.brightness[[1, 5]]
    noise = torch.randn(2, 7, 32, 32, generator=torch.Generator().manual_seed(0))
    counts, _ = simulator.scaling.read(noise, brightness)
    bright = brightness[:, :6] > 8
    assert bright.any()
    assert_allclose(stabilised(counts).mean((2, 3))[bright], brightness[:, :6][bright], rtol=0.05)


def test_batch_and_turns(simulator):
    task, drawn = get_task("counts"), simulator.draw(4, 0)
    (inputs, features), target = batch = task.batch(drawn)
    level = drawn.level[:, None, None, None]
    noisy = drawn.images + level * drawn.noise
    assert_allclose(inputs[0][:, :7], noisy / torch.sqrt(1 + level**2), rtol=1e-5)
    assert torch.equal(inputs[0][:, 7:], drawn.known)
    assert_allclose(drawn.schedule.denoised(target, noisy, drawn.level), drawn.images, atol=1e-4)
    (other, same), turned = task.turned(batch, 1)
    assert torch.equal(same, features)
    assert torch.equal(turned, torch.rot90(target, 1, (2, 3)))
    assert torch.equal(other[0], torch.rot90(inputs[0], 1, (2, 3)))


def test_recipe_that_ships():
    recipe = read_recipe("generated-counts")
    assert isinstance(recipe, CountsRecipe)
    network = get_task("counts").network(recipe, range(6))
    assert sum(weights.numel() for weights in network.parameters()) < 1e6


def test_recipe_of_one_instrument(recipe):
    with pytest.raises(ValueError, match="one instrument: set copies to 1, not 4"):
        CountsRecipe(name="a", instrument={"irf": "P8R3_SOURCE_V2"})
    with pytest.raises(ValueError, match="leave out the data"):
        get_task("counts").simulator(recipe, datasets=[])


def test_images_of_a_band_that_is_absent():
    # Zero counts everywhere: no division by no spread
    marks = mark_sources(*(torch.tensor([v]) for v in (0, 4.0, 4.0, 9.0)), 1, 8)
    images = torch.cat([stabilised(torch.zeros(1, 1, 8, 8)), marks[:, None]], 1)
    scaling = Scaling.measured(images)
    brightness = scaling.brightness_of(images)
    scaled = scaling.scaled(images, brightness)
    assert torch.isfinite(scaled).all()
    assert torch.all(scaling.known(brightness, 8) == 0)
    counts, _ = scaling.read(scaled, brightness)
    assert np.all(counts.numpy() == 0)
