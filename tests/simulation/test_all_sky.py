# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the simulation of the whole sky."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.maps import HpxGeom, WcsGeom

from gammapy_asid.inputs.checks import check_dataset
from gammapy_asid.simulation.all_sky import simulate_sky
from gammapy_asid.simulation.analytic_lat import analytic_lat_exposure
from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.simulation.mock_catalog import MockCatalog
from gammapy_asid.simulation.populations import draw_sky

EDGES = (1.0, 7.0, 20.0, 200.0)
GEOMS = {
    "hpx": HpxGeom.create(nside=32, frame="galactic"),
    "car": WcsGeom.create(binsz=2, proj="CAR", frame="galactic"),
    "ait": WcsGeom.create(binsz=2, proj="AIT", frame="galactic"),
}


def power_laws(lon, lat, amplitude, index=2.0):
    n = len(lon)
    return MockCatalog(
        lon=np.array(lon, float),
        lat=np.array(lat, float),
        source_class=np.full(n, "bll"),
        amplitude=np.full(n, amplitude),
        reference=np.ones(n),
        index=np.full(n, index),
        beta=np.zeros(n),
        lambda_=np.zeros(n),
        alpha=np.ones(n),
    )


def simulate(kind, catalog, seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    return simulate_sky(GEOMS[kind], catalog, analytic_emission(0), energy_edges=EDGES, rng=rng, **kwargs)


NOTHING = power_laws([], [], 1.0)


@pytest.mark.parametrize("kind", GEOMS)
def test_photons_of_sources(kind):
    """Number and place: two bright sources, one of them at the border of the maps."""
    bright = power_laws([179.9, 60.0], [-10.0, 40.0], 2e-7)
    dataset = simulate(kind, bright)
    without = simulate(kind, NOTHING)
    photons = dataset.counts.data - without.counts.data
    # Other photons of the sky are drawn in the same way
    assert photons.min() == 0
    exposure = analytic_lat_exposure(np.sqrt(np.array(EDGES[1:]) * EDGES[:-1]))
    flux = 2e-7 * -np.diff(1 / np.array(EDGES))
    total = np.nansum(photons.reshape(3, -1), axis=1)
    np.testing.assert_allclose(total, 2 * flux * exposure, rtol=0.05)
    image = dataset.counts.geom.to_image()
    sky = image.get_coord().skycoord
    near = np.zeros(sky.shape, bool)
    for lon, lat in zip(bright.lon, bright.lat, strict=True):
        near |= sky.separation(SkyCoord(lon, lat, unit="deg", frame="galactic")).deg < 3.2
    share = [photons[i][near].sum() / total[i] for i in range(3)]
    assert share[0] > 0.85
    assert share[2] > 0.99


@pytest.mark.parametrize("kind", GEOMS)
def test_diffuse_counts(kind):
    dataset = simulate(kind, NOTHING)
    check_dataset(dataset)
    counts, background = (np.nan_to_num(m.data.astype(float)) for m in (dataset.counts, dataset.background))
    assert background.min() >= 0
    for have, expected in zip(counts.reshape(3, -1).sum(1), background.reshape(3, -1).sum(1), strict=True):
        assert abs(have - expected) < 4 * np.sqrt(expected)
    # A Poisson variate in each pixel
    sure = background > 20
    assert sure.sum() > 100
    assert np.mean((counts - background)[sure] ** 2 / background[sure]) == pytest.approx(1, abs=0.2)
    # All pixelisations show the same sky
    hpx = simulate("hpx", NOTHING).background.data.reshape(3, -1).sum(1)
    np.testing.assert_allclose(background.reshape(3, -1).sum(1), hpx, rtol=0.05)


def test_emission_that_is_not_known():
    true, known = analytic_emission(0), analytic_emission(1)
    args = {"energy_edges": EDGES, "rng": np.random.default_rng(0)}
    dataset = simulate_sky(GEOMS["hpx"], NOTHING, true, known, **args)
    stated = simulate_sky(GEOMS["hpx"], NOTHING, known, **args | {"rng": np.random.default_rng(0)})
    drawn = simulate_sky(GEOMS["hpx"], NOTHING, true, **args | {"rng": np.random.default_rng(0)})
    np.testing.assert_array_equal(dataset.background.data, stated.background.data)
    np.testing.assert_array_equal(dataset.counts.data, drawn.counts.data)
    assert not np.array_equal(drawn.background.data, stated.background.data)


def test_equal_seeds_and_livetime():
    sky = draw_sky(np.random.default_rng(1))
    one, same, other = (simulate("hpx", sky, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.counts.data, same.counts.data)
    assert not np.array_equal(one.counts.data, other.counts.data)
    short = simulate("hpx", sky, 3, livetime=1.0)
    np.testing.assert_allclose(short.background.data * 10, one.background.data, rtol=1e-5)
    assert short.counts.data.sum() == pytest.approx(one.counts.data.sum() / 10, rel=0.02)


def test_energies_outside_the_emission():
    with pytest.raises(ValueError, match="the emission is known in"):
        simulate_sky(GEOMS["hpx"], NOTHING, analytic_emission(0), energy_edges=(0.1, 1.0, 10.0))
