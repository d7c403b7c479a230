# Licensed under a 3-clause BSD style license - see LICENSE
"""The estimator of classes, with a model that stands for a network."""

from dataclasses import replace
from functools import partial

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.time import Time
from gammapy.data import GTI
from gammapy.datasets import Datasets
from gammapy.estimators import ESTIMATOR_REGISTRY
from gammapy.modeling.models import PointSpatialModel, PowerLawSpectralModel, SkyModel
from numpy.testing import assert_allclose

from gammapy_asid import Candidates, DLFluxEstimator, DLSourceClassifier, DLSourceDetector, SourceClasses
from gammapy_asid.catalog.columns import CLASS_COLUMNS, CandidateFlag
from gammapy_asid.estimators.find import find_with_fluxes
from gammapy_asid.inputs.bands import Bands
from gammapy_asid.inputs.datasets import with_models
from gammapy_asid.learning.io import load_card
from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.simulation.lat_dataset import simulate_dataset
from gammapy_asid.tasks.classification.model import ClassificationModel

CENTER = SkyCoord(80, 30, unit="deg", frame="galactic")
#: In the east, in the middle, in the west near the upper edge of the field; and outside of it.
POSITIONS = SkyCoord([82.4, 80, 77.6, 100], [30, 30, 32, 30], unit="deg", frame="galactic")
EQUAL = {"AGN": 1, "PSR": 1, "PWN-SNR": 1}


@pytest.fixture(scope="module")
def dataset(power_law_catalog):
    catalog = power_law_catalog(POSITIONS[:3], np.array([2e-8, 1e-8, 5e-9]))
    rng = np.random.default_rng(3)
    return simulate_dataset(CENTER, (8, 8) * u.deg, catalog, analytic_emission(0), rng=rng)


@pytest.fixture(scope="module")
def in_years(dataset):
    """The same data in two bins of time."""
    rng, start = np.random.default_rng(1), Time("2010-01-01")
    first = rng.binomial(dataset.counts.data.astype(int), 0.3)
    return Datasets(
        [
            with_models(
                dataset,
                None,
                f"year-{i}",
                counts=dataset.counts.copy(data=counts.astype(float)),
                exposure=dataset.exposure * share,
                background=dataset.background * share,
                gti=GTI.create(i * u.yr, (i + 1) * u.yr, start),
            )
            for i, (counts, share) in enumerate(((first, 0.3), (dataset.counts.data - first, 0.7)))
        ]
    )


@pytest.fixture
def classifier(fake_classes):
    return DLSourceClassifier()


def test_given_positions(classifier, dataset):
    classes = classifier.run(dataset, POSITIONS)
    table = classes.table
    assert isinstance(classes, SourceClasses) and len(classes) == 4
    assert table["source_class"].tolist() == ["AGN", "PSR", "PWN-SNR", ""]
    # At 30 deg 4FGL has 96 % AGN, and the model says exp(8) against it
    total = table["prob_agn"] + table["prob_psr"] + table["prob_pwn_snr"]
    assert_allclose(total[:3], 1)
    expected = np.exp(8) * 0.0368 / (np.exp(8) * 0.0368 + 0.9608 + 0.0023)
    assert table["prob_psr"][1] == pytest.approx(expected, rel=1e-3)
    assert_allclose(table["prob_fsrq"][:3], 1 / (1 + np.exp(-1) * 0.645 / 0.355))
    assert_allclose(table["real_prob"][:3], 0.5)
    for column in CLASS_COLUMNS[1:]:
        assert np.isnan(table[column.name][3])
    assert table["flags"].tolist() == [0, 0, CandidateFlag.CLASS_OUTSIDE, CandidateFlag.OUTSIDE]
    asked = classifier.trained.asked[0]
    assert asked["score"] is None and asked["time"] is None and len(asked["x"]) == 3
    # Probabilities of given positions have a calibration of their own
    assert asked["given"]
    assert classes.meta["prior"] == "4FGL-DR4" and classes.meta["time_bins"] == 0
    assert "SourceClasses: 4 sources" in str(classes)


def test_priors(fake_classes, dataset):
    table = DLSourceClassifier(prior="equal").run(dataset, POSITIONS).table
    assert_allclose(table["prob_agn"][0], np.exp(8) / (np.exp(8) + 2))
    table = DLSourceClassifier(prior=EQUAL | {"real": 0.9}).run(dataset, POSITIONS).table
    assert_allclose(table["real_prob"][:3], 0.9)
    with pytest.raises(ValueError, match="has no share of PSR, PWN-SNR"):
        DLSourceClassifier(prior={"AGN": 1})


