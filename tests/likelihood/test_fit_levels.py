# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of what the likelihood fits take for the sources around a candidate, and of where they end."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import Datasets, MapDataset
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom
from gammapy.modeling.models import (
    GaussianSpatialModel,
    PointSpatialModel,
    PowerLaw2SpectralModel,
    PowerLawSpectralModel,
    SkyModel,
)
from numpy.testing import assert_allclose

from gammapy_asid import CandidateFitEstimator, Candidates
from gammapy_asid.inputs.prediction import Kernels
from gammapy_asid.likelihood.listed_sources import listed_sources
from gammapy_asid.likelihood.point_prediction import PointPrediction
from gammapy_asid.likelihood.poisson_fit import cash, fisher_scoring
from gammapy_asid.likelihood.prediction import Pixels, SourcePrediction

BRIGHT, FAINT = SkyCoord([81.5, 80.0], [20, 20], unit="deg")
FLUX = 2e-9
ENERGY = [1, 100] * u.GeV


def make_dataset(sources, width=6, seed=0):
    """Field with the wide point spread function of the LAT at 1 GeV and sources of given fluxes."""
    axis = MapAxis.from_energy_bounds(*ENERGY, nbin=4)
    true = MapAxis.from_energy_bounds(*ENERGY, nbin=8, name="energy_true")
    geom = WcsGeom.create(skydir=FAINT, frame="icrs", width=width, binsz=0.1, proj="TAN", axes=[axis])
    sigma = 0.5 * true.center.value**-0.8 + 0.04
    dataset = MapDataset(
        counts=Map.from_geom(geom),
        exposure=Map.from_geom(geom.to_image().to_cube([true]), unit="cm2 s", data=3e11),
        background=Map.from_geom(geom, data=np.ones(geom.data_shape) * [[[3.0]], [[0.6]], [[0.1]], [[0.02]]]),
        psf=PSFMap.from_gauss(true, sigma=sigma * u.deg),
        edisp=EDispKernelMap.from_diagonal_response(axis, true),
        name="field",
    )
    dataset.models = [source(place, flux) for place, flux in sources]
    dataset.fake(random_state=seed)
    dataset.models = None
    return dataset


def source(place, flux, shape=None):
    law = PowerLaw2SpectralModel(
        amplitude=flux * u.Unit("cm-2 s-1"), index=2.0, emin=ENERGY[0], emax=ENERGY[1]
    )
    return SkyModel(law, shape or PointSpatialModel.from_position(place))


def make_candidates(*positions):
    n = len(positions)
    axes = np.full((n, 2), 0.05) * u.deg
    return Candidates.from_positions(SkyCoord(positions), np.full(n, 0.9), axes, 2 * axes)


@pytest.fixture(scope="module")
def dataset():
    return make_dataset([(BRIGHT, 30 * FLUX), (FAINT, FLUX)])


@pytest.fixture(scope="module")
def fitted(dataset):
    return CandidateFitEstimator(refit_position=False).run(dataset, make_candidates(BRIGHT, FAINT))


def is_true(row, flux):
    return abs(row["fit_flux"].value - flux) < 2 * row["fit_flux_err"].value


def test_neighbour_without_a_flux_is_fitted_first(fitted):
    # With the bright source held at 20 photons: 3e-10 +- 0.8e-10
    assert is_true(fitted.table[1], FLUX)
    assert is_true(fitted.table[0], 30 * FLUX)


def test_fitted_flux_of_a_list_is_known(dataset, fitted):
    sources = listed_sources(fitted)
    assert all(source.is_fitted for source in sources)
    flux = sources[0].spectrum.integral(*ENERGY).to_value("cm-2 s-1")
    assert_allclose(flux, fitted.table["fit_flux"][0].value)
    again = CandidateFitEstimator(refit_position=False).run(dataset, fitted[1:], neighbours=fitted)
    assert_allclose(again.table["fit_flux"][0].value, fitted.table["fit_flux"][1].value, rtol=0.01)


def test_order_of_the_list_changes_nothing(dataset, fitted):
    turned = CandidateFitEstimator(refit_position=False).run(dataset, make_candidates(FAINT, BRIGHT))
    assert_allclose(turned.table["ts"][::-1], fitted.table["ts"], rtol=1e-3)
    assert_allclose(turned.table["fit_flux"][::-1].value, fitted.table["fit_flux"].value, rtol=5e-3)


