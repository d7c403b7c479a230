# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of likelihood fits, against fits with Gammapy alone."""

import signal

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from gammapy.datasets import Datasets
from gammapy.estimators import ESTIMATOR_REGISTRY, FluxPoints
from gammapy.modeling import Fit
from gammapy.modeling.models import (
    FoVBackgroundModel,
    GaussianSpatialModel,
    Models,
    PointSpatialModel,
    SkyModel,
)
from numpy.testing import assert_allclose, assert_array_equal

from gammapy_asid import CandidateFitEstimator
from gammapy_asid.catalog import SourceClasses
from gammapy_asid.catalog.class_spectra import curved_spectrum
from gammapy_asid.catalog.columns import CandidateFlag, fit_columns
from gammapy_asid.catalog.fluxes import integral_flux
from gammapy_asid.likelihood import disagreements
from gammapy_asid.likelihood.fit import fit_region
from gammapy_asid.likelihood.poisson_fit import cash, fisher_scoring


@pytest.fixture(scope="module")
def dataset(gev_sky):
    return gev_sky.dataset(gev_sky.sources(3))


@pytest.fixture(scope="module")
def candidates(gev_sky):
    return gev_sky.candidates(gev_sky.positions, 1.3 * gev_sky.flux)


@pytest.fixture(scope="module")
def fitted(dataset, candidates):
    return CandidateFitEstimator(width=3 * u.deg).run(dataset, candidates)


def gammapy_fit(gev_sky, dataset, own, others, start):
    """TS and fitted source of Gammapy's own fit."""
    cutout = dataset.cutout(gev_sky.positions[own], 3 * u.deg, name="cutout")
    known = [FoVBackgroundModel(dataset_name="cutout")]
    for i in others:
        neighbour = gev_sky.source(gev_sky.positions[i], 1.3 * gev_sky.flux[i], index=2.3)
        neighbour.parameters.freeze_all()
        neighbour.spectral_model.amplitude.frozen = (
            gev_sky.positions[i].separation(gev_sky.positions[own]) > 1 * u.deg
        )
        known.append(neighbour)
    cutout.models = Models(known)
    without = Fit().optimize(Datasets([cutout])).total_stat
    model = gev_sky.source(start, gev_sky.flux[own], index=2.3)
    cutout.models = Models([*known, model])
    result = Fit().run(Datasets([cutout]))
    return without - result.total_stat, model


def test_fits_are_those_of_gammapy(gev_sky, dataset, fitted):
    for own in range(3):
        row = fitted.table[own]
        # From its best position, as Minuit may stop at a kink before
        start = SkyCoord(row["fit_ra"], row["fit_dec"]).galactic
        ts, model = gammapy_fit(gev_sky, dataset, own, [i for i in range(3) if i != own], start)
        assert_allclose(row["ts"], ts, rtol=2e-3)
        assert_allclose(row["sqrt_ts"] ** 2, row["ts"])
        spectrum = model.spectral_model
        assert_allclose(row["fit_flux"].value, spectrum.amplitude.value, rtol=0.01)
        assert_allclose(row["fit_index"], spectrum.index.value, atol=0.02)
        assert_allclose(row["fit_flux_err"].value, spectrum.amplitude.error, rtol=0.1)
        assert_allclose(row["fit_index_err"], spectrum.index.error, rtol=0.15)


def test_fitted_values_are_the_truth_within_their_errors(gev_sky, fitted):
    table = fitted.table
    assert np.all(table["ts"] > 25)
    assert not np.any(table["flags"] & CandidateFlag.FIT_FAILED)
    assert np.all(np.abs(table["fit_flux"].value - gev_sky.flux) < 3 * table["fit_flux_err"].value)
    assert np.all(np.abs(table["fit_index"] - 2.2) < 3 * table["fit_index_err"])
    offset = SkyCoord(table["fit_ra"], table["fit_dec"]).separation(gev_sky.positions)
    assert np.all(offset < 2.5 * table["fit_semi_major_68"])
    assert np.all(table["fit_semi_minor_68"] <= table["fit_semi_major_68"])
    assert_allclose(table["fit_e_min"].value, 1)
    assert_allclose(table["fit_e_max"].value, 100)
    assert np.isnan(table["ts_ext"]).all()


def test_data_and_candidates_stay_as_they_are(dataset, candidates):
    before = {name: m.data.copy() for name, m in dataset.maps.items()} if hasattr(dataset, "maps") else {}
    before = before or {"counts": dataset.counts.data.copy(), "background": dataset.background.data.copy()}
    table = candidates.table.copy()
    CandidateFitEstimator(width=3 * u.deg).run(dataset, candidates[:1])
    for name, data in before.items():
        assert_array_equal(getattr(dataset, name).data, data)
    assert dataset.models is None
    assert candidates.table.colnames == table.colnames


