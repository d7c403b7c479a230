# Licensed under a 3-clause BSD style license - see LICENSE
import numpy as np
import pytest
import torch

from gammapy_asid.inputs.bands import LAT_BANDS, Bands
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.detection.network import build_network
from gammapy_asid.tasks.detection.simulator import build_simulator
from gammapy_asid.tasks.detection.task import DetectionTask
from gammapy_asid.tasks.detection.transfer import _mean_embedding, start_from

PLANE = Bands((30.0, 100.0, 1e3, 1e4, 1e5), (1, 0, 0, 0), 0.04, extents=(0.1,))


def random_inputs(network, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        level: torch.randn(1, channels, 32 >> level, 32 >> level, generator=generator)
        for level, channels in enumerate(network.config.inputs)
        if channels
    }


@torch.no_grad()
def test_equal_bands_give_equal_output(toy_model):
    """At the start the network answers like the trained one for an average instrument."""
    trained = DetectionModel.load(toy_model, "cpu")
    network = build_network(LAT_BANDS, (4, 4, 4, 4)).eval()
    start_from(network, LAT_BANDS, toy_model)
    inputs, conditions = random_inputs(network), torch.randn(1, network.config.conditions)
    embedding = _mean_embedding(trained)
    trained.network.embed.forward = lambda conditions: embedding.expand(len(conditions), -1)
    np.testing.assert_allclose(
        network(inputs, conditions), trained.network(inputs, conditions), rtol=1e-4, atol=1e-5
    )


@torch.no_grad()
def test_new_channels_do_nothing_at_first(toy_model):
    network = build_network(PLANE, (4, 4, 4, 4)).eval()
    start_from(network, PLANE, toy_model)
    inputs, conditions = random_inputs(network), torch.randn(1, network.config.conditions)
    before = network(inputs, conditions)
    # Level 1 holds a band, then eight maps of extended sources.
    inputs[1][:, 4:] = 100.0
    torch.testing.assert_close(network(inputs, conditions), before)
    inputs[1][:, :4] = 100.0
    assert not torch.allclose(network(inputs, conditions), before)


def test_other_widths(toy_model):
    with pytest.raises(ValueError, match="use the same widths"):
        start_from(build_network(PLANE, (4, 4, 4, 8)), PLANE, toy_model)


@torch.no_grad()
def test_profiled_network_starts_as_the_trained_one(toy_model):
    trained = DetectionModel.load(toy_model, "cpu").network
    network = build_network(LAT_BANDS, (4, 4, 4, 4), profiled=True).eval()
    start_from(network, LAT_BANDS, toy_model)
    inputs, conditions = random_inputs(network), torch.randn(3, network.config.conditions)
    inputs = {level: value.expand(3, -1, -1, -1) for level, value in inputs.items()}
    known = {level: value[:, : trained.config.inputs[level]] for level, value in inputs.items()}
    torch.testing.assert_close(network(inputs, conditions), trained(known, conditions))


def test_recipe_tells_what_batches_hold(tiny_recipe, make_response):
    task, recipe = DetectionTask(), tiny_recipe.model_copy(update={"profiled": True})
    simulator = build_simulator(tiny_recipe, [make_response(0.1, 5.0)], [1.0])
    channels = {}
    for chosen in (tiny_recipe, recipe):
        inputs, _ = task.batches(simulator, chosen, 0)[0]
        assert task.network(chosen, simulator.bands)(*inputs).isfinite().all()
        channels[chosen.profiled] = inputs[0][0].shape[1]
    # A map of each of the three bands of the finest pixels, and of each trial spectrum
    assert channels[True] == channels[False] + 3 + 4
