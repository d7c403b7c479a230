# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of what is refused or flagged because no model was trained for it."""

import logging

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from click.testing import CliRunner
from gammapy.datasets import MapDataset
from gammapy.irf import PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom
from gammapy.modeling.models import (
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
    TemplateNPredModel,
)

from gammapy_asid import DLFluxEstimator, DLSourceDetector
from gammapy_asid.catalog.columns import CandidateFlag
from gammapy_asid.cli import main
from gammapy_asid.estimators.domain import band_cube
from gammapy_asid.inputs.bands import LAT_BANDS
from gammapy_asid.inputs.trusted_sky import prediction_problem, warn_of_wrong_sky
from gammapy_asid.learning.domain import beyond_bands, field_domain
from gammapy_asid.learning.io import load_card

POSITION = SkyCoord(83, 22, unit="deg")


def make_dataset(edges, binsz, npix, sigma, exposure, background, flux=None, seed=0):
    """Flat field; `sigma` and `background` (per pixel, of the bins' edges) are functions of GeV."""
    axis = MapAxis.from_energy_edges(edges * u.GeV)
    true = MapAxis.from_energy_bounds(edges[0] * u.GeV, edges[-1] * u.GeV, 24, name="energy_true")
    geom = WcsGeom.create(skydir=POSITION, npix=npix, binsz=binsz, proj="TAN", axes=[axis])
    dataset = MapDataset(
        counts=Map.from_geom(geom),
        background=Map.from_geom(geom),
        exposure=Map.from_geom(geom.to_image().to_cube([true]), data=exposure, unit="cm2 s"),
        psf=PSFMap.from_gauss(true, sigma=sigma(true.center.to_value("GeV")) * u.deg),
        name="field",
    )
    dataset.background.data += background(np.asarray(edges))[:, None, None]
    if flux is not None:
        law = PowerLawSpectralModel(index=2, amplitude="1e-9 cm-2 s-1 GeV-1", reference="1 GeV")
        law.amplitude.value *= flux / law.integral(1 * u.GeV, 100 * u.GeV).to_value("cm-2 s-1")
        dataset.models = [SkyModel(law, PointSpatialModel.from_position(POSITION))]
    dataset.counts.data = np.random.default_rng(seed).poisson(dataset.npred().data).astype(float)
    dataset.models = None
    return dataset


def lat_like(n_bins=8, level=1.0, flux=None, npix=64):
    """As the LAT sees high latitudes in 1-100 GeV."""
    return make_dataset(
        np.geomspace(1, 100, n_bins + 1),
        0.1,
        (npix, npix),
        lambda e: 0.5 * e**-0.8 + 0.04,
        3e11,
        lambda e: level * 8.2 * (e[:-1] ** -1.4 - e[1:] ** -1.4),
        flux,
    )


def cherenkov_like(edges=(300, 30000), sigma=0.065, exposure=6e12, npix=120):
    """An empty field of a Cherenkov telescope."""
    return make_dataset(
        np.geomspace(*edges, 13),
        0.02,
        (npix, npix),
        lambda e: np.full(len(e), sigma),
        exposure,
        lambda e: 0.12 * (np.sqrt(e[:-1] * e[1:]) / edges[0]) ** -1.7,
    )


@pytest.fixture(scope="module")
def lat_card():
    return load_card("lat")


@pytest.mark.parametrize("estimator", [DLSourceDetector, DLFluxEstimator])
def test_cherenkov_data_are_refused_by_the_model_of_the_lat(estimator):
    sources = () if estimator is DLSourceDetector else (POSITION,)
    with pytest.raises(ValueError, match="model 'lat' was trained.* use the shipped model 'cta-gps'"):
        estimator(model="lat").run(cherenkov_like(), *sources)


def test_model_that_serves_the_energies_is_named(lat_card):
    with pytest.raises(ValueError, match="the model serves 0.3-1000 GeV.* model 'cta-gps' serves these data"):
        band_cube(cherenkov_like(edges=(2e3, 5e4)), lat_card)


def test_empty_cherenkov_field_without_a_claim(caplog):
    with caplog.at_level(logging.WARNING):
        found = DLSourceDetector(model="cta-gps").run(cherenkov_like())
    assert len(found) == 0
    assert np.isnan(found.meta["expected_purity"]) and np.isnan(found.meta["expected_completeness"])
    assert "exposure" in " ".join(found.meta["outside_training"])
    assert sum("no purity is stated" in text for text in caplog.messages) == 1


@pytest.mark.parametrize("model", ["lat", "cta-gps"])
def test_data_of_no_shipped_model(model):
    with pytest.raises(ValueError, match="no shipped model is for such data, train on this dataset"):
        DLSourceDetector(model=model).run(cherenkov_like(edges=(300, 1e4), sigma=0.3, exposure=1e14))


def test_field_like_those_of_the_training(lat_card):
    domain = field_domain(lat_card, band_cube(lat_like(), lat_card))
    assert domain.problems == ()
    assert not domain.is_outside(np.array([3.0]), np.array([60.0])).any()


def test_sky_brighter_than_any_of_the_training():
    detector = DLSourceDetector(model="lat", refine=False)
    found = detector.run(lat_like(level=100))
    assert np.all(found.table["flags"] & CandidateFlag.UNTRAINED)
    assert np.isnan(found.meta["expected_purity"])
    assert "the sky of" in found.meta["outside_training"][0]