def test_noise_has_no_significance(gev_sky, dataset):
    nothing = gev_sky.candidates(SkyCoord([10.9], [-0.9], unit="deg", frame="galactic"), np.array([1e-9]))
    known = gev_sky.candidates(gev_sky.positions, gev_sky.flux)
    row = CandidateFitEstimator(width=3 * u.deg).run(dataset, nothing, neighbours=known).table[0]
    assert 0 <= row["ts"] < 16


def test_candidate_outside_the_data_is_flagged(gev_sky, dataset, candidates):
    outside = gev_sky.candidates(
        SkyCoord([10.0, 40.0], [0.0, 3.0], unit="deg", frame="galactic"), gev_sky.flux[:2]
    )
    table = CandidateFitEstimator(width=3 * u.deg).run(dataset, outside).table
    assert table["flags"][1] & CandidateFlag.OUTSIDE and table["flags"][1] & CandidateFlag.FIT_FAILED
    assert np.isnan(table["ts"][1]) and np.isfinite(table["ts"][0])


def test_failed_fit_flags_its_row_and_stops_nothing(dataset, candidates, caplog, monkeypatch):
    def fit(region, options):
        if region.source.name == candidates.table["name"][2]:
            raise RuntimeError("the fit did not converge")
        return fit_region(region, options)

    monkeypatch.setattr("gammapy_asid.likelihood.source_field.fit_region", fit)
    table = CandidateFitEstimator(width=1.5 * u.deg).run(dataset, candidates).table
    assert_array_equal(table["flags"] & CandidateFlag.FIT_FAILED > 0, [False, False, True])
    assert np.isnan(table["ts"][2]) and np.all(table["ts"][:2] > 25)
    assert candidates.table["name"][2] in caplog.text


def test_processes_give_the_same(dataset, candidates, fitted):
    table = CandidateFitEstimator(width=3 * u.deg, n_jobs=2).run(dataset, candidates).table
    for name in ("ts", "fit_flux", "fit_ra"):
        assert_array_equal(table[name], fitted.table[name])


@pytest.fixture
def ray():
    """Ray, which leaves a handler of SIGTERM behind."""
    module = pytest.importorskip("ray")
    handler = signal.getsignal(signal.SIGTERM)
    yield module
    module.shutdown()
    signal.signal(signal.SIGTERM, handler)


def test_ray_gives_the_same(ray, dataset, candidates, fitted):
    fits = CandidateFitEstimator(width=3 * u.deg, n_jobs=2, parallel_backend="ray")
    assert_array_equal(fits.run(dataset, candidates).table["ts"], fitted.table["ts"])


def test_extended_source(gev_sky, candidates):
    wide = GaussianSpatialModel.from_position(gev_sky.positions[0])
    wide.sigma.value = 0.3
    models = [gev_sky.source(gev_sky.positions[0], 2e-8, wide), gev_sky.sources(3)[2]]
    field = gev_sky.dataset(models)
    pair = gev_sky.candidates(gev_sky.positions[[0, 2]], gev_sky.flux[[0, 2]])
    table = CandidateFitEstimator(width=3 * u.deg, test_extension=True).run(field, pair).table
    assert table["ts_ext"][0] > 25 > table["ts_ext"][1]
    assert abs(table["fit_sigma"][0].value - 0.3) < 3 * table["fit_sigma_err"][0].value


def test_curved_spectrum(gev_sky, candidates):
    from gammapy.modeling.models import LogParabolaSpectralModel

    curved = LogParabolaSpectralModel(amplitude="6e-9 cm-2 s-1 GeV-1", reference="3 GeV", alpha=2.0, beta=0.6)
    model = SkyModel(curved, PointSpatialModel.from_position(gev_sky.positions[0]), name="curved")
    field = gev_sky.dataset([model])
    here = gev_sky.candidates(gev_sky.positions[:1], gev_sky.flux[:1])
    row = CandidateFitEstimator(width=3 * u.deg).run(field, here).table[0]
    assert row["fit_spectrum"] == "lp"
    assert abs(row["fit_beta"] - 0.6) < 3 * row["fit_beta_err"]


