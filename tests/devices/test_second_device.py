# Licensed under a 3-clause BSD style license - see LICENSE
"""Everything runs on the device that is asked for, and gives what the processor gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gammapy_asid import DLFluxEstimator, DLSourceDetector
from gammapy_asid.inputs.bands_of_dataset import bands_for_dataset
from gammapy_asid.inputs.convert import to_band_cube
from gammapy_asid.inputs.stamps import Stamps
from gammapy_asid.learning.diffusion import EDM
from gammapy_asid.learning.registry import get_task
from gammapy_asid.simulation.counts_library import CountsLibrary
from gammapy_asid.simulation.dataset_patches import DatasetSimulator
from gammapy_asid.simulation.demo import simulated_field
from gammapy_asid.simulation.faulty_patches import FAULTS, FaultyLatSimulator
from gammapy_asid.simulation.generated_counts import GeneratedCountsSimulator, WholePatchSimulator
from gammapy_asid.tasks.counts.simulator import CountsPatches
from gammapy_asid.tasks.detection.model import DetectionModel
from gammapy_asid.tasks.detection.simulator import build_simulator
from gammapy_asid.tasks.extension.model import ExtensionModel
from gammapy_asid.tasks.extension.simulator import dataset_stamp_simulator
from gammapy_asid.tasks.measurement.simulator import simulate_sources


def is_there(tensor):
    return tensor.device.type == "cuda"


def tensors(value, name=""):
    """All tensors inside of a value, with their names."""
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from tensors(item, f"{name}.{i}")
    elif isinstance(value, dict) or hasattr(value, "to"):
        parts = value if isinstance(value, dict) else vars(value)
        for key, item in parts.items():
            yield from tensors(item, f"{name}.{key}")


def assert_same(here, there):
    """Every tensor of the one is one of the other, computed elsewhere, with the same values."""
    here, there = dict(tensors(here)), dict(tensors(there))
    assert here.keys() == there.keys()
    assert len(here) > 0
    for name, value in there.items():
        assert is_there(value), name
        np.testing.assert_array_equal(value.detach().cpu().numpy(), here[name].detach().numpy(), err_msg=name)


def same_table(one, other):
    for name in one.colnames:
        np.testing.assert_array_equal(np.asarray(one[name]), np.asarray(other[name]), err_msg=name)


@pytest.fixture(scope="module")
def field():
    return simulated_field((75, 20), (8, 7), 10, 0.1, 3)[0].dataset


@pytest.fixture(scope="module")
def simulators(field, plane_simulator, make_response, tiny_recipe, extension_dataset, extension_recipe):
    cube = to_band_cube(field, bands_for_dataset(field))
    response = make_response(0.1, 5.0)
    lat = build_simulator(tiny_recipe, [response], [1.0])
    fine = replace(response, bands=replace(response.bands, levels=(0,) * len(response.bands)))
    sky = WholePatchSimulator(**build_simulator(tiny_recipe, [fine], [1.0]).settings)
    counts = CountsPatches(sky, EDM(), 64)
    drawn = counts.draw(8, 1)
    images, sources = counts.scaling.read(drawn.images, drawn.brightness)
    instrument = response.bands.edges, response.pixel_size, tuple(response.exposure.mean(1))
    library = CountsLibrary(images.int(), *sources, *instrument)
    return {
        "counts": counts,
        "generated": GeneratedCountsSimulator(library, **lat.settings),
        "lat": lat,
        "faulty": FaultyLatSimulator.like(lat, 0.9),
        "plane": plane_simulator,
        "dataset": DatasetSimulator(cube, 32),
        "stamps": dataset_stamp_simulator(extension_dataset, extension_recipe)[0],
    }


def test_the_second_device_finds_what_stays_on_the_host(second_device):
    there, here = torch.ones(3, device=second_device), torch.ones(3)
    assert there.device.type == "cuda"
    assert (2 * there + 1).sum().item() == 9
    for mistake in (lambda: there + here, lambda: torch.stack([here, there]), lambda: there[np.arange(2)]):
        with pytest.raises(RuntimeError, match="on the host"):
            mistake()
    with pytest.raises(TypeError):
        there.numpy()
    with pytest.raises(RuntimeError, match="random numbers"):
        torch.poisson(there, generator=torch.Generator())


def test_candidates_and_fluxes(field, second_device):
    options = {"model": "lat", "threshold": 0.3}
    here = DLSourceDetector(**options, device="cpu").run(field)
    there = DLSourceDetector(**options, device=second_device).run(field)
    assert len(here) > 3
    same_table(here.table, there.table)
    for sources in (here, here.positions):
        one, other = (DLFluxEstimator("lat", device=d).run(field, sources) for d in ("cpu", second_device))
        same_table(one.table, other.table)
        same_table(one.bands, other.bands)


def test_extension(second_device):
    model = ExtensionModel.load("cta-extension", "cpu")
    n, size = len(model.card.to_bands()), model.card.architecture["size"]
    generator = torch.Generator().manual_seed(1)
    known = torch.full((70, n, size, size), 0.4)
    psf = 0.3 + 0.1 * torch.randn(70, n, 4, generator=generator)
    stamps = Stamps(torch.poisson(known, generator=generator), known, torch.ones(70, size, size), psf)
    here = model.predict(stamps)
    there = ExtensionModel.load("cta-extension", second_device).predict(stamps)
    for name, value in vars(here).items():
        np.testing.assert_array_equal(value, getattr(there, name))


@pytest.mark.parametrize("name", ["lat", "faulty", "plane", "dataset", "stamps", "generated"])
def test_simulators(name, simulators, second_device):
    simulator = simulators[name]
    moved = simulator.to(second_device)
    assert simulator.device.type == "cpu"
    assert moved.device.type == "cuda"
    # As many as hold every fault of a faulty sky
    n = 40 if name == "faulty" else 6
    drawn = simulator.draw(n, 5)
    assert name != "faulty" or len(drawn.fault.unique()) == len(FAULTS)
    assert_same(drawn, moved.draw(n, 5))


@pytest.mark.parametrize("name, recipe", [("lat", "tiny_recipe"), ("stamps", "extension_recipe")])
def test_training_step(name, recipe, simulators, request, second_device):
    recipe, results = request.getfixturevalue(recipe), []
    task = get_task(recipe.task)
    drawn = task.validation(simulators[name], recipe)
    for device in ("cpu", second_device):
        torch.manual_seed(0)
        simulator = simulators[name].to(device)
        network = task.network(recipe, simulator.bands).to(device)
        inputs, target = task.batch(simulator.draw(4, 3))
        parts = task.loss(task.forward(network, inputs), target, recipe)
        parts["loss"].backward()
        results.append(parts | {n: p.grad for n, p in network.named_parameters()})
        task.validate(network.eval(), drawn, recipe)
    assert_same(*results)


@pytest.mark.parametrize(
    "name, recipe",
    [
        ("lat", "tiny_recipe"),
        ("dataset", "tiny_recipe"),
        ("generated", "tiny_recipe"),
        ("stamps", "extension_recipe"),
    ],
)
def test_a_training_step_copies_no_image_to_the_host(
    name, recipe, simulators, request, second_device, to_host
):
    recipe = request.getfixturevalue(recipe)
    task, simulator = get_task(recipe.task), simulators[name].to(second_device)
    network = task.network(recipe, simulator.bands).to(second_device)
    to_host.clear()
    inputs, target = task.batch(simulator.draw(4, 3))
    task.loss(task.forward(network, inputs), target, recipe)["loss"].backward()
    # Questions such as whether there are sources, and a number for each stamp
    assert sum(to_host) < 10


def test_what_goes_to_the_host_is_seen(second_device, to_host):
    there = torch.ones(3, device=second_device)
    there.cpu(), there.to("cpu"), there.tolist(), there.sum().item(), bool(there[0] > 0)
    assert to_host == [3, 3, 3, 1, 1]


def test_images_that_a_generator_learns_from(simulators, second_device):
    here, there = simulators["counts"], simulators["counts"].to(second_device)
    assert_same(here.draw(4, 3), there.draw(4, 3))
    task = get_task("counts")
    assert_same(list(task.batch(here.draw(4, 3))), list(task.batch(there.draw(4, 3))))


def test_sources_that_the_ensembles_learn_from(simulators, second_device):
    here, there = (
        list(
            simulate_sources(DetectionModel.load("lat", device), simulators["lat"], 16, seed=3, batch_size=8)
        )
        for device in ("cpu", second_device)
    )
    assert len(here) == len(there) > 0
    for one, other in zip(here, there, strict=True):
        # They come back to the processor
        for (name, value), (_, same) in zip(tensors(one), tensors(other), strict=True):
            assert not is_there(same), name
            np.testing.assert_array_equal(value.numpy(), same.numpy(), err_msg=name)