def test_only_bright_parts_are_outside(lat_card):
    cube = band_cube(lat_like(npix=128), lat_card)
    for images in (cube.counts, cube.background):
        for image in images:
            image[:, image.shape[1] // 2 :] *= 100
    domain = field_domain(lat_card, cube)
    assert domain.is_outside(np.array([10.0, 120.0]), np.array([10.0, 10.0])).tolist() == [False, True]


@pytest.mark.parametrize(("n_bins", "coarse"), [(1, True), (2, True), (3, True), (8, False)])
def test_few_energy_bins(n_bins, coarse):
    row = DLFluxEstimator().run(lat_like(n_bins, flux=2e-9), POSITION).table[0]
    assert bool(row["flags"] & CandidateFlag.COARSE_BINS) is coarse
    if not coarse:
        assert abs(row["flux"].value - 2e-9) < 3 * row["flux_err"].value


def test_bins_that_the_bands_hold(lat_card):
    # Bins of 3FHL and 2FHL, and those of the Galactic centre
    for edges in ((10, 20, 50, 150, 500, 2000), (50, 171, 585, 2000), np.geomspace(10, 500, 12)):
        dataset = make_dataset(
            np.array(edges), 0.1, (32, 32), lambda e: 0.1 + 0 * e, 3e11, lambda e: 0.01 + 0 * e[1:]
        )
        response = band_cube(dataset, lat_card).response
        assert response.bands == LAT_BANDS
        assert beyond_bands(response) < 0.05


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (0.02, "the prediction is 2% of the counts"),
        (30, "the prediction is 30 times the counts"),
        (0.6, None),
    ],
)
def test_prediction_of_the_known_sky(factor, text):
    rng = np.random.default_rng(0)
    shape = [(64, 64), (32, 32)]
    level = [0.5, 20]
    counts = [rng.poisson(mu, size).astype(float) for mu, size in zip(level, shape, strict=True)]
    problem = prediction_problem(
        counts, [np.full(size, factor * mu) for mu, size in zip(level, shape, strict=True)]
    )
    assert problem is None if text is None else text[:18] in problem


def test_sources_do_not_make_a_prediction_wrong():
    rng = np.random.default_rng(0)
    y, x = np.indices((20, 20)) - 9.5
    # A pulsar 20 times as bright as all else, under a point spread function of a quarter of the field
    source = 8000 * np.exp(-(x**2 + y**2) / 2 / 3**2) / (2 * np.pi * 9)
    background = np.ones((20, 20))
    counts = rng.poisson(background + source).astype(float)
    assert prediction_problem([counts], [background]) is None
    # Nor do few counts
    assert prediction_problem([np.zeros((9, 9))], [np.full((9, 9), 0.1)]) is None
    assert prediction_problem([np.zeros((20, 20))], [np.full((20, 20), 1.0)]) is not None


def test_known_sky_that_is_none_is_left_out(caplog):
    dataset = lat_like(flux=2e-9)
    detector = DLSourceDetector(refine=False)
    wrong, without = dataset.copy(name="field"), dataset.copy(name="field")
    wrong.background.data *= 0.02
    without.background = None
    with caplog.at_level(logging.WARNING):
        found = detector.run(wrong)
    assert sum("are not the known sky" in text for text in caplog.messages) == 1
    assert found.meta["background"] is False
    assert found.meta["known_sky"].startswith("counts only: the prediction is ")
    expected = detector.run(without)
    assert expected.meta["known_sky"] == "none"
    assert np.all(found.table["score"] == expected.table["score"])
    assert detector.run(dataset).meta["known_sky"] == "given"
    fluxes = DLFluxEstimator().run(wrong, POSITION)
    assert fluxes.meta["known_sky"].startswith("counts only")


def test_cards_describe_sky_and_keep_their_hash(lat_card):
    assert len(lat_card.background) == len(lat_card.intensity) == 6
    # Brighter where the energy is lower
    assert np.all(np.diff([high for _, high in lat_card.intensity]) < 0)
    older = lat_card.model_copy(update={"background": (), "intensity": ()})
    assert older.sha256 == "139d66ab9bfeed1298beb28ee53c5f9b8d17e15b65a40c70a3fbc7fcebae2d89"


def test_fits_are_told_of_a_wrong_sky(caplog):
    dataset = lat_like()
    with caplog.at_level(logging.WARNING):
        warn_of_wrong_sky(dataset)
        assert not caplog.messages
        dataset.background.data *= 0.02
        warn_of_wrong_sky(dataset)
    assert sum("% of the counts: fits make sources of the rest" in text for text in caplog.messages) == 1
    # A model may hold what the background lacks
    caplog.clear()
    rest = TemplateNPredModel(dataset.background * 49, datasets_names=[dataset.name])
    dataset.models = [rest]
    warn_of_wrong_sky(dataset)
    assert not caplog.messages


def test_commands_name_the_model_that_suits(tmp_path):
    cherenkov_like(npix=90).write(tmp_path / "field.fits.gz")
    result = CliRunner().invoke(
        main, ["detect", str(tmp_path / "field.fits.gz"), "-o", str(tmp_path / "out")]
    )
    assert result.exit_code == 2
    assert "use the shipped model 'cta-gps'" in " ".join(result.output.split())


def test_band_cubes_keep_what_is_known_of_their_sky(lat_card):
    dataset = lat_like()
    dataset.background.data *= 0.02
    cube = band_cube(dataset, lat_card)
    assert not cube.has_background
    assert band_cube(cube, lat_card).meta["known_sky"] == cube.meta["known_sky"]
    far = band_cube(cherenkov_like(npix=90), lat_card)
    with pytest.raises(ValueError, match="other models are for such data"):
        DLSourceDetector(refine=False).run(far)
