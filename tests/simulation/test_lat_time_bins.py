# Licensed under a 3-clause BSD style license - see LICENSE
import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2

from gammapy_asid.simulation.demo import simulated_field, simulated_time_bins
from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.simulation.lat_dataset import simulate_dataset
from gammapy_asid.simulation.lat_time_bins import exposure_shares, simulate_time_bins
from gammapy_asid.simulation.mock_catalog import MockCatalog

FIELD = (SkyCoord(80, 30, unit="deg", frame="galactic"), (3, 3) * u.deg)
EDGES = (1.0, 10.0, 100.0)


@pytest.fixture(scope="module")
def emission():
    return analytic_emission()


@pytest.fixture(scope="module")
def catalog():
    """Two bright sources in the field and one far outside."""
    return MockCatalog(
        lon=np.array([80.5, 79.2, 260.0]),
        lat=np.array([30.5, 29.6, -30.0]),
        source_class=np.array(["fsrq", "psr", "bll"]),
        amplitude=np.array([3e-8, 3e-8, 1e-6]),
        reference=np.ones(3),
        index=np.full(3, 2.0),
        beta=np.zeros(3),
        lambda_=np.zeros(3),
        alpha=np.ones(3),
    )


def test_bins_add_up_to_the_whole(catalog, emission):
    curves = np.array([[0.5, 2.0, 0.5], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    curves /= curves @ exposure_shares([0, 4, 8, 12])[:, None]
    settings = {"livetime": 12.0, "energy_edges": EDGES}
    whole = simulate_dataset(*FIELD, catalog, emission, **settings)
    parts = simulate_time_bins(*FIELD, catalog, emission, n_bins=3, light_curves=curves, **settings).datasets
    for name in ("counts", "background", "exposure"):
        total = sum(getattr(part, name).data for part in parts)
        assert_allclose(total, getattr(whole, name).data, rtol=1e-6)
    # The variable source is brightest in the second bin, the steady one follows the exposure
    excess = [
        (part.counts - part.background)
        .get_by_coord({"skycoord": catalog.positions[:2, None], "energy": [1.1, 11] * u.GeV})
        .sum(axis=1)
        for part in parts
    ]
    share = exposure_shares([0, 4, 8, 12])
    assert_allclose(np.array(excess)[:, 0] / share, curves[0] * sum(excess)[0], rtol=0.01)
    assert_allclose(np.array(excess)[:, 1] / share, sum(excess)[1] * np.ones(3), rtol=0.01)


def test_sum_of_draws_is_a_draw_of_the_whole(catalog, emission):
    expected = simulate_dataset(*FIELD, catalog, emission, energy_edges=EDGES).counts.data
    drawn = simulate_time_bins(*FIELD, catalog, emission, energy_edges=EDGES, rng=np.random.default_rng(1))
    total = sum(dataset.counts.data for dataset in drawn.datasets)
    used = expected > 5
    assert used.sum() > 500
    statistic = np.sum((total - expected)[used] ** 2 / expected[used])
    assert 0.001 < chi2.cdf(statistic, used.sum()) < 0.999
    again = simulate_time_bins(*FIELD, catalog, emission, energy_edges=EDGES, rng=np.random.default_rng(1))
    for one, other in zip(drawn.datasets, again.datasets, strict=True):
        assert_array_equal(one.counts.data, other.counts.data)
    assert_array_equal(drawn.light_curves["relative_flux"], again.light_curves["relative_flux"])


def test_times_follow_each_other():
    simulated = simulated_time_bins(width=(3, 3), n_bins=10)
    datasets = simulated.datasets
    assert datasets.names == [f"simulated-{n:02d}" for n in range(10)]
    start = [dataset.gti.time_start[0] for dataset in datasets]
    stop = [dataset.gti.time_stop[0] for dataset in datasets]
    assert start[0].utc.mjd == pytest.approx(54682.66, abs=1e-6)
    assert start[0].utc.iso.startswith("2008-08-04")
    assert_allclose([(b - a).to_value("yr") for a, b in zip(start, stop, strict=True)], 1)
    assert_allclose([(b - a).to_value("s") for a, b in zip(stop[:-1], start[1:], strict=True)], 0, atol=1e-3)
    exposure = np.array([dataset.exposure.data.mean() for dataset in datasets])
    assert 0.01 < exposure.std() / exposure.mean() < 0.05
    # The tenth year had a solar panel that stuck
    assert exposure.argmin() == 9


def test_truth_is_that_of_the_field():
    simulated = simulated_time_bins(width=(8, 8), n_bins=4, livetime=8.0, seed=2)
    _, catalog = simulated_field(width=(8, 8), livetime=8.0, seed=2)
    assert_array_equal(simulated.catalog.lon, catalog.lon)
    table = simulated.light_curves
    assert_array_equal(table["source_class"], catalog.source_class)
    assert_allclose(table["flux"].to_value("cm-2 s-1"), catalog.flux(1, 100))
    assert table.meta == {"MJDSTART": 54682.66, "LIVETIME": 8.0, "NBINS": 4}
    assert_allclose(table["relative_flux"] @ exposure_shares([0, 2, 4, 6, 8]), 1)
    quasars = table["source_class"] == "fsrq"
    assert table["relative_flux"][quasars].std(axis=1).mean() > 0.3


def test_shares_of_the_exposure():
    assert_allclose(exposure_shares(np.arange(4.0)), np.array([0.8241, 0.8383, 0.8322]) / 2.4946)
    assert exposure_shares([-5, 0, 20, 30]) == pytest.approx([1 / 7, 4 / 7, 2 / 7], rel=0.02)


@pytest.mark.parametrize(
    "settings, error, message",
    [
        ({"n_bins": 1}, ValueError, "n_bins"),
        ({"n_bins": 21}, ValueError, "n_bins"),
        ({"n_bins": 2.5}, TypeError, "n_bins"),
        ({"livetime": 0}, ValueError, "livetime"),
        ({"start": np.nan}, ValueError, "start"),
        ({"rng": None}, ValueError, "light_curves"),
        ({"light_curves": np.ones((3, 3))}, ValueError, "shape"),
        ({"light_curves": -np.ones((3, 2))}, ValueError, "below 0"),
        ({"pixel_size": -1}, ValueError, "pixel_size"),
    ],
)
def test_bad_input(catalog, emission, settings, error, message):
    settings = {"n_bins": 2, "rng": np.random.default_rng(1)} | settings
    with pytest.raises(error, match=message):
        simulate_time_bins(*FIELD, catalog, emission, **settings)


def test_sources_without_a_class(catalog, emission):
    catalog = catalog.select([0])
    catalog.source_class = np.array(["unk"])
    with pytest.raises(ValueError, match="unk"):
        simulate_time_bins(*FIELD, catalog, emission, rng=np.random.default_rng(1))
