# Licensed under a 3-clause BSD style license - see LICENSE
import numpy as np
import pytest
import torch

from gammapy_asid.inputs.bands import Bands
from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.learning.stream import SimulatedBatches
from gammapy_asid.learning.targets import match_radius, target_maps
from gammapy_asid.simulation.patch_images import turned_patches, turned_places
from gammapy_asid.stats.significance import network_inputs
from gammapy_asid.tasks.detection.network import build_network
from gammapy_asid.tasks.detection.task import DetectionTask

BANDS = Bands((100.0, 1e3, 1e4, 1e5), (1, 0, 0), 0.04, extents=(0.1, 0.25))


@pytest.fixture(scope="module")
def simulator(plane_simulator):
    return plane_simulator


def test_field(simulator):
    field, cut = simulator.fields
    assert [tuple(b.shape) for b in field.background] == [(48, 60), (96, 120), (96, 120)]
    np.testing.assert_allclose(field.latitude[[0, -1]], [-1.9, 1.9], atol=1e-6)
    for exposure, mask in zip(field.exposure, field.mask, strict=True):
        assert (exposure * mask).sum() / mask.sum() == pytest.approx(1, rel=1e-3)
    # 20 h of an area that falls with the offset: less than on the axis, more than half of it.
    area = 2e10 * np.exp(-((0.7 / 4) ** 2))
    assert 0.5 < field.response.exposure[2].mean() / (area * 72000) < 1
    assert not cut.response.present[2]
    assert cut.response.e_min[0] == 300
    assert not cut.mask[2].any()
    # The background is that of the response: 10 / (s sr TeV) E^-2.5 over a band, 20 h.
    solid = np.radians(0.04) ** 2
    expected = 10 * solid * 72000 * (1 - 10**-1.5) / 1.5
    assert field.background[1].mean() == pytest.approx(expected, rel=0.1)


def test_draw(simulator):
    patches = simulator.draw(6, seed=(1, 2))
    again = simulator.draw(6, seed=(1, 2))
    for one, other in zip(patches.batch.counts, again.batch.counts, strict=True):
        assert torch.equal(one, other)
    assert torch.all(patches.instrument % simulator.stride == 0)
    assert (patches.width > 0).any() and (patches.width == 0).any()
    for counts, expected in zip(patches.batch.counts, patches.expected, strict=True):
        assert abs(counts.sum() - expected.sum()) < 6 * expected.sum().sqrt() + 6
    inputs = network_inputs(patches.batch)
    assert [inputs[level].shape[1:] for level in (0, 1, 2)] == [(17, 32, 32), (12, 16, 16), (8, 8, 8)]
    assert all(torch.isfinite(value).all() for value in inputs.values())
    network = build_network(BANDS, (4, 4, 4, 4)).eval()
    inputs, _ = SimulatedBatches(DetectionTask(), simulator, 2, 4, seed=1)[0]
    assert network(*inputs).shape == (2, 5, 32, 32)
    one = simulator.draw(3, seed=1, instrument=simulator.stride)
    assert torch.all(one.instrument == simulator.stride)


def test_extended_images_hold_the_counts(simulator):
    """Photons of a source of any shape add up, and its second moment is that of shape and PSF."""
    n = 4
    place = torch.full((n,), 15.3)
    kind, width = torch.tensor([1, 1, 2, 3]), torch.tensor([0.5, 3.0, 3.0, 3.0])
    images = simulator.shapes.images(
        torch.ones(n, dtype=torch.long),
        kind,
        place,
        place,
        width,
        torch.ones(n),
        torch.zeros(n),
        torch.full((n, 3), 100.0),
    )
    grid = torch.arange(32.0)
    for level, image in zip(BANDS.levels, images, strict=True):
        assert image.shape == (n, 32 >> level, 32 >> level)
        np.testing.assert_allclose(image.sum((1, 2)), 100, rtol=0.02)
    for image in images[1:]:
        centre = (image * grid).sum((1, 2)) / image.sum((1, 2))
        np.testing.assert_allclose(centre, 15.3, atol=0.05)
        second = (image * (grid - 15.3) ** 2).sum((1, 2)) / image.sum((1, 2))
        np.testing.assert_allclose(second[1:] - second[0], 9 - 0.25, rtol=0.06)


@pytest.mark.parametrize("turn", range(8))
def test_turned_places_follow_the_images(turn):
    image = torch.zeros(1, 16, 16)
    image[0, 3, 9] = 1
    (turned,) = turned_patches([image], [turn])
    x, y = turned_places(torch.tensor([9.0]), torch.tensor([3.0]), torch.tensor([turn]), 16)
    assert turned[0, int(y), int(x)] == 1


def test_targets_of_extended_sources():
    """An extended source has a wider centre mark and match radius, a point has neither."""
    patch, x, y = torch.zeros(2, dtype=torch.long), torch.tensor([16.0, 48.0]), torch.tensor([32.0, 32.0])
    width = torch.tensor([0.0, 0.4])
    maps = target_maps(patch, x, y, torch.tensor([0.04]), 1, (64, 64), bands=BANDS, width=width)[0]
    radius = match_radius(BANDS, width)
    np.testing.assert_allclose(radius, [0.12, np.hypot(0.12, 0.28)], rtol=1e-5)
    area = torch.stack([maps[1, :, :32].sum(), maps[1, :, 32:].sum()]) * 0.04**2
    np.testing.assert_allclose(area, np.pi * radius**2, rtol=0.15)
    assert maps[0, :, 32:].sum() > 3 * maps[0, :, :32].sum()
    points = target_maps(patch, x, y, torch.tensor([0.04]), 1, (64, 64), bands=BANDS)[0]
    torch.testing.assert_close(points[:, :, :30], maps[:, :, :30])


def test_recipe():
    recipe = read_recipe("cta-gps")
    assert recipe.plane.fields > 1
    assert recipe.sha256 != recipe.model_copy(update={"plane": None}).sha256


def test_patches_used_again_are_turned(simulator):
    """Targets drawn for turned sources are those that the stream turns."""
    once, again = (
        SimulatedBatches(DetectionTask(), simulator, 2, 6, seed=3, reuse=reuse) for reuse in (1, 3)
    )
    first = once[0]
    torch.testing.assert_close(again[0], first)
    torch.testing.assert_close(again[3][1], once[1][1])
    patches = simulator.draw(2, (3, 0))
    turns = np.random.default_rng((3, 0)).permutation(np.arange(1, 8))
    for use in (1, 2):
        turn = torch.full((len(patches.x),), int(turns[use - 1]))
        x, y = turned_places(patches.x, patches.y, turn, 32)
        pixel = patches.batch.pixel_size
        direct = target_maps(
            patches.patch, x, y, pixel, 2, (32, 32), bands=patches.bands, width=patches.width
        )
        targets, _ = again[use][1]
        np.testing.assert_allclose(targets[:, :2], direct[:, :2], atol=1e-4)
        both = (targets[:, 4] * direct[:, 4])[:, None]
        np.testing.assert_allclose(targets[:, 2:4] * both, direct[:, 2:4] * both, atol=1e-3)
