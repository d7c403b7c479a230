# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the estimator of light curves, with ensembles that leave the fit as it is."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.time import Time
from gammapy.datasets import Datasets
from gammapy.estimators import FluxPoints
from numpy.testing import assert_allclose

from gammapy_asid import DLFluxEstimator, DLLightCurveEstimator, SourceLightCurves
from gammapy_asid.catalog.columns import CandidateFlag
from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.simulation.lat_time_bins import SURVEY_START, simulate_time_bins

CENTER = SkyCoord(80, 30, unit="deg", frame="galactic")
#: A steady source, one that flares in the second of three bins, one outside of the field.
POSITIONS = SkyCoord([80.0, 82.0, 100.0], [30.0, 31.5, 30.0], unit="deg", frame="galactic")
RELATIVE = np.array([[1.0, 1.0, 1.0], [0.2, 2.6, 0.2]])
FLUX = np.array([2e-8, 1e-8])


@pytest.fixture(scope="module")
def datasets(power_law_catalog):
    catalog = power_law_catalog(POSITIONS[:2], FLUX)
    rng = np.random.default_rng(3)
    simulated = simulate_time_bins(
        CENTER, (8, 8) * u.deg, catalog, analytic_emission(0), 3, 6.0, rng=rng, light_curves=RELATIVE
    )
    return simulated.datasets


@pytest.fixture(scope="module")
def estimator(toy_model):
    return DLLightCurveEstimator(model=toy_model, e_min=1 * u.GeV, e_max=100 * u.GeV)


@pytest.fixture(scope="module")
def light_curves(estimator, datasets):
    return estimator.run(datasets, POSITIONS)


def test_light_curves_are_those_of_the_simulation(light_curves):
    table = light_curves.table
    assert isinstance(light_curves, SourceLightCurves) and len(light_curves) == 3
    pull = (table["flux"][:2].to_value("cm-2 s-1") - FLUX[:, None] * RELATIVE) / table["flux_err"][:2].value
    assert np.abs(pull).max() < 3.5
    # Two degrees of freedom: 9.2 holds 99 % of the steady sources
    assert table["variability_index"][0] < 9.2 and table["variability_index"][1] > 200
    assert table["flux"].shape == (3, 3)
    assert_allclose(light_curves.start.mjd, SURVEY_START + 2 * 365.25 * np.arange(3), atol=1e-6)
    assert_allclose((light_curves.stop - light_curves.start).to_value("yr"), 2, rtol=1e-6)
    assert "3 sources, 3 time bins" in str(light_curves)


def test_no_source_is_lost(light_curves):
    row = light_curves.table[2]
    assert row["flags"] == CandidateFlag.OUTSIDE
    assert np.isnan(row["flux"]).all() and np.isnan(row["variability_index"])
    assert not np.isfinite(light_curves.flux_points(2).flux.data).any()


# Gammapy counts the times of a table from MJD 0
@pytest.mark.filterwarnings("ignore:.*dubious year")
def test_native_flux_points(light_curves, tmp_path):
    name = str(light_curves.table["name"][1])
    points = light_curves.flux_points(name)
    assert points.geom.axes.names == ["energy", "time"]
    for column in ("flux", "flux_errn", "flux_errp", "flux_ul"):
        assert_allclose(getattr(points, column).quantity.ravel(), light_curves.table[column][1], rtol=1e-6)
    assert (points.is_ul.data.ravel() == light_curves.table["is_ul"][1]).all()
    assert_allclose(points.geom.axes["time"].time_min.mjd, light_curves.start.mjd, atol=1e-6)
    # What Gammapy writes it reads
    points.write(tmp_path / "curve.fits", sed_type="flux", format="lightcurve")
    again = FluxPoints.read(tmp_path / "curve.fits", format="lightcurve")
    assert_allclose(again.flux.data, points.flux.data, rtol=1e-5)
    with pytest.raises(KeyError, match="No source 'nothing'"):
        light_curves.flux_points("nothing")


def test_order_of_bins_and_data_stay(estimator, datasets, light_curves):
    before = [dataset.counts.data.copy() for dataset in datasets]
    again = estimator.run(Datasets(list(datasets)[::-1]), POSITIONS)
    assert_allclose(again.table["flux"], light_curves.table["flux"], rtol=1e-6)
    assert all((own.counts.data == old).all() for own, old in zip(datasets, before, strict=True))


def test_data_without_time_bins(estimator, datasets):
    with pytest.raises(ValueError, match="one time only"):
        estimator.run(datasets[0], POSITIONS)


def test_bins_are_those_of_the_flux_estimator(toy_model, datasets, light_curves):
    own = DLFluxEstimator(model=toy_model, e_min=1 * u.GeV, e_max=100 * u.GeV).run(datasets[1], POSITIONS)
    assert_allclose(light_curves.table["flux"][:2, 1], own.table["flux"][:2], rtol=1e-6)
    assert isinstance(light_curves.start, Time)


def test_flares_beyond_the_training_are_said_once(estimator, datasets, caplog, monkeypatch):
    # Both bright sources in all bins, or the flare alone
    monkeypatch.setattr(type(estimator.trained), "brightest", 2e-8)
    light_curves = estimator.run(datasets, POSITIONS)
    beyond = (light_curves.table["flags"] & CandidateFlag.UNTRAINED) > 0
    assert beyond[1] and not beyond[2]
    said = [record.message for record in caplog.records]
    assert sum("in a bin" in text for text in said) == 1 and len(said) <= 2
    assert f"{beyond.sum()} sources" in said[-1]