def test_candidates_with_their_detection(classifier, dataset, tmp_path):
    axes = np.array([[0.03, 0.03]] * 4) * u.deg
    found = Candidates.from_positions(POSITIONS, [0.9, 0.8, 0.7, 0.6], axes, 1.6 * axes)
    classes = classifier.run(dataset, found)
    asked = classifier.trained.asked[0]
    assert_allclose(asked["score"], [0.9, 0.8, 0.7])
    assert not asked["given"]
    # The errors of the list are those of refined positions, which the network does not know
    assert asked["sigma"] is None
    assert_allclose(classes.table["real_prob"][:3], [0.9, 0.8, 0.7])
    classified = found.with_classes(classes)
    assert classified.table["source_class"].tolist() == ["AGN", "PSR", "PWN-SNR", ""]
    assert classified.meta["classes"]["model"] == "lat-classes"
    assert classified.table["flags"].tolist() == classes.table["flags"].tolist()
    classified.write(tmp_path / "candidates.fits")
    again = Candidates.read(tmp_path / "candidates.fits")
    assert again.meta == classified.meta
    for column in CLASS_COLUMNS:
        assert np.array_equal(
            again.table[column.name], classified.table[column.name], equal_nan=column.dtype == "f8"
        )
    with pytest.raises(ValueError, match="not those of these candidates: classify them again"):
        found[:2].with_classes(classes)


def test_lists_of_others_are_given_positions(classifier, dataset):
    listed = Candidates.from_table(
        Table({"ra": POSITIONS.icrs.ra, "dec": POSITIONS.icrs.dec, "score": [30, 20, 9, 5.0]})
    )
    classifier.run(dataset, listed)
    assert classifier.trained.asked[0]["score"] is None


def test_one_source_and_none(classifier, dataset):
    assert classifier.run(dataset, POSITIONS[1]).table["source_class"].tolist() == ["PSR"]
    nothing = classifier.run(dataset, POSITIONS[:0])
    assert len(nothing) == 0
    assert {column.name for column in CLASS_COLUMNS} <= set(nothing.table.colnames)
    empty = Candidates.from_positions(POSITIONS[:0], [], np.empty((0, 2)) * u.deg, np.empty((0, 2)) * u.deg)
    assert len(empty.with_classes(classifier.run(dataset, empty))) == 0
    outside = classifier.run(dataset, POSITIONS[3:])
    assert outside.table["source_class"].tolist() == [""]


def test_models_are_no_known_sky(classifier, dataset):
    law = PowerLawSpectralModel(index=2.2, amplitude="1e-9 cm-2 s-1 GeV-1", reference="1 GeV")
    place = PointSpatialModel.from_position(POSITIONS[1])
    known = with_models(dataset, [SkyModel(law, place, name="known")])
    table = classifier.run(known, known.models).table
    classifier.run(known, POSITIONS[1])
    own, other = (sum(b.sum() for b in asked["cube"].background) for asked in classifier.trained.asked)
    assert table["name"].tolist() == ["known"]
    assert other > own + 10


def test_time_bins_are_used(classifier, in_years, dataset):
    classes = classifier.run(in_years, POSITIONS)
    asked = classifier.trained.asked[0]
    assert classes.meta["time_bins"] == 2
    assert [counts.shape[0] for counts in asked["time"].counts] == [2] * len(asked["cube"].bands)
    for counts, whole in zip(asked["time"].counts, asked["cube"].counts, strict=True):
        assert_allclose(counts.sum(axis=0), whole, atol=1e-3)
    overlapping = Datasets(
        [
            in_years[0],
            with_models(in_years[1], None, gti=GTI.create(0.5 * u.yr, 1.5 * u.yr, Time("2010-01-01"))),
        ]
    )
    with pytest.raises(ValueError, match="overlap"):
        classifier.run(overlapping, POSITIONS)


def test_detector_with_classes(fake_classes, in_years, dataset):
    plain = DLSourceDetector(model="lat").run(dataset)
    detector = DLSourceDetector(model="lat", classify=True)
    candidates = detector.run(dataset)
    assert len(plain) >= 3
    assert candidates.table["score"].tolist() == plain.table["score"].tolist()
    nearest, distance, _ = POSITIONS[:3].match_to_catalog_sky(candidates.positions)
    assert np.all(distance.deg < 0.1)
    assert candidates.table["source_class"][nearest].tolist() == ["AGN", "PSR", "PWN-SNR"]
    assert_allclose(candidates.table["real_prob"], candidates.table["score"])
    with_time = detector.run(in_years)
    assert with_time.meta["classes"]["time_bins"] == 2
    assert detector.config_parameters["classify"] == "lat-classes"
    assert detector.config_parameters["classifier"]["prior"] == "4FGL-DR4"
    # The same path as the command line and the survey
    together = find_with_fluxes(detector, DLFluxEstimator("lat"), in_years)
    assert together.meta["classes"]["time_bins"] == 2
    assert np.isfinite(together.table["flux"]).all()


