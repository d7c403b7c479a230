# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the source populations and of catalogues drawn from them."""

import os
from dataclasses import replace
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from gammapy.modeling.models import (
    GaussianSpatialModel,
    Models,
    PointSpatialModel,
    PowerLaw2SpectralModel,
    PowerLawSpectralModel,
    SkyModel,
)
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.stats import kstest

from gammapy_asid.simulation.fit_populations import fit_populations
from gammapy_asid.simulation.mock_catalog import SOURCE_CLASSES, MockCatalog
from gammapy_asid.simulation.populations import DEFAULT_POPULATIONS, Population, draw_sky


@pytest.fixture(scope="module")
def sky():
    return draw_sky(np.random.default_rng(0))


@pytest.fixture(scope="module")
def few(sky):
    """Ten sources of each class."""
    first = [np.flatnonzero(sky.source_class == name)[:10] for name in SOURCE_CLASSES]
    return sky.select(np.concatenate(first))


@pytest.fixture(scope="module")
def table_4fgl():
    path = Path(os.environ.get("GAMMAPY_ASID_DATA", "")) / "catalogs/4FGL_DR4_v35_slim.fits.gz"
    if not path.exists():
        pytest.skip("needs 4FGL-DR4 in $GAMMAPY_ASID_DATA")
    return Table.read(path, hdu=1)


@pytest.fixture
def population():
    return Population(
        name="bll",
        number=1000.0,
        flux_knots=(1e-11, 1e-10, 1e-9, 1e-8),
        flux_slopes=(0.0, 1.0, 2.5),
        shape_mean=(2.0, 0.1),
        shape_cov=((0.04, 0.002), (0.002, 0.0004)),
    )


def test_draw_sky_numbers(sky):
    expected = {name: p.number for name, p in DEFAULT_POPULATIONS.items()}
    assert tuple(expected) == SOURCE_CLASSES
    for name, number in expected.items():
        assert abs((sky.source_class == name).sum() - number) < 5 * np.sqrt(number)
    flux = sky.flux(1, 100)
    for limit in (1e-10, 4.5e-10, 1e-9):
        number = sum(p.number_above(limit) for p in DEFAULT_POPULATIONS.values())
        assert abs((flux > limit).sum() - number) < 5 * np.sqrt(number)


def test_draw_sky_reproducible(sky):
    again = draw_sky(np.random.default_rng(0))
    assert_array_equal(again.amplitude, sky.amplitude)
    assert_array_equal(again.lon, sky.lon)


def test_draw_sky_scale(population):
    rng = np.random.default_rng(1)
    assert abs(len(draw_sky(rng, {"bll": population}, scale=3)) - 3000) < 300
    assert len(draw_sky(rng, {"bll": population}, scale=0)) == 0


def test_amplitude_gives_drawn_flux(population):
    """The flux by another quadrature is that of the random numbers."""
    rng = np.random.default_rng(2)
    n = rng.poisson([1000.0])[0]
    drawn = population.draw_flux(rng, n)
    catalog = draw_sky(np.random.default_rng(2), {"bll": population})
    flux = [quad(lambda e, i=i: catalog.select([i]).dnde(e)[0, 0], 1, 100, epsabs=0)[0] for i in range(5)]
    assert_allclose(flux, drawn[:5], rtol=1e-7)


def test_flux_distribution(population):
    knots = np.array(population.flux_knots)
    # By hand: pieces of density 1, (S / 1e-10)^-1 and 0.1 (S / 1e-9)^-2.5.
    pieces = np.array([9e-11, 1e-10 * np.log(10), 1e-10 / 1.5 * (1 - 10**-1.5)])
    above = 1000 * np.cumsum(pieces[::-1])[::-1] / pieces.sum()
    assert_allclose(population.number_above(knots), np.append(above, 0), rtol=1e-6, atol=1e-6)
    assert_allclose(population.number_above(np.array([1e-13, 1])), [1000, 0], atol=1e-6)
    middle = np.array([3e-11, 3e-10, 3e-9])
    step = 1e-4 * middle
    slope = (population.number_above(middle - step) - population.number_above(middle + step)) / (2 * step)
    assert_allclose(population.density(middle), slope, rtol=1e-5)
    flux = population.draw_flux(np.random.default_rng(0), 20_000)
    assert flux.min() >= knots[0] and flux.max() <= knots[-1]
    assert kstest(flux, lambda s: 1 - population.number_above(s) / 1000).pvalue > 1e-3


def test_population_is_checked(population):
    with pytest.raises(ValueError, match="one more than flux_slopes"):
        replace(population, flux_slopes=(1.0,))
    with pytest.raises(ValueError, match="rising"):
        replace(population, flux_knots=(1e-10, 1e-11, 1e-9, 1e-8))


def test_positions(sky):
    assert np.all((sky.lon >= 0) & (sky.lon < 360) & (np.abs(sky.lat) <= 90))
    isotropic = np.isin(sky.source_class, ["bll", "fsrq"])
    assert kstest(np.sin(np.radians(sky.lat[isotropic])), "uniform", args=(-1, 2)).pvalue > 1e-3
    remnants = np.isin(sky.source_class, ["pwn", "snr"])
    for uniform in (isotropic, remnants):
        assert kstest(sky.lon[uniform] / 360, "uniform").pvalue > 1e-3
    assert np.median(np.abs(sky.lat[remnants])) < 2
    pulsars = sky.source_class == "psr"
    assert np.median(np.abs(sky.lat[pulsars])) < 5
    assert (np.abs(sky.lat[pulsars]) > 20).sum() > 50
    assert (np.cos(np.radians(sky.lon[pulsars])) > 0).mean() > 0.6


