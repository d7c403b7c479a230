# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the flux estimator, with ensembles that leave the fit as it is."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.estimators import ESTIMATOR_REGISTRY, FluxPoints
from gammapy.modeling.models import (
    FoVBackgroundModel,
    GaussianSpatialModel,
    Models,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)
from numpy.testing import assert_allclose

from gammapy_asid import DLFluxEstimator, DLSourceDetector
from gammapy_asid.catalog.columns import CandidateFlag
from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.simulation.lat_dataset import simulate_dataset
from gammapy_asid.stats.bounds import source_limits
from gammapy_asid.utils.sky_geometry import RADIUS_68

CENTER = SkyCoord(80, 30, unit="deg", frame="galactic")
#: Photon fluxes 1-100 GeV and positions of the sources.
FLUX = np.array([2e-8, 3e-9, 6e-10])
POSITIONS = SkyCoord([80.0, 81.2, 79.0], [30.0, 30.7, 31.5], unit="deg", frame="galactic")


@pytest.fixture(scope="module")
def dataset(power_law_catalog):
    catalog = power_law_catalog(POSITIONS, FLUX)
    rng = np.random.default_rng(3)
    return simulate_dataset(CENTER, (8, 8) * u.deg, catalog, analytic_emission(0), rng=rng)


@pytest.fixture(scope="module")
def estimator(toy_model):
    return DLFluxEstimator(model=toy_model, e_min=1 * u.GeV, e_max=100 * u.GeV)


@pytest.fixture(scope="module")
def fluxes(estimator, dataset):
    return estimator.run(dataset, POSITIONS)


def test_fluxes_are_those_of_the_simulation(fluxes):
    table = fluxes.table
    assert_allclose(table["flux"].to_value("cm-2 s-1"), FLUX, rtol=0.25)
    assert_allclose(table["flux"][0].to_value("cm-2 s-1"), FLUX[0], rtol=0.08)
    assert_allclose(table["e_min"].to_value("GeV"), 1)
    assert np.all(table["flux_ul"] > table["flux"])
    assert_allclose(table["flux_err"], (table["flux_errn"] + table["flux_errp"]) / 2)
    assert np.all(table["flags"] == 0)
    # Relative errors grow towards faint sources.
    assert np.all(np.diff(table["flux_err"] / table["flux"]) > 0)


def test_native_flux_points(fluxes):
    points = fluxes.flux_points(0)
    assert isinstance(points, FluxPoints)
    assert points.geom.axes["energy"].nbin == 6
    table = points.to_table(sed_type="dnde", format="gadf-sed")
    assert {"dnde", "dnde_errn", "dnde_errp", "dnde_ul"} <= set(table.colnames)
    true = FLUX[0] * 1.3 * table["e_ref"].quantity.to_value("GeV") ** -2.3 / (1 - 100**-1.3)
    assert_allclose(table["dnde"].quantity.to_value("cm-2 s-1 GeV-1")[1:4], true[1:4], rtol=0.3)
    whole = fluxes.integral(fluxes.table["name"][0])
    assert_allclose(whole.flux.quantity.squeeze(), fluxes.table["flux"][0])
    with pytest.raises(KeyError, match="No source 'nobody'"):
        fluxes.flux_points("nobody")


def test_faint_bands_are_upper_limits(estimator, dataset, fluxes):
    empty = SkyCoord([82.0], [28.0], unit="deg", frame="galactic")
    nothing = estimator.run(dataset, SkyCoord([POSITIONS[0], *empty]))
    assert nothing.flux_points(1).is_ul.data.sum() >= 3
    assert nothing.table["flux_ul"][1] < fluxes.table["flux"][2]
    assert not fluxes.flux_points(0).is_ul.data.squeeze()[3]


def test_configuration(estimator):
    assert "e_min" in str(estimator)
    assert estimator.config_parameters["uncertainty"] == "mean-variance"
    assert DLFluxEstimator in ESTIMATOR_REGISTRY
    assert len(str(estimator)) < 500