def test_classifier_of_other_energies_is_refused_before_any_work(fake_classes, dataset, monkeypatch):
    detector = DLSourceDetector(classify=True)
    bands = Bands((2e3, 5e3, 2e4), (1, 0))
    monkeypatch.setattr(detector.classifier.trained, "bands", bands)
    monkeypatch.setattr(detector.classifier.card, "to_bands", lambda: bands)
    monkeypatch.setattr(detector.trained, "output", lambda cube: pytest.fail("work was done"))
    with pytest.raises(ValueError, match="energ"):
        detector.run(dataset)


def test_choices_of_classify(fake_classes, dataset):
    assert DLSourceDetector().classifier is None
    assert DLSourceDetector(classify="other").classifier.model == "other"
    own = DLSourceClassifier(prior="equal")
    assert DLSourceDetector(classify=own).classifier is own
    with pytest.raises(TypeError, match="classify is False, True, the name or path of a model"):
        DLSourceDetector(classify=1.5)
    nothing = DLSourceDetector(threshold=0.999999, classify=True).run(dataset)
    assert {column.name for column in CLASS_COLUMNS} <= set(nothing.table.colnames)


def test_shipped_model(power_law_catalog):
    """It knows its detector, and says nearly the same of a source however it is given."""
    catalog = power_law_catalog(POSITIONS[:3], np.array([5e-9, 5e-9, 1e-9]), index=2.0)
    # The second has a cutoff at 1 GeV with 2/3 in the exponent, as pulsars in 4FGL
    lambda_, alpha = np.array([0.0, 1.0, 0.0]), np.array([1.0, 2 / 3, 1.0])
    amplitude = catalog.amplitude * [1, 5, 1]
    index = np.array([2.0, 1.2, 2.0])
    catalog = replace(catalog, index=index, lambda_=lambda_, alpha=alpha, amplitude=amplitude)
    rng = np.random.default_rng(7)
    field = simulate_dataset(CENTER, (8, 8) * u.deg, catalog, analytic_emission(0), rng=rng)
    classifier = DLSourceClassifier()
    assert classifier.detector.card.sha256 == load_card("lat").sha256
    found = DLSourceDetector(classify=classifier).run(field)
    again = classifier.run(field, found).table
    given = classifier.run(field, found.positions).table
    for name in ("real_prob", "prob_agn", "prob_psr"):
        assert_allclose(again[name], found.table[name], atol=1e-3)
        assert_allclose(given[name], found.table[name], atol=0.25)
    nearest, distance, _ = POSITIONS[:3].match_to_catalog_sky(found.positions)
    assert np.all(distance.deg < 0.1) and np.all(found.table["real_prob"][nearest] > 0.9)
    for table in (found.table, given):
        psr = table["prob_psr"][nearest]
        assert psr[1] > 0.4 > 5 * max(psr[0], psr[2])
    empty = classifier.run(field, CENTER.directional_offset_by(0 * u.deg, 2.5 * u.deg))
    assert empty.table["real_prob"][0] < 0.5


def test_as_other_estimators(classifier):
    assert ESTIMATOR_REGISTRY.get_cls("DLSourceClassifier") is DLSourceClassifier
    assert "4FGL-DR4" in str(classifier) and "lat-classes" in str(classifier)
    with pytest.raises(TypeError, match="Sources are SkyCoord, Candidates or Models"):
        classifier.run(None, [1, 2])


def test_what_the_network_sees(classifier, in_years):
    model = classifier.trained
    model.stamps = partial(ClassificationModel.stamps, model)
    stamps, valid = classifier.stamps(in_years, POSITIONS)
    assert valid.tolist() == [True, True, True, False] and len(stamps) == 3
    assert stamps.counts.shape[1] == 2
    # Each source is in the middle of its stamp: nine of 81 pixels hold three times what they would by chance
    image = stamps.counts[:, :, 3].sum(dim=1)
    assert (image[:, 3:6, 3:6].sum(dim=(1, 2)) > 3 * 9 / 81 * image.sum(dim=(1, 2))).all()
    with pytest.raises(ValueError, match="No source is on valid data"):
        classifier.stamps(in_years, POSITIONS[3:])
