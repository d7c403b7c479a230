# Licensed under a 3-clause BSD style license - see LICENSE
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.coordinates import SkyCoord
from gammapy.modeling.models import (
    DiskSpatialModel,
    GaussianSpatialModel,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)
from numpy.testing import assert_allclose

from gammapy_asid.simulation.scenes import Scene
from gammapy_asid.simulation.shapes import SHAPES, deposit_points, shape_images, shell_size
from gammapy_asid.simulation.stamp_simulator import StampSimulator
from gammapy_asid.stats.image_bounds import asimov_terms
from gammapy_asid.tasks.extension.simulator import dataset_places, dataset_stamp_simulator

SIZE = 48


def moments(images):
    """Sum, centroid and mean square along both axes."""
    pixel = torch.arange(images.shape[-1], dtype=torch.float32)
    total = images.sum((1, 2))
    x, y = (images.sum(axis) @ pixel / total for axis in (1, 2))
    xx = ((images.sum(1) * (pixel - x[:, None]) ** 2).sum(1)) / total
    yy = ((images.sum(2) * (pixel - y[:, None]) ** 2).sum(1)) / total
    return total, x, y, xx, yy


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_shapes_have_their_size(kind):
    n = 6
    x, y = torch.linspace(29.5, 30.5, n), torch.linspace(31, 30, n)
    size = torch.linspace(3, 6, n)
    images = shape_images(torch.full((n,), kind), x, y, size, 64)
    total, mx, my, xx, yy = moments(images)
    # Shells of a few pixels are the hardest to sample.
    assert_allclose(total, 1, rtol=0.03)
    assert_allclose(mx, x, atol=0.05)
    assert_allclose(my, y, atol=0.05)
    assert_allclose(xx.sqrt(), size, rtol=0.02)
    assert_allclose(yy.sqrt(), size, rtol=0.02)


def test_elongated_gaussian():
    size, elongation = torch.tensor([4.0, 4.0]), torch.tensor([4.0, 4.0])
    angle = torch.tensor([0.0, np.pi / 2])
    one = torch.ones(2, dtype=torch.long)
    images = shape_images(one, torch.full((2,), 40.0), torch.full((2,), 40.0), size, 80, elongation, angle)
    _, _, _, xx, yy = moments(images)
    assert_allclose(xx.sqrt(), [8, 2], rtol=0.01)
    assert_allclose(yy.sqrt(), [2, 8], rtol=0.01)


def test_points_are_not_broadened():
    x, y = torch.tensor([10.0, 10.3, 10.5]), torch.tensor([8.0, 8.7, 8.25])
    total, mx, my, xx, yy = moments(deposit_points(x, y, 20))
    assert_allclose(total, 1, atol=1e-6)
    assert_allclose(mx, x, atol=1e-5)
    assert_allclose(my, y, atol=1e-5)
    assert_allclose(xx, 0, atol=1e-5)
    assert_allclose(yy, 0, atol=1e-5)
    # Outside the image nothing is left.
    assert deposit_points(torch.tensor([-5.0]), torch.tensor([3.0]), 20).abs().sum() == 0


@pytest.fixture(scope="module")
def simulator(extension_dataset, extension_recipe):
    return dataset_stamp_simulator(extension_dataset, extension_recipe)[0]


