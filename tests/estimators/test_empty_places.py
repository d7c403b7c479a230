# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the fluxes of empty places beside sources, with the shipped ensembles."""

import json

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.coordinates import SkyCoord
from numpy.testing import assert_allclose

from gammapy_asid import DLFluxEstimator
from gammapy_asid.learning.ensembles import Moments
from gammapy_asid.learning.io import load_card
from gammapy_asid.learning.model_files import ensemble_path
from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.simulation.lat_dataset import simulate_dataset
from gammapy_asid.tasks.measurement.calibration import flux_quantiles
from gammapy_asid.tasks.measurement.card import EnsembleCard

CENTER = SkyCoord(80, 30, unit="deg", frame="galactic")
#: Photon fluxes 1-100 GeV and positions of the sources.
FLUX = np.array([2e-8, 3e-9])
SOURCES = SkyCoord([80.0, 81.5], [30.0, 30.7], unit="deg", frame="galactic")


@pytest.fixture(scope="module", params=[True, False], ids=["background", "no background"])
def dataset(request, power_law_catalog):
    catalog = power_law_catalog(SOURCES, FLUX)
    rng = np.random.default_rng(3)
    dataset = simulate_dataset(CENTER, (8, 8) * u.deg, catalog, analytic_emission(0), rng=rng)
    if not request.param:
        dataset.background = None
    return dataset


@pytest.fixture(scope="module")
def places():
    lon, lat = np.meshgrid(
        80 + np.arange(-3, 3.1, 1.0) / np.cos(np.radians(30)), 30 + np.arange(-3, 3.1, 1.0)
    )
    places = SkyCoord(lon.ravel(), lat.ravel(), unit="deg", frame="galactic")
    return places[(places[:, None].separation(SOURCES) > 0.5 * u.deg).all(axis=1)]


@pytest.fixture(scope="module")
def fluxes(dataset, places):
    return DLFluxEstimator("lat").run(dataset, SkyCoord([*SOURCES, *places]))


def test_empty_places_are_limits_and_sources_are_not(fluxes, places):
    table, n = fluxes.table, len(SOURCES)
    assert not table["is_ul"][:n].any()
    assert table["is_ul"][n:].mean() > 0.93
    for row in range(n):
        assert not fluxes.bands["is_ul"][row, 2:4].any()
    assert fluxes.bands["is_ul"][n:].mean() > 0.93
    # Nowhere three standard deviations above zero; many intervals of 68 % hold zero too.
    ratio = (table["flux"] / table["flux_errn"]).to_value("")[n:]
    assert ratio.max() < 3
    assert np.mean(np.isclose(ratio, 1)) > 0.3
    assert np.all(table["flux_ul"] > table["flux"])
    assert np.all(table["flux_errp"] >= 0)


def test_one_empty_place_alone(dataset, places):
    quiet = dataset.copy(name="quiet")
    far = places[np.argmax(places.separation(SOURCES[0]))]
    row = DLFluxEstimator("lat", 1 * u.GeV, 100 * u.GeV).run(quiet, far).table[0]
    assert row["is_ul"]
    assert 1e-12 < row["flux_ul"].to_value("cm-2 s-1") < 2e-9


def test_intervals_begin_at_zero():
    row = [(0.0, -1.96, -1.0, 1.0, 1.96, 1.64, 0.0)]
    moments = Moments(torch.zeros(3, 1), torch.ones(3, 1, 1), torch.zeros(3, 1, 1))
    zero = np.array([[False, False, True], [False, True, True]])
    scale = np.full(3, 2.5), np.ones(3), np.zeros(3)
    quantiles = flux_quantiles({"key": row}, "key", moments, "mean-variance", *scale, zero=zero)
    # Lower ends of 95 and 68 %, upper ends of 68 and 95 %, the upper limit, the estimate.
    upper = [3.5, 4.46, 4.14, 2.5]
    assert_allclose(quantiles, [[0.54, 1.5, *upper], [0, 1.5, *upper], [0, 0, *upper]])
    assert_allclose(flux_quantiles({"key": row}, "key", moments, "mean-variance", *scale)[1], quantiles[0])


def test_no_limit_is_zero():
    row = [(0.0, -1.96, -1.0, 1.0, 1.96, 1.64, 0.0)]
    moments = Moments(torch.full((1, 1), -9.0), torch.ones(1, 1, 1), torch.zeros(1, 1, 1))
    scale = np.zeros(1), np.ones(1), np.zeros(1)
    quantiles = flux_quantiles({"key": row}, "key", moments, "mean-variance", *scale)[0]
    assert np.all(quantiles[:2] == 0)
    assert np.all(quantiles[2:] > 0)


@pytest.mark.parametrize("model", ["lat", "cta-gps"])
def test_coverage_of_empty_places_in_the_card(model):
    metrics = load_card(ensemble_path(model, "flux"), EnsembleCard).metrics
    for key in ("mean-variance given wide", "mean-variance given narrow"):
        assert metrics[f"{key} empty"]["coverage_95"] > 0.93
        assert metrics[f"{key} empty"]["coverage_68"] > 0.66
        assert 0.94 < metrics[key]["coverage_95"] < 0.97


def test_fluxes_that_know_no_empty_places_are_refused():
    text = json.loads(ensemble_path("lat", "flux").with_suffix(".json").read_text())
    del text["empty_significance"]
    with pytest.raises(ValueError, match="not calibrated at empty places: train the ensemble again"):
        EnsembleCard(**text)
