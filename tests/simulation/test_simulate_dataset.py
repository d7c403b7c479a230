# Licensed under a 3-clause BSD style license - see LICENSE
import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.maps import MapAxis, WcsGeom
from numpy.testing import assert_allclose
from scipy.ndimage import gaussian_filter

from gammapy_asid.simulation.analytic_lat import analytic_lat_exposure, analytic_lat_psf
from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.simulation.lat_dataset import _psf_kernel, simulate_dataset
from gammapy_asid.simulation.mock_catalog import MockCatalog

CENTER = SkyCoord(80, 30, unit="deg", frame="galactic")
EDGES = (1.0, 3.0, 10.0, 100.0)


@pytest.fixture(scope="module")
def emission():
    return analytic_emission()


@pytest.fixture(scope="module")
def catalog():
    """A power law, a log parabola and a pulsar in the field, and one source behind it."""
    return MockCatalog(
        lon=np.array([80.03, 81.21, 78.9, 260.0]),
        lat=np.array([30.02, 31.07, 29.1, -30.0]),
        source_class=np.array(["bll", "fsrq", "psr", "bll"]),
        amplitude=np.array([1e-9, 2e-9, 3e-9, 1e-6]),
        reference=np.ones(4),
        index=np.array([1.9, 2.4, 1.3, 2.0]),
        beta=np.array([0.0, 0.1, 0.0, 0.0]),
        lambda_=np.array([0.0, 0.0, 0.4, 0.0]),
        alpha=np.ones(4),
    )


@pytest.fixture(scope="module")
def dataset(catalog, emission):
    return simulate_dataset(CENTER, (5 * u.deg, 5 * u.deg), catalog, emission, energy_edges=EDGES)


def test_sources_agree_with_gammapy(dataset, catalog):
    reference = dataset.copy()
    reference.background.data[:] = 0
    reference.models = catalog.select([0, 1, 2]).to_models()
    expected = reference.npred().data
    excess = dataset.counts.data - dataset.background.data
    assert excess.sum(axis=(1, 2)) == pytest.approx(expected.sum(axis=(1, 2)), rel=0.02)
    # The core of each source; Gammapy shares a source between four pixels, which blurs it by up to half a
    # pixel, so both are smoothed over a few.
    excess, expected = (gaussian_filter(image, (0, 2, 2)) for image in (excess, expected))
    core = expected > 0.05 * expected.max(axis=(1, 2), keepdims=True)
    assert excess[core] == pytest.approx(expected[core], rel=0.1)


def test_background_is_exposure_times_intensity(dataset, emission):
    # In 3-10 GeV from the intervals 2-7 (its power law) and 7-10 GeV, without the smooth PSF
    intensity = emission.interpolate(CENTER.l.deg, CENTER.b.deg)
    power = [e**-1.4 for e in (2, 3, 7)]
    flux = intensity[3] * (power[1] - power[2]) / (power[0] - power[2]) + intensity[4]
    expected = flux * analytic_lat_exposure(5.0) * np.radians(0.1) ** 2
    centre = dataset.background.data[1, 20:30, 20:30].mean()
    assert centre == pytest.approx(expected, rel=0.05)


def test_poisson(catalog, emission, dataset):
    counts = [
        simulate_dataset(
            CENTER,
            (5 * u.deg, 5 * u.deg),
            catalog,
            emission,
            energy_edges=EDGES,
            rng=np.random.default_rng(seed),
        ).counts.data
        for seed in (1, 1)
    ]
    assert np.array_equal(counts[0], counts[1])
    assert not np.array_equal(counts[0], dataset.counts.data)
    assert np.all(counts[0] == np.round(counts[0]))
    expected = dataset.counts.data.sum()
    assert abs(counts[0].sum() - expected) < 5 * np.sqrt(expected)


def test_written_and_read(dataset, tmp_path):
    dataset.write(tmp_path / "field.fits.gz")
    back = MapDataset.read(tmp_path / "field.fits.gz")
    assert back.counts.data.sum() == pytest.approx(dataset.counts.data.sum(), rel=1e-5)
    assert back.psf is not None
    assert back.exposure.unit == "cm2 s"


def test_psf_radius():
    axis = MapAxis.from_energy_edges([0.95, 1.05, 95, 105] * u.GeV, name="energy_true")
    psf = analytic_lat_psf(axis)
    r68 = psf.containment_radius(0.68, energy_true=[1, 100] * u.GeV).to_value("deg")
    assert r68 == pytest.approx([0.8, 0.11], rel=0.05)
    rad = np.linspace(0, 12, 20001)
    density = psf.psf_map.interp_by_coord(
        {"lon": 0 * u.deg, "lat": 0 * u.deg, "rad": rad * u.deg, "energy_true": 1 * u.GeV}
    )
    integral = np.trapezoid(density.ravel() * 2 * np.pi * np.sin(np.radians(rad)), np.radians(rad))
    assert integral == pytest.approx(1, rel=0.01)


def test_energy_range(catalog, emission):
    with pytest.raises(ValueError, match="choose edges inside"):
        simulate_dataset(CENTER, (4 * u.deg, 4 * u.deg), catalog, emission, energy_edges=(0.1, 1.0))


def test_kernel_is_the_function_integrated_over_pixels():
    axis = MapAxis.from_energy_edges([0.3, 1, 10, 100] * u.GeV, name="energy_true")
    geom = WcsGeom.create(npix=(200, 200), binsz=0.1, proj="TAN", axes=[axis])
    kernel = _psf_kernel(analytic_lat_psf(axis), geom).data
    r68 = np.hypot(0.80 * axis.center.to_value("GeV") ** -0.8, 0.11)
    scale2 = (r68**2 / (1 / 0.32 - 1))[:, None, None]
    offset = 0.1 * ((np.arange(200) + 0.5) / 200 - 0.5)
    r2 = offset[:, None] ** 2 + offset**2
    norm = np.pi * scale2 * (1 - 1 / (1 + 12**2 / scale2))
    exact = ((1 + r2 / scale2) ** -2 / norm).mean(axis=(1, 2)) * 0.01
    middle = kernel.shape[1] // 2
    assert_allclose(kernel[:, middle, middle], exact, rtol=2e-3)
    assert_allclose(kernel[1:].sum(axis=(1, 2)), 1, atol=0.005)