def test_pulsar_gets_the_spectrum_of_its_class(gev_sky):
    law = curved_spectrum("PSR", 2.2, 0.5, 6e-9 * u.Unit("cm-2 s-1 GeV-1"), 3 * u.GeV)
    model = SkyModel(law, PointSpatialModel.from_position(gev_sky.positions[0]), name="pulsar")
    field = gev_sky.dataset([model])
    here = gev_sky.candidates(gev_sky.positions[:1], gev_sky.flux[:1])
    n = np.ones(1)
    probability = np.array([[0.1, 0.8, 0.1, 0.5, 0.9]])
    classes = SourceClasses.from_probabilities(
        list(here.table["name"]), here.positions, probability, n > 0, 0 * n, {}
    )
    fits = CandidateFitEstimator(width=3 * u.deg)
    row = fits.run(field, here.with_classes(classes)).table[0]
    assert row["fit_spectrum"] == "plec" and row["source_class"] == "PSR"
    assert row["fit_e_ref"] == 3 * u.GeV
    assert abs(row["fit_index"] - 2.2) < 3 * row["fit_index_err"]
    assert abs(row["fit_beta"] - 0.5) < 3 * row["fit_beta_err"]
    true = integral_flux(law, row["fit_e_min"], row["fit_e_max"])
    assert abs(row["fit_flux"] - true) < 3 * row["fit_flux_err"]
    # It fits better than a log-parabola, which any other class gets
    other = fits.run(field, here).table[0]
    assert other["fit_spectrum"] == "lp" and other["ts"] < row["ts"]
    fitted = fits.run(field, here.with_classes(classes))
    points = fits.flux_points(field, fitted)[row["name"]]
    assert_allclose(points.norm.quantity[:2].value.ravel(), 1, atol=0.1)


def test_models_of_the_dataset_are_known_sky(gev_sky, dataset, candidates):
    known = dataset.copy(name="known")
    known.models = [gev_sky.source(gev_sky.positions[0], gev_sky.flux[0], name="known-source")]
    here = gev_sky.candidates(gev_sky.positions[:1], gev_sky.flux[:1])
    assert CandidateFitEstimator(width=3 * u.deg).run(known, here).table["ts"][0] < 16


def test_flux_points(gev_sky, dataset, fitted):
    points = CandidateFitEstimator(width=3 * u.deg).flux_points(dataset, fitted[:1])
    point = points[fitted.table["name"][0]]
    assert isinstance(point, FluxPoints)
    total = np.nansum(point.flux.data)
    assert_allclose(total, gev_sky.flux[0], rtol=0.2)


def test_list_and_plot_of_disagreements(fitted):
    from gammapy_asid.plots import plot_ts_against_score

    changed = fitted.with_columns(QTable())
    changed.table["score"] = [0.95, 0.6, 0.99]
    changed.table["ts"] = [100.0, 30.0, 4.0]
    table = disagreements(changed)
    assert list(table["judged_real_by"]) == ["score", "ts"]
    assert list(table["name"]) == [changed.table["name"][2], changed.table["name"][1]]
    ax = plot_ts_against_score(changed)
    assert "they disagree: 2" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_disagreements_need_fits(candidates):
    with pytest.raises(ValueError, match="CandidateFitEstimator"):
        disagreements(candidates)


def test_flux_points_need_fits_and_edges(candidates):
    fits = CandidateFitEstimator()
    with pytest.raises(ValueError, match="The candidates have no fits"):
        fits.flux_points(None, candidates)
    fitted = candidates.with_columns(fit_columns([{}] * len(candidates)))
    for edges in (
        [1] * u.GeV,
        5 * u.GeV,
        [10, 1] * u.GeV,
        [1, 10] * u.deg,
        [0, 1] * u.GeV,
        [1, np.nan] * u.GeV,
    ):
        with pytest.raises(ValueError, match="energy_edges must be two or more energies above 0 that rise"):
            fits.flux_points(None, fitted, edges)


def test_wrong_unit():
    with pytest.raises(ValueError, match="width must be an angle"):
        CandidateFitEstimator(width=3 * u.s)


def test_configuration_and_registry():
    assert CandidateFitEstimator in ESTIMATOR_REGISTRY
    assert "neighbour_reach" in str(CandidateFitEstimator())


def test_fisher_scoring_finds_the_minimum_within_bounds():
    rng = np.random.default_rng(1)
    templates = rng.uniform(0.1, 1, (3, 400))
    counts = rng.poisson([2.0, 0.0, 1.5] @ templates)
    fit = fisher_scoring(
        counts, lambda v: v @ templates, lambda _: templates, np.ones(3), np.zeros(3), np.full(3, np.inf)
    )
    assert np.all(fit.values >= 0)
    gradient = templates @ (1 - counts / (fit.values @ templates))
    # No slope but one that pushes against a bound
    assert_allclose(gradient[fit.values > 1e-6], 0, atol=0.05)
    assert np.all(gradient[fit.values <= 1e-6] > -0.05)
    assert_allclose(fit.stat, cash(fit.values @ templates, counts))
