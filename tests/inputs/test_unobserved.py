# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the recognition of parts without data."""

import logging

import numpy as np
import pytest
from gammapy.maps import HpxGeom, Map, WcsGeom

from gammapy_asid.inputs.convert import to_band_cube
from gammapy_asid.inputs.prepare import prepare_dataset
from gammapy_asid.inputs.unobserved import unobserved
from gammapy_asid.survey import SkyTiles, TileCutter

SIZE = 120
GEOM = WcsGeom.create(npix=(SIZE, SIZE), binsz=0.1, proj="TAN")
Y, X = np.mgrid[:SIZE, :SIZE]
PARTS = {
    "outside of a circle": np.hypot(X - 59.5, Y - 59.5) > 45,
    "half": X < 60,
    "strip": np.abs(X - 70) < 3,
    "strip at the edge": Y < 4,
    "oblique strip": np.abs(X - Y) < 8,
    "hole": np.hypot(X - 50, Y - 60) < 15,
    "corner": (X > 100) & (Y > 100),
}
ENERGY = np.array([0.6, 0.3, 0.1])[:, None, None]


def expected(level, plane=False):
    """Flat, or a tenth of that with a bright plane in it."""
    image = 0.1 + np.exp(-np.abs(Y - 60) / 8) if plane else np.ones((SIZE, SIZE))
    return level * ENERGY * image


def lost(counts, prediction):
    return unobserved(counts, prediction, np.ones(counts.shape, bool), GEOM)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("wrong", [1, 5])
def test_parts_without_data(part, wrong):
    """All of it is recognised, and little of the rest, also where the prediction is too high."""
    counts = np.random.default_rng(0).poisson(expected(3)).astype(float)
    counts[:, PARTS[part]] = 0
    found = lost(counts, wrong * expected(3))
    assert found[:, PARTS[part]].mean() > 0.99
    # A pixel at the rim counts as partly observed
    assert found[:, ~PARTS[part]].mean() < 0.07


@pytest.mark.parametrize("part", ["outside of a circle", "half", "hole"])
def test_parts_without_data_and_without_a_prediction(part):
    counts = np.random.default_rng(0).poisson(expected(3)).astype(float)
    counts[:, PARTS[part]] = 0
    found = lost(counts, None)
    assert found[:, PARTS[part]].mean() > 0.99
    assert found[:, ~PARTS[part]].mean() < 0.07


@pytest.mark.parametrize("wrong", [0.3, 1, 5, None])
@pytest.mark.parametrize("plane", [False, True])
def test_whole_fields(wrong, plane):
    """Nothing is taken from fields with few or many counts, with a plane and with bright sources."""
    rng = np.random.default_rng(1)
    for level in np.geomspace(3e-4, 30, 12):
        truth = expected(level, plane)
        counts = rng.poisson(truth).astype(float)
        counts[0, 60, 60] += 10_000
        counts[:, 30:34, 30:34] += rng.poisson(50, (3, 4, 4))
        assert not lost(counts, None if wrong is None else wrong * truth).any()


def test_empty_fields():
    zero = np.zeros((3, SIZE, SIZE))
    # Nothing tells how good the prediction is
    assert not lost(zero, expected(1)).any()
    assert not lost(zero, None).any()
    # 40 photons expected in half of the field
    counts = np.random.default_rng(0).poisson(expected(40 / 7200)).astype(float)
    counts[:, PARTS["half"]] = 0
    assert not lost(counts, expected(40 / 7200)).any()


def test_an_energy_without_data():
    counts = np.random.default_rng(0).poisson(expected(3)).astype(float)
    counts[1] = 0
    found = lost(counts, expected(3))
    assert found[1].all()
    assert not found[[0, 2]].any()
    # A part of one energy
    counts = np.random.default_rng(0).poisson(expected(3)).astype(float)
    counts[0, PARTS["half"]] = 0
    found = lost(counts, expected(3))
    assert found[0, PARTS["half"]].all()
    assert found[0].mean() < 0.53
    assert not found[1:].any()


@pytest.mark.parametrize("nest", [True, False])
def test_healpix(nest):
    geom = HpxGeom.create(nside=64, nest=nest, frame="icrs")
    away = geom.get_coord().skycoord.separation(geom.center_skydir).deg > 40
    level = np.full((2, away.size), 3.0)
    counts = np.random.default_rng(0).poisson(level).astype(float)
    assert not unobserved(counts, level, np.ones(counts.shape, bool), geom).any()
    counts[:, away] = 0
    found = unobserved(counts, level, np.ones(counts.shape, bool), geom)
    assert found[:, away].mean() > 0.99
    assert found[:, ~away].mean() < 0.1


def test_masked_pixels_say_nothing():
    counts = np.random.default_rng(0).poisson(expected(3)).astype(float)
    valid = np.broadcast_to(~PARTS["half"], counts.shape)
    counts = np.where(valid, counts, np.nan)
    assert not unobserved(counts, expected(3), valid, GEOM).any()


def test_datasets(lat_field, caplog):
    """A circle of events in a field with background and exposure throughout: as with a mask of the circle."""
    dataset = lat_field()
    circle = dataset.counts.geom.to_image().separation(dataset.counts.geom.center_skydir).deg < 2.5
    dataset.counts.data *= circle
    before = dataset.counts.data.copy()
    with caplog.at_level(logging.WARNING):
        prepared = prepare_dataset(dataset)
    (message,) = caplog.messages
    assert "of 4608 pixels lie in empty parts where many counts are expected" in message
    assert dataset.mask is None
    np.testing.assert_array_equal(dataset.counts.data, before)
    assert not prepared.mask_safe.data[:, ~circle].any()
    assert prepared.mask_safe.data[:, circle].mean() > 0.85
    caplog.clear()
    # Once is enough
    assert prepare_dataset(prepared) is prepared
    assert not caplog.messages
    cube = to_band_cube(dataset)
    there = cube.mask.any(axis=0)
    assert there.sum() == pytest.approx(circle.sum(), rel=0.15)


def test_tiles_without_data(lat_field, caplog):
    """Tiles without events or without exposure are left out."""
    geom = WcsGeom.create(binsz=1, proj="CAR", frame="galactic")
    dataset = lat_field(geom, level=0.05)
    tiles = SkyTiles()
    assert len(TileCutter(dataset).tiles_with_data(tiles)) == len(tiles)
    north = geom.get_coord().lat.value > 0
    cut = lat_field(geom, level=0.05)
    cut.counts.data *= north
    with caplog.at_level(logging.WARNING):
        assert len(TileCutter(cut).tiles_with_data(tiles)) < 0.6 * len(tiles)
    assert len(caplog.messages) == 1
    exposure = dataset.exposure
    half = lat_field(
        geom, level=0.05, exposure=Map.from_geom(exposure.geom, data=exposure.data * north, unit="cm2 s")
    )
    assert len(TileCutter(half).tiles_with_data(tiles)) < 0.6 * len(tiles)
