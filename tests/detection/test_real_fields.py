# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of trainings on real fields with sources put into them."""

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.table import Table
from gammapy.datasets import MapDataset
from gammapy.irf import PSFMap
from gammapy.maps import MapAxis, WcsGeom
from numpy.testing import assert_allclose

from gammapy_asid.simulation.real_patches import RealSkies
from gammapy_asid.tasks.detection.real_fields import with_real_fields
from gammapy_asid.tasks.detection.recipe import RealFieldRecipe
from gammapy_asid.tasks.detection.simulator import build_simulator
from gammapy_asid.tasks.detection.task import DetectionTask

#: Places of the sources of the field in deg: Galactic longitude and latitude.
PLACES = np.array([[1.0, 0.5], [358.2, -1.3], [0.3, 1.7]])
#: Counts at each, far more than those of anything else.
BRIGHT = 5000.0


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Recipe's entry of a field in which all sources are bright points."""
    folder = tmp_path_factory.mktemp("field")
    energy = MapAxis.from_energy_bounds("10 GeV", "500 GeV", 4)
    true = MapAxis.from_energy_bounds("10 GeV", "500 GeV", 4, name="energy_true")
    geom = WcsGeom.create(skydir=(0, 0), npix=80, binsz=0.1, frame="galactic", axes=[energy])
    dataset = MapDataset.create(geom, energy_axis_true=true, name="real")
    dataset.exposure.data += 3e11
    dataset.psf = PSFMap.from_gauss(true, sigma=np.full(4, 0.1) * u.deg)
    dataset.edisp = None
    dataset.mask_safe.data |= True
    dataset.background.data += 0.02
    x, y = (
        np.rint(v).astype(int)
        for v in geom.to_image().coord_to_pix((PLACES.T[0] * u.deg, PLACES.T[1] * u.deg))
    )
    dataset.counts.data[0, y, x] = BRIGHT
    dataset.write(folder / "field.fits")
    places = Table({"GLON": PLACES[:, 0] * u.deg, "GLAT": PLACES[:, 1] * u.deg})
    places.write(folder / "sources.ecsv")
    return RealFieldRecipe(dataset=str(folder / "field.fits"), sources=str(folder / "sources.ecsv"))


@pytest.fixture(scope="module")
def recipe(tiny_recipe, field):
    return tiny_recipe.model_copy(update={"real": (field,), "real_share": 1.0})


@pytest.fixture(scope="module")
def simulator(tiny_recipe, make_response):
    return build_simulator(tiny_recipe, [make_response(0.1, 5.0)], [1.0])


def test_catalogue_is_where_the_photons_are(recipe, simulator):
    patches = with_real_fields(simulator, recipe).draw(24, seed=3)
    known = patches.significance.isnan()
    inside = (torch.minimum(patches.x, patches.y) >= 0) & (torch.maximum(patches.x, patches.y) <= 31)
    chosen = torch.nonzero(known & inside)[:, 0]
    assert len(chosen) > 10
    column, row = (torch.round(v[chosen]).long() for v in (patches.x, patches.y))
    near = torch.nn.functional.max_pool2d(sum(patches.batch.counts[4:])[:, None], 3, 1, 1)[:, 0]
    assert torch.all(near[patches.patch[chosen], row, column] > 0.9 * BRIGHT)
    # Turned as the photons are: every bright pixel has its source
    bright = sum(patches.batch.counts[4:]) > 0.9 * BRIGHT
    assert 0.7 * len(chosen) <= bright.sum() <= 1.3 * len(chosen)


def test_photons_are_real_and_sources_are_put_in(recipe, simulator):
    real = with_real_fields(simulator, recipe)
    patches, again = (real.draw(16, seed=3) for _ in range(2))
    for one, other in zip(patches.batch.counts, again.batch.counts, strict=True):
        assert torch.equal(one, other)
    new = ~patches.significance.isnan()
    assert new.sum() > 10
    # Outside of the bright pixels there is nothing but what was put in
    faint = [torch.where(c > 0.9 * BRIGHT, 0.0, c) for c in patches.batch.counts[4:]]
    background = sum(b.sum() for b in real.fields[0].draw(16, seed=3).batch.background[4:])
    added = sum(e.sum() for e in patches.expected[4:])
    assert sum(c.sum() for c in faint) > 20
    assert abs(sum(c.sum() for c in faint) - added) < background + 6 * added.sqrt()
    with_background = patches.batch.has_background
    assert 0 < with_background.sum() < len(with_background)
    assert_allclose(patches.batch.background[4][with_background].max(), 0.02, rtol=0.5)


def test_training_takes_them_and_validation_does_not(recipe, tiny_recipe, simulator):
    task = DetectionTask()
    batches = task.batches(simulator, recipe, 0)
    assert isinstance(batches.simulator, RealSkies)
    inputs, (targets, _) = batches[0]
    assert torch.isfinite(targets).all()
    assert all(torch.isfinite(image).all() for image in inputs[0].values())
    assert task.batches(simulator, tiny_recipe, 0).simulator is simulator
    mixed = RealSkies(simulator, batches.simulator.fields, 0.5)
    real = [bool(mixed.draw(1, seed=(1, i)).significance.isnan().any()) for i in range(20)]
    assert 0 < sum(real) < 20


def test_list_of_another_field(recipe, simulator, field, tmp_path):
    Table({"ra": [10.0], "dec": [80.0]}).write(tmp_path / "other.ecsv")
    wrong = recipe.model_copy(
        update={"real": (field.model_copy(update={"sources": str(tmp_path / "other.ecsv")}),)}
    )
    with pytest.raises(ValueError, match="No source of .*other.ecsv lies in the field"):
        with_real_fields(simulator, wrong)