def test_no_row_is_lost(estimator, dataset):
    outside, masked = SkyCoord([100, 83.0], [60, 30.0], unit="deg", frame="galactic")
    positions = SkyCoord([POSITIONS[0], outside, POSITIONS[0], masked, POSITIONS[1]])
    mask = dataset.counts.geom.region_mask("galactic;circle(83, 30, 0.6)", inside=False)
    own = dataset.copy(name="masked")
    own.mask_safe = mask
    table = estimator.run(own, positions).table
    assert len(table) == 5
    duplicate, lost = CandidateFlag.DUPLICATE, CandidateFlag.OUTSIDE
    assert table["flags"].tolist() == [duplicate, lost, duplicate, lost, 0]
    assert np.isnan(table["flux"].value).tolist() == [False, True, False, True, False]
    # Both share the flux of the source.
    total = (table["flux"][0] + table["flux"][2]).to_value("cm-2 s-1")
    assert_allclose(total, FLUX[0], rtol=0.15)
    assert fluxes_of_lost_are_nan(estimator.run(own, positions))


def fluxes_of_lost_are_nan(fluxes):
    return np.all(np.isnan(fluxes.flux_points(1).flux.data))


def test_no_sources(estimator, dataset):
    none = SkyCoord([], [], unit="deg", frame="galactic")
    fluxes = estimator.run(dataset, none)
    assert len(fluxes) == 0
    assert fluxes.table["flux"].unit == "cm-2 s-1"


def test_models_are_no_known_sky_of_their_own(estimator, dataset, fluxes):
    own = dataset.copy(name="modelled")
    models = Models(
        [
            SkyModel(
                PowerLawSpectralModel(amplitude="2e-8 cm-2 s-1 GeV-1", reference="1 GeV", index=2.3),
                PointSpatialModel.from_position(position),
                name=f"source-{i}",
            )
            for i, position in enumerate(POSITIONS)
        ]
    )
    own.models = Models([FoVBackgroundModel(dataset_name="modelled"), *models])
    before = own.counts.data.copy(), own.models.to_dict()
    table = estimator.run(own, models).table
    assert table["name"].tolist() == models.names
    assert_allclose(table["flux"], fluxes.table["flux"], rtol=0.02)
    assert np.array_equal(own.counts.data, before[0])
    assert own.models.to_dict() == before[1]
    with pytest.raises(ValueError, match="without a position: modelled-bkg"):
        estimator.run(own, own.models)


def test_ways_to_the_uncertainty(toy_model, dataset, fluxes):
    other = DLFluxEstimator(toy_model, 1 * u.GeV, 100 * u.GeV, uncertainty="ensemble")
    table = other.run(dataset, POSITIONS).table
    assert_allclose(table["flux"], fluxes.table["flux"])
    # Untrained members agree: no scatter.
    assert np.all(table["flux_err"] < fluxes.table["flux_err"])


def test_bad_input(toy_model, dataset, estimator):
    with pytest.raises(ValueError, match="data hold 0.3-1000 GeV"):
        DLFluxEstimator(toy_model, e_min=0.1 * u.GeV).run(dataset, POSITIONS)
    with pytest.raises(ValueError, match="e_min must be an energy"):
        DLFluxEstimator(toy_model, e_min=1 * u.deg)
    with pytest.raises(ValueError, match="e_min must be below e_max"):
        DLFluxEstimator(toy_model, e_min=2 * u.GeV, e_max=1 * u.GeV)
    with pytest.raises(ValueError, match="one of mean-variance, ensemble"):
        DLFluxEstimator(toy_model, uncertainty="guess")
    with pytest.raises(TypeError, match="give several datasets as Datasets"):
        estimator.run(dataset, dataset)
    with pytest.raises(TypeError, match="got list"):
        estimator.run(dataset, [1, 2])
    high = dataset.slice_by_energy(300 * u.GeV, 1000 * u.GeV, name="high")
    high.counts.geom.axes["energy"]
    with pytest.raises(ValueError, match="the data hold"):
        estimator.run(high, POSITIONS)