def test_spectra_are_sane(sky):
    assert np.all(np.isfinite(sky.dnde([0.3, 1, 10, 1000])))
    assert np.all((sky.beta >= 0) & (sky.beta <= 1))
    pulsars = sky.source_class == "psr"
    assert_array_equal(sky.lambda_ > 0, pulsars)
    assert np.all(sky.beta[pulsars] == 0)
    hardness = sky.flux(10, 1000) / sky.flux(1, 100)
    medians = [np.median(hardness[sky.source_class == name]) for name in ("bll", "fsrq", "psr")]
    assert medians[0] > medians[1] > medians[2]


def test_dnde_and_flux_agree_with_gammapy(few):
    energy = np.array([0.4, 1.0, 8.0, 300.0])
    models = few.to_models()
    dnde = few.dnde(energy)
    flux = few.flux(1, 100)
    for i, model in enumerate(models):
        spectral = model.spectral_model
        assert_allclose(dnde[i], spectral(energy * u.GeV).to_value("cm-2 s-1 GeV-1"), rtol=1e-10)
        value = spectral.integral(1 * u.GeV, 100 * u.GeV).to_value("cm-2 s-1")
        assert_allclose(flux[i], value, rtol=2e-3)


def test_power_law_flux():
    one = np.ones(1)
    catalog = MockCatalog(one, one, np.array(["bll"]), 1e-9 * one, one, 2 * one, 0 * one, 0 * one, one)
    assert_allclose(catalog.flux(1, 100), 1e-9 * 0.99, rtol=1e-9)


def test_fits_roundtrip(few, tmp_path):
    path = tmp_path / "sky.fits"
    few.write(path)
    assert [p.name for p in tmp_path.iterdir()] == ["sky.fits"]
    assert QTable.read(path)["amplitude"].unit == u.Unit("cm-2 s-1 GeV-1")
    again = MockCatalog.read(path)
    for name, value in vars(few).items():
        assert_array_equal(getattr(again, name), value)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        few.write(path)
    few.select(slice(3)).write(path, overwrite=True)
    assert len(MockCatalog.read(path)) == 3


def test_table_must_be_complete(few):
    table = few.to_table()
    table.remove_column("beta")
    with pytest.raises(ValueError, match="beta"):
        MockCatalog.from_table(table)


def test_models_roundtrip(few):
    again = MockCatalog.from_models(few.to_models())
    for name in ("lon", "lat", "amplitude", "index", "beta", "lambda_"):
        assert_allclose(getattr(again, name), getattr(few, name), rtol=1e-9)
    assert_array_equal(again.source_class, few.source_class)
    assert_allclose(again.dnde([0.5, 50]), few.dnde([0.5, 50]))


def test_from_models_reads_power_laws_in_other_frames():
    spectral = PowerLawSpectralModel(index=2.3, amplitude="1e-12 cm-2 s-1 TeV-1", reference="1 TeV")
    spatial = PointSpatialModel(lon_0="266.405 deg", lat_0="-28.936 deg", frame="icrs")
    catalog = MockCatalog.from_models(Models([SkyModel(spectral, spatial, name="centre")]))
    assert_allclose([(catalog.lon[0] + 180) % 360 - 180, catalog.lat[0]], 0, atol=0.01)
    assert_allclose(catalog.amplitude, 1e-15)
    assert_allclose(catalog.reference, 1000)
    assert catalog.source_class[0] == "unk"


def test_from_models_empty():
    assert len(MockCatalog.from_models(Models([]))) == 0


def test_from_models_rejects_others():
    spatial = PointSpatialModel(frame="galactic")
    with pytest.raises(TypeError, match="PowerLaw2SpectralModel"):
        MockCatalog.from_models([SkyModel(PowerLaw2SpectralModel(), spatial)])
    with pytest.raises(TypeError, match="no point source"):
        MockCatalog.from_models([SkyModel(PowerLawSpectralModel(), GaussianSpatialModel(frame="galactic"))])


def test_to_models_rejects_curved_cutoff(few):
    wrong = few.select(slice(2))
    wrong.lambda_ = np.ones(2)
    wrong.beta = np.full(2, 0.1)
    with pytest.raises(ValueError, match="both a curvature and a cutoff"):
        wrong.to_models()


def test_fit_gives_defaults(table_4fgl):
    fitted = fit_populations(table_4fgl)
    for name, population in DEFAULT_POPULATIONS.items():
        for key in ("number", "flux_knots", "flux_slopes", "shape_mean", "shape_cov", "components"):
            # One unit of the third digit.
            assert_allclose(getattr(fitted[name], key), getattr(population, key), rtol=0.011, err_msg=key)
        assert_allclose(fitted[name].index_gradient, population.index_gradient, rtol=0.011)
        assert fitted[name].alpha == population.alpha


def test_source_counts_are_those_of_4fgl(table_4fgl):
    flux = np.asarray(table_4fgl["Flux1000"], float)
    for limit, tolerance in ((2e-10, 0.05), (4.5e-10, 0.02), (1e-9, 0.02)):
        number = sum(p.number_above(limit) for p in DEFAULT_POPULATIONS.values())
        assert_allclose(number, (flux > limit).sum(), rtol=tolerance)


def test_fit_needs_its_columns(table_4fgl):
    with pytest.raises(ValueError, match="LP_beta"):
        fit_populations(table_4fgl[[c for c in table_4fgl.colnames if c != "LP_beta"]])