def test_flux_that_a_fit_found_to_be_zero_is_known():
    candidates = make_candidates(FAINT)
    columns = CandidateFitEstimator(refit_position=False).run(make_dataset([]), candidates).table
    zero = Candidates(columns, meta={})
    zero.table["fit_flux"], zero.table["fit_spectrum"] = [0.0] * u.Unit("cm-2 s-1"), [""]
    faint = listed_sources(zero)[0]
    assert faint.is_zero
    assert faint.spectrum.integral(*ENERGY) == 0


@pytest.mark.parametrize("seed", [0, 4])
def test_empty_place_between_sources_has_no_start_value(seed):
    places = SkyCoord([80.0, 82.0, 80.0], [21.5, 18.0, 20.0], unit="deg")
    field = make_dataset([(places[0], FLUX), (places[1], FLUX)], seed=seed)
    row = CandidateFitEstimator(refit_position=False).run(field, make_candidates(*places)).table[2]
    assert 0 <= row["ts"] < 9
    # 20 photons was the start value
    assert abs(row["fit_flux"].value * 3e11 / 20 - 1) > 1e-3
    assert (row["fit_flux"] == 0) == (row["ts"] == 0)


def test_fit_that_hits_a_bound_goes_on_along_the_others():
    # The level of the first is zero at best: from a start far off the others must still be found
    rng = np.random.default_rng(1)
    templates = np.abs(rng.normal(size=(3, 400))) + [[0.0], [1.0], [0.5]]
    counts = rng.poisson(2 * templates[1] + 0.7 * templates[2]).astype(float)
    counts[templates[0] > 1] *= 0
    lower, upper = np.array([0, 0.1, 0]), np.array([np.inf, 10, np.inf])

    def fit(start):
        return fisher_scoring(counts, lambda v: v @ templates, lambda _: templates, start, lower, upper)

    best = fit(np.array([0.0, 1.0, 0.0]))
    gradient = 2 * templates @ (1 - counts / (best.values @ templates))
    assert best.values[0] == 0
    assert gradient[0] > 0
    # The same with the first source left out
    rest = fisher_scoring(
        counts, lambda v: v @ templates[1:], lambda _: templates[1:], np.ones(2), lower[1:], upper[1:]
    )
    assert_allclose(best.stat, rest.stat, atol=2e-3)
    for start in ([1.0, 1, 1], [50, 0.1, 9], [0.0, 10, 0]):
        assert_allclose(fit(np.array(start)).stat, best.stat, atol=2e-3)
        assert fit(np.array(start)).stat <= cash(np.array(start) @ templates, counts)


@pytest.mark.parametrize("frame", ["icrs", "galactic"])
def test_point_is_predicted_as_by_gammapy(frame):
    dataset = make_dataset([])
    pixels = Pixels(Datasets([dataset]), [Kernels(dataset)])
    place = SkyCoord(80.63, 20.41, unit="deg").transform_to(frame)
    law = PowerLawSpectralModel(index=2.3)
    model = SkyModel(law, PointSpatialModel.from_position(place))
    assert PointPrediction.serves(model, pixels)
    own, gammapy = PointPrediction(model, pixels), SourcePrediction(model, pixels)
    for _ in range(2):
        assert_allclose(own(), gammapy(), rtol=1e-4, atol=1e-6 * gammapy().max())
        model.spatial_model.lat_0.quantity += 0.037 * u.deg
        law.index.value = 1.8


def test_point_beyond_the_edge_shines_into_the_data():
    wide, narrow = make_dataset([], width=6), make_dataset([], width=4)
    model = source(SkyCoord(77.6, 20.1, unit="deg"), FLUX)
    inside = [
        PointPrediction(model, Pixels(Datasets([d]), [Kernels(d)]))().reshape(d.counts.data.shape)
        for d in (wide, narrow)
    ]
    assert inside[1].sum() > 1
    assert_allclose(inside[1], inside[0][:, 10:-10, 10:-10], rtol=1e-3, atol=1e-4)


def test_other_shapes_are_left_to_gammapy():
    dataset = make_dataset([])
    pixels = Pixels(Datasets([dataset]), [Kernels(dataset)])
    shape = GaussianSpatialModel.from_position(FAINT, sigma="0.2 deg")
    assert not PointPrediction.serves(source(FAINT, FLUX, shape), pixels)