def test_warning_outside_the_range_of_training(dataset, caplog):
    estimator = DLFluxEstimator(model="lat")
    short = dataset.copy(name="short")
    short.exposure = short.exposure * 1e-3
    with caplog.at_level("WARNING"):
        estimator.run(dataset, POSITIONS[:1])
        assert "exposure" not in caplog.text
        estimator.run(short, POSITIONS[:1])
    assert "The exposure" in caplog.text
    assert "check its results" in caplog.text


def test_candidates_take_their_fluxes(toy_model, dataset, estimator):
    candidates = DLSourceDetector(model="lat", refine=False).run(dataset)
    fluxes = estimator.run(dataset, candidates)
    merged = candidates.with_fluxes(fluxes)
    _, distance, _ = POSITIONS[:2].match_to_catalog_sky(merged.positions)
    assert np.all(distance.deg < 0.2)
    assert np.all(merged.table["flux"] == fluxes.table["flux"])
    assert np.all(np.isnan(candidates.table["flux"]))
    assert merged.meta["flux"]["model"] == "toy"
    with pytest.raises(ValueError, match="not those of these candidates"):
        candidates[:1].with_fluxes(fluxes)


def test_limits_of_sources(dataset, fluxes):
    models = Models(
        [
            SkyModel(
                PowerLawSpectralModel(
                    amplitude=1.3 * flux / (u.GeV * u.cm**2 * u.s), reference="1 GeV", index=2.3
                ),
                PointSpatialModel.from_position(position),
                name=f"s{i}",
            )
            for i, (flux, position) in enumerate(zip(FLUX, POSITIONS, strict=True))
        ]
    )
    limits = source_limits(dataset, models)
    predicted = dataset.copy(name="own")
    predicted.background = None
    for i, model in enumerate(models):
        predicted.models = [model]
        # Some photons of the lowest energies fall outside the field.
        assert limits["counts"][i] == pytest.approx(predicted.npred().data.sum(), rel=0.05)
    # Without a background the error of the flux would be the root of the counts.
    assert np.all(limits["flux_err"] > limits["counts"] ** -0.5)
    assert limits["flux_err"][0] < 1.3 * limits["counts"][0] ** -0.5
    assert np.all(np.diff(limits["pos_err_68"]) > 0)
    with pytest.raises(ValueError, match="needs a position"):
        source_limits(dataset, Models([FoVBackgroundModel(dataset_name=dataset.name)]))
    extended = models[0].copy(name="wide")
    extended.spatial_model = GaussianSpatialModel(sigma=1 * u.deg)
    with pytest.raises(ValueError, match="must be a point.* leave wide out"):
        source_limits(dataset, extended)
    with pytest.raises(ValueError, match="no models"):
        source_limits(dataset, [])
    assert source_limits(dataset, models[0])["counts"] == limits["counts"][0]


def test_limits_beside_masked_data(dataset):
    """The error of a place beside an edge is an ellipse; its radius is that of a circle of equal area."""
    cut = dataset.copy(name="cut")
    lon = cut.counts.geom.to_image().get_coord().skycoord.galactic.l
    cut.mask_safe.data &= lon < POSITIONS[0].l + 0.05 * u.deg
    spectrum = PowerLawSpectralModel(amplitude="2.6e-8 cm-2 s-1 GeV-1", reference="1 GeV", index=2.3)
    model = SkyModel(spectrum, PointSpatialModel.from_position(POSITIONS[0]), name="source")
    row = source_limits(cut, Models([model]))[0]
    assert row["semi_major"] > 1.2 * row["semi_minor"]
    assert_allclose(row["pos_err_68"], RADIUS_68 * np.sqrt(row["semi_major"] * row["semi_minor"]))