@pytest.mark.parametrize("name", ["point", "gaussian", "disk"])
def test_counts_are_those_of_gammapy(extension_dataset, extension_recipe, name):
    """The source's expected counts against MapDataset.npred(), bright part of the stamp."""
    dataset = extension_dataset
    places = dataset_places(dataset, extension_recipe)
    kind = SHAPES.index(name)
    shapes = tuple(float(i == max(kind, 1)) for i in (1, 2, 3))
    scene = Scene(
        hours=(1, 1),
        log_flux=(-11, 0),
        index=(2.2, 0),
        size=(0.2, 0.2),
        points=float(kind == 0),
        shapes=shapes,
    )
    simulator = StampSimulator(places[:1], [scene])
    drawn = simulator.draw(1, 3, keep_source=True)
    # The same place within the pixel, in the middle of the dataset.
    step = simulator.pixel_size
    geom = dataset.counts.geom.to_image()
    dx, dy = float(drawn.x[0]) - SIZE // 2, float(drawn.y[0]) - SIZE // 2
    middle = np.array(geom.data_shape)[::-1] // 2
    lon, lat = geom.pix_to_coord((middle[0] + dx, middle[1] + dy))
    assert step == pytest.approx(geom.pixel_scales[0].deg, rel=1e-3)
    place = {"lon_0": lon, "lat_0": lat, "frame": "galactic"}
    spatial = {
        "point": lambda: PointSpatialModel(**place),
        "gaussian": lambda: GaussianSpatialModel(sigma=0.2 * u.deg, **place),
        "disk": lambda: DiskSpatialModel(r_0=0.4 * u.deg, **place),
    }[name]()
    own = dataset.copy(name="own")
    amplitude = float(drawn.amplitude[0]) * u.Unit("cm-2 s-1 TeV-1")
    own.models = [SkyModel(PowerLawSpectralModel(index=2.2, amplitude=amplitude, reference="1 TeV"), spatial)]
    edges = own.counts.geom.axes["energy"].edges.to_value("GeV")
    starts = np.searchsorted(edges, np.array(simulator.bands.edges[:-1]) * 1.001) - 1
    expected = np.add.reduceat(own.npred_signal().data, starts)
    reach = SIZE // 2 - 2
    rows, columns = (slice(m - reach, m + reach) for m in middle[::-1])
    inner = slice(SIZE // 2 - reach, SIZE // 2 + reach)
    # Of the total, and of each pixel over the brightest: Gammapy spreads a point over four pixels and
    # samples the edge of a disk coarsely.
    tolerance = {"point": (5e-3, 0.04), "gaussian": (5e-3, 0.007), "disk": (1e-2, 0.07)}[name]
    source = drawn.source[0][:, inner, inner].numpy()
    assert_allclose(source.sum((1, 2)), expected[:, rows, columns].sum((1, 2)), rtol=tolerance[0])
    peak = expected.max((1, 2))
    assert np.all(np.abs(source - expected[:, rows, columns]).max((1, 2)) < tolerance[1] * peak)


def test_equal_seeds_give_equal_stamps(simulator):
    one, same, other = (simulator.draw(8, seed) for seed in (1, 1, 2))
    for a, b in zip(one.stamps.tensors, same.stamps.tensors, strict=True):
        assert torch.equal(torch.nan_to_num(a), torch.nan_to_num(b))
    assert torch.equal(one.size, same.size)
    assert not torch.equal(one.stamps.counts, other.stamps.counts)


def test_counts_fluctuate_around_the_expectation(simulator):
    scene = replace(simulator.scenes[0], edges=0, neighbours=0, emission=0, exact=1.0, missing_bands=0)
    drawn = simulator.draw(64, 5, scene, keep_source=True)
    expected = (drawn.source + drawn.stamps.background).sum((1, 2, 3))
    pull = (drawn.stamps.counts.sum((1, 2, 3)) - expected) / expected.sqrt()
    assert abs(pull.mean()) < 0.5
    assert 0.7 < pull.std() < 1.3


def test_edges_and_missing_bands(simulator):
    scene = replace(simulator.scenes[0], edges=1.0, missing_bands=1.0)
    stamps = simulator.draw(16, 5, scene).stamps
    assert torch.all((stamps.valid == 0).any(-1).any(-1))
    gone = torch.isnan(stamps.psf[..., 0])
    assert torch.all(gone.any(1) & ~gone.all(1))
    assert torch.all(gone[:, 0] | gone[:, -1])
    assert torch.all(stamps.counts[gone] == 0)
    assert torch.all(stamps.counts.sum(1)[stamps.valid == 0] == 0)
    # The candidate itself is always inside.
    assert torch.all(stamps.valid[:, SIZE // 2, SIZE // 2] == 1)


def test_emission_and_neighbours_add_to_both(simulator):
    quiet = replace(
        simulator.scenes[0], neighbours=0, emission=0, log_flux=(-20, 0), background_error=0, edges=0
    )
    busy = replace(quiet, emission=1.0, unknown_emission=0.0)
    unknown = replace(busy, unknown_emission=1.0)
    totals = [simulator.draw(16, 7, s).stamps.background.sum() for s in (quiet, busy, unknown)]
    assert totals[1] > totals[0]
    assert totals[2] == pytest.approx(float(totals[0]), rel=1e-5)
    crowded = replace(quiet, neighbours=3.0, log_flux=(-10.5, 0), hours=(1, 1))
    drawn = simulator.draw(32, 7, crowded)
    excess = drawn.stamps.background.sum((1, 2, 3)) - simulator.bank.background[drawn.place].sum((1, 2, 3))
    # About half of the stamps have known neighbours.
    assert 4 < (excess > 10).sum() < 28
    assert excess.min() == pytest.approx(0, abs=1)


def test_expected_significance():
    background = torch.full((1, 2, 4, 4), 10000.0)
    source = torch.zeros_like(background)
    source[0, 0, 1, 1] = 100.0
    assert asimov_terms(source, background).sum((1, 2, 3))[0] == pytest.approx(1.0, rel=0.01)


def test_fluxes_follow_the_dataset(extension_dataset, extension_recipe):
    simulator, recipe = dataset_stamp_simulator(extension_dataset, extension_recipe)
    level = replace(recipe.scenes[0], points=1.0, neighbours=0, hours=(1, 1))
    shift = extension_recipe.scenes[0].log_flux[0]
    level = replace(level, log_flux=(level.log_flux[0] - shift, 0.0))
    assert 15 < simulator.draw(64, 1, level).ts.median() < 40
    longer = extension_dataset.copy(name="longer")
    longer.exposure = longer.exposure * 4
    longer.background = longer.background * 4
    other = dataset_stamp_simulator(longer, extension_recipe)[1]
    assert other.scenes[0].log_flux[0] < recipe.scenes[0].log_flux[0] - 0.2


def test_shell_size():
    rng = np.random.default_rng(0)
    points = rng.uniform(-2, 2, (400000, 3))
    radius = np.linalg.norm(points, axis=1)
    inside = (radius < 2) & (radius > 1.6)
    assert shell_size(2.0) == pytest.approx(points[inside, 0].std(), rel=5e-3)


def test_place_needs_a_background(extension_dataset, extension_recipe):
    bare = extension_dataset.copy(name="bare")
    bare.background = None
    with pytest.raises(ValueError, match="has no background: the training needs it"):
        dataset_places(bare, extension_recipe)


def test_position_of_the_middle(extension_dataset):
    centre = extension_dataset.counts.geom.center_skydir
    assert centre.separation(SkyCoord(0, 0, unit="deg", frame="galactic")).deg < 0.05


def test_posterior_of_the_class(simulator, monkeypatch):
    """The limit of the benchmark: probabilities right on average, near one for bright sources."""
    limit = pytest.importorskip("benchmarks.extension.limit")
    # A coarse integration will do
    monkeypatch.setattr(limit, "SIZES", 12)
    monkeypatch.setattr(limit, "INDICES", 3)
    monkeypatch.setattr(limit, "SHIFTS", (-0.25, 0.25))
    edges = (0.1, 0.3)
    scene = Scene(hours=(50.0, 50.0), index=(2.2, 0.1), log_flux=(-11.0, 0.5), size=(0.03, 0.8))
    one = StampSimulator(simulator.places[:1], [scene])
    simulated = one.draw(96, 5, scene)
    probability = limit.posterior_classes(one, scene, edges, simulated)
    assert_allclose(probability.sum(axis=1), 1, rtol=1e-5)
    true = np.digitize(simulated.size.numpy(), edges)
    own = probability[np.arange(96), true]
    assert own.mean() > 0.85
    right = probability.argmax(axis=1) == true
    # What the winning class claims is what comes true
    assert abs(probability.max(axis=1).mean() - right.mean()) < 0.06
