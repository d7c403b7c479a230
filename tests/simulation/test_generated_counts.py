# Licensed under a 3-clause BSD style license - see LICENSE
"""Counts and sources as images, libraries of them, and patches drawn from a library."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.learning.simulator import named_simulator
from gammapy_asid.simulation.counts_images import counts_of, mark_sources, read_marks, stabilised
from gammapy_asid.simulation.counts_library import CountsLibrary
from gammapy_asid.simulation.generated_counts import GeneratedCountsSimulator
from gammapy_asid.tasks import get_task
from gammapy_asid.tasks.detection.simulator import build_simulator


def test_counts_come_back():
    counts = torch.arange(5000.0)
    assert torch.equal(counts_of(stabilised(counts)), counts)
    # An image that is a little wrong has the right counts where these are few
    assert torch.equal(counts_of(stabilised(counts[:10]) + 0.1), counts[:10])
    assert counts_of(torch.tensor(-1.0)) == 0


def test_stabilised_noise_is_one():
    counts = torch.poisson(
        torch.tensor([5.0, 50.0, 500.0]).repeat(20_000, 1), torch.Generator().manual_seed(0)
    )
    assert_allclose(stabilised(counts).std(0), 1, atol=0.03)


def test_marks_come_back():
    rng = np.random.default_rng(0)
    # Some of them at the edge
    x, y = np.meshgrid(np.arange(0, 64, 8), np.arange(0, 64, 8))
    x, y = (v.ravel() + rng.uniform(-0.5, 0.5, v.size) for v in (x, y))
    significance = np.exp(rng.uniform(0.7, 7, len(x)))
    x, y, significance = (torch.tensor(v, dtype=torch.float32) for v in (x, y, significance))
    marks = mark_sources(torch.zeros(len(x), dtype=torch.long), x, y, significance, 2, 64)
    patch, *found = read_marks(marks)
    assert marks.shape == (2, 64, 64)
    assert (patch == 0).all()
    # One source around each eighth pixel
    order = torch.argsort(8 * torch.round(found[1] / 8) + torch.round(found[0] / 8))
    assert_allclose(found[0][order], x, atol=0.1)
    assert_allclose(found[1][order], y, atol=0.1)
    assert_allclose(found[2][order], significance, rtol=0.02)


def test_what_is_not_marked():
    # Too faint, outside, and in the light of a brighter one
    values = [(5.0, 5.0, 1.9), (-3.0, 5.0, 50.0), (10.0, 10.0, 90.0), (10.5, 10.0, 5.0)]
    x, y, significance = torch.tensor(values).T
    _, *found = read_marks(mark_sources(torch.zeros(4, dtype=torch.long), x, y, significance, 1, 16))
    assert_allclose(torch.stack(found)[:, 0], [10, 10, 90], rtol=1e-3)
    assert len(found[0]) == 1


@pytest.fixture(scope="module")
def recipe(tiny_recipe):
    return tiny_recipe.model_copy(update={"background_share": 0.5})


@pytest.fixture(scope="module")
def response(make_response):
    return make_response(0.2, 10.0)


@pytest.fixture(scope="module")
def library(response):
    counts = torch.zeros(3, 6, 32, 32, dtype=torch.int32)
    # One photon of each band in each patch, at the place of its first source
    counts[0, :, 3, 20] = counts[1, :, 9, 9] = counts[2, :, 30, 1] = 1
    return CountsLibrary(
        counts=counts,
        patch=torch.tensor([0, 0, 2]),
        x=torch.tensor([20.0, 4.0, 1.0]),
        y=torch.tensor([3.0, 4.0, 30.0]),
        significance=torch.tensor([5.0, 3.0, 9.0]),
        edges=response.bands.edges,
        pixel_size=0.2,
        exposure=tuple(response.exposure.mean(1).tolist()),
    )


@pytest.fixture(scope="module")
def settings(recipe, response):
    return build_simulator(recipe, [response], [1.0]).settings


def test_patches_are_those_of_the_library(library, settings, recipe):
    simulator = GeneratedCountsSimulator(library, **settings)
    drawn = simulator.draw(64, 3)
    batch = drawn.batch
    assert not batch.has_background.any()
    whole = (batch.mask[3] == 1).all((1, 2))
    assert 0.4 < whole.float().mean() < 0.95
    for band, level in enumerate(simulator.bands.levels):
        assert batch.counts[band].shape == (64, 32 >> level, 32 >> level)
        assert (batch.counts[band].sum((1, 2))[whole] == 1).all()
        assert (batch.counts[band].sum((1, 2)) <= 1).all()
        assert (batch.counts[band][batch.mask[band] == 0] == 0).all()
    # Sources turn with their photon: that of significance 3 has none
    marked = whole[drawn.patch] & (drawn.significance != 3)
    row, column = drawn.y[marked].long(), drawn.x[marked].long()
    assert (batch.counts[4][drawn.patch[marked], row, column] == 1).all()
    # One of the two lies on a diagonal, and has four places
    assert len(set(zip(row.tolist(), column.tolist(), strict=True))) == 12
    assert drawn.flux.isnan().all()
    assert torch.equal(simulator.draw(64, 3).x, drawn.x)
    # It is what detection learns from
    task = get_task("detection")
    (inputs, _), (targets, _) = task.batch(drawn)
    assert all(torch.isfinite(v).all() for v in (*inputs.values(), targets))


def test_sources_of_chosen_patches(library):
    patch, x, _, significance = library.sources_of(torch.tensor([2, 1, 0, 2]))
    assert patch.tolist() == [0, 2, 2, 3]
    assert x.tolist() == [1, 20, 4, 1]
    assert significance.tolist() == [9, 5, 3, 9]


def test_patches_of_an_instrument_are_simulated(library, settings, recipe, response):
    drawn = GeneratedCountsSimulator(library, **settings).draw(4, 5, instrument=0)
    own = build_simulator(recipe, [response], [1.0]).draw(4, 5, instrument=0)
    assert torch.equal(drawn.flux, own.flux)
    assert len(own.flux) > 0


def test_library_of_another_instrument(library, settings, make_response, recipe):
    other = make_response(0.2, 5.0)
    with pytest.raises(ValueError, match="the recipe asks for"):
        GeneratedCountsSimulator(library, **build_simulator(recipe, [other], [1.0]).settings)
    two = build_simulator(recipe, [other, other], [0.5, 0.5]).settings
    with pytest.raises(ValueError, match="one instrument, not of 2"):
        GeneratedCountsSimulator(library, **two)


def test_recipe_must_name_a_library(recipe):
    with pytest.raises(ValueError, match="library: FILE"):
        named_simulator(recipe.model_copy(update={"simulator": "generated-counts"}))


@pytest.mark.parametrize("change", ["order", "patch", "length", "bands", "none"])
def test_damaged_library(library, tmp_path, change):
    changed = CountsLibrary(**vars(library))
    if change == "order":
        changed.patch = torch.tensor([2, 0, 0])
    elif change == "patch":
        changed.patch = torch.tensor([0, 0, 3])
    elif change == "length":
        changed.x = changed.x[:2]
    elif change == "bands":
        changed.exposure = changed.exposure[:2]
    path = tmp_path / "library.safetensors"
    if change == "none":
        path.write_bytes(b"nothing")
    else:
        changed.save(path)
    with pytest.raises(ValueError, match="is no library of counts"):
        CountsLibrary.load(path)
