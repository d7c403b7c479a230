# Licensed under a 3-clause BSD style license - see LICENSE
"""The estimator of classes with a network: data of all kinds, in time and without."""

from dataclasses import asdict

import astropy.units as u
import numpy as np
import pytest
import torch
from astropy.coordinates import SkyCoord
from astropy.time import Time
from gammapy.catalog import SourceCatalog3FHL
from gammapy.data import GTI
from gammapy.datasets import Datasets
from gammapy.maps import Map
from numpy.testing import assert_allclose
from scipy.special import logit

from gammapy_asid import DLSourceClassifier
from gammapy_asid.catalog.columns import CandidateFlag
from gammapy_asid.inputs.conditioning import n_conditions
from gammapy_asid.inputs.datasets import with_models
from gammapy_asid.inputs.time_bins import TimeCounts
from gammapy_asid.learning.io import load_card, save_model
from gammapy_asid.learning.model_files import list_models
from gammapy_asid.simulation.diffuse import analytic_emission
from gammapy_asid.simulation.lat_time_bins import simulate_time_bins
from gammapy_asid.tasks.classification.card import MODES, ClassCalibration, ClassCard
from gammapy_asid.tasks.classification.network import ClassConfig, ClassNetwork, class_numbers
from gammapy_asid.tasks.classification.stamps import CandidateStamps
from gammapy_asid.tasks.classification.time_counts import partly_masked
from gammapy_asid.tasks.measurement.features import instrument_scalars, n_scalars

CENTER = SkyCoord(80, 30, unit="deg", frame="galactic")
POSITIONS = SkyCoord([81.2, 80, 78.9], [30.5, 30, 29.2], unit="deg", frame="galactic")
ADDED = ("counts", "background", "exposure")
NUMBERS = ("prob_agn", "prob_psr", "prob_pwn_snr", "prob_fsrq", "real_prob")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Path of an untrained network, whose outputs are well apart."""
    torch.manual_seed(1)
    detector = load_card("lat")
    bands = detector.to_bands()
    network = ClassNetwork(ClassConfig(len(bands), n_scalars(bands, n_conditions(bands)), (4, 4, 4), 16, 2))
    network.heads.weights[2].data *= 20
    entries = ("bands", "psf_r68", "background", "exposure", "intensity", "pixel_size")
    card = ClassCard(
        **{name: getattr(detector, name) for name in entries[1:]},
        bands=detector.bands.model_dump(),
        name="toy-classes",
        version="1",
        architecture=asdict(network.config),
        recipe={},
        recipe_sha256="",
        metrics={},
        package_version="0",
        detector_sha256=detector.sha256,
        time_bins=(2, 20),
        real_share=0.5,
        calibration=dict.fromkeys(MODES, ClassCalibration()),
    )
    path = tmp_path_factory.mktemp("classes") / "toy-classes.safetensors"
    save_model(path, network.state_dict(), card)
    return path


@pytest.fixture(scope="module")
def classifier(model):
    return DLSourceClassifier(model, prior="equal")


def simulated(catalog, light_curves):
    """Four bins of a field of three sources."""
    field = CENTER, (6.4, 6.4) * u.deg, catalog(POSITIONS, np.array([2e-8, 1e-8, 5e-9])), analytic_emission(0)
    rng = np.random.default_rng(3)
    return simulate_time_bins(*field, n_bins=4, rng=rng, light_curves=light_curves).datasets


@pytest.fixture(scope="module")
def in_time(power_law_catalog):
    """Bins of a steady field."""
    return simulated(power_law_catalog, np.ones((3, 4)))


@pytest.fixture(scope="module")
def whole(in_time):
    return added(in_time, "whole")


def added(datasets, name):
    """Datasets added up: Gammapy's stack loses a point spread function that is given far from the field."""
    parts = {k: sum((getattr(d, k) for d in datasets[1:]), getattr(datasets[0], k)) for k in ADDED}
    gti = datasets[0].gti.copy()
    for dataset in datasets[1:]:
        gti.stack(dataset.gti)
    return with_models(datasets[0], None, name, gti=gti, **parts)


def numbers(classes):
    return np.array([classes.table[name] for name in NUMBERS])


def changed(datasets, **parts):
    """Datasets with other parts, functions of the dataset."""
    return Datasets(
        [with_models(d, None, d.name, **{k: make(d) for k, make in parts.items()}) for d in datasets]
    )


def test_time_counts_only_where_it_is_told(classifier, in_time, whole):
    without = numbers(classifier.run(whole, POSITIONS))
    assert np.isfinite(without).all()
    timeless = classifier.run(changed(in_time, gti=lambda _: None), POSITIONS)
    assert_allclose(numbers(timeless), without, atol=1e-4)
    one = classifier.run(changed(in_time, gti=lambda _: in_time[0].gti), POSITIONS)
    assert one.meta["time_bins"] == 0
    assert_allclose(numbers(one), without, atol=1e-4)
    with_time = classifier.run(in_time, POSITIONS)
    assert with_time.meta["time_bins"] == 4
    assert np.abs(numbers(with_time) - without).max() > 1e-3


def test_order_and_components_of_bins_do_not_matter(classifier, in_time):
    expected = numbers(classifier.run(in_time, POSITIONS))
    assert_allclose(numbers(classifier.run(in_time[::-1], POSITIONS)), expected, atol=1e-5)
    rng, parts = np.random.default_rng(0), []
    for dataset in in_time:
        first = rng.binomial(dataset.counts.data.astype(int), 0.5)
        half = {"exposure": dataset.exposure * 0.5, "background": dataset.background * 0.5}
        for name, counts in (("front", first), ("back", dataset.counts.data - first)):
            counts = dataset.counts.copy(data=counts.astype(float))
            parts.append(with_models(dataset, None, f"{dataset.name}-{name}", counts=counts, **half))
    assert_allclose(numbers(classifier.run(Datasets(parts), POSITIONS)), expected, atol=1e-4)


def test_bins_of_different_lengths(classifier, in_time):
    groups = in_time[:1], in_time[1:]
    uneven = Datasets([added(list(group), f"part-{i}") for i, group in enumerate(groups)])
    assert np.isfinite(numbers(classifier.run(uneven, POSITIONS))).all()
    assert classifier.run(uneven, POSITIONS).meta["time_bins"] == 2


def test_a_bin_that_is_masked_in_part_is_flagged(classifier, in_time):
    geom = in_time[0].counts.geom
    east = geom.get_coord().lon < 80.3 * u.deg
    masked = changed(in_time, mask_safe=lambda d: Map.from_geom(geom, data=east | (d is not in_time[1])))
    classes = classifier.run(masked, POSITIONS)
    assert np.isfinite(numbers(classes)).all()
    # The first lies in the masked part; the images of the others reach there
    assert classes.table["flags"].tolist() == [CandidateFlag.CLASS_OUTSIDE] * 3
    everywhere = changed(in_time, mask_safe=lambda d: Map.from_geom(geom, data=east))
    assert classifier.run(everywhere, POSITIONS).table["flags"].tolist() == [CandidateFlag.OUTSIDE, 0, 0]


def test_partly_masked():
    share = np.full((2, 60, 60), 0.5)
    share[:, :, 40:] = [[0.0]], [[1.0]]
    share[:, 50:] = 0
    time = TimeCounts(counts=[], share=[np.full((2, 15, 15), 0.5), share], exposure_share=None)
    # Half a stamp is 10 finest pixels wide; what no bin has seen is masked in all
    x, y = np.array([10, 28, 30, 45, 10]), np.array([10, 10, 10, 10, 45])
    assert partly_masked(time, (2, 0), x, y).tolist() == [False, False, True, True, False]


@pytest.mark.parametrize("factor", [0.0, 0.7])
def test_no_counts_and_counts_that_are_not_whole(classifier, in_time, whole, factor):
    for data in (in_time, [whole]):
        data = changed(data, counts=lambda d: d.counts * factor, background=lambda d: d.background * factor)
        assert np.isfinite(numbers(classifier.run(data, POSITIONS))).all()


def test_without_a_background(classifier, in_time):
    some = changed(in_time, background=lambda d: None if d is in_time[2] else d.background)
    none = changed(in_time, background=lambda _: None)
    classes = classifier.run(none, POSITIONS)
    assert classes.meta["known_sky"] == "none"
    assert np.isfinite(numbers(classes)).all()
    assert_allclose(numbers(classifier.run(some, POSITIONS)), numbers(classes), atol=1e-5)


def test_unknown_errors_are_those_of_the_fit(classifier, whole):
    """No constant stands in their place: the network would take it for an extended source."""
    stamps, _ = classifier.stamps(whole, POSITIONS)
    given = stamps.scalars.shape[1] - 11
    assert (stamps.scalars[:, given] == 1).all() and stamps.scalars[:, given + 2].isnan().all()
    numbers = class_numbers(stamps)
    assert numbers.isfinite().all()
    # Brighter sources are placed better
    assert (numbers[:, given + 2].diff() > 0).all()
    # Those that the detector tells are taken
    other = CandidateStamps(**vars(stamps) | {"scalars": stamps.scalars.clone()})
    other.scalars[:, given + 2] = 0.3
    assert torch.equal(class_numbers(other)[:, given + 2], other.scalars[:, given + 2])


def test_what_lies_outside_of_the_training(classifier, whole, monkeypatch):
    """The numbers of the fit tell, not those of the instrument, which are compared as a whole."""
    stamps, _ = classifier.stamps(whole, POSITIONS)
    numbers, network = class_numbers(stamps), classifier.trained.network
    # A training with one instrument, slightly another one
    monkeypatch.setattr(network, "low", numbers.amin(0))
    monkeypatch.setattr(network, "high", numbers.amax(0))
    n_bands = network.config.bands
    described = instrument_scalars(n_bands, n_conditions(range(n_bands)))
    assert (numbers[:, described] == numbers[:1, described]).all()
    network.low[described] += 0.01
    assert classifier.run(whole, POSITIONS).table["flags"].tolist() == [0, 0, 0]
    network.high[0] = numbers[:, 0].sort().values[1]
    assert classifier.run(whole, POSITIONS).table["flags"].tolist() == [CandidateFlag.CLASS_OUTSIDE, 0, 0]


def test_data_of_another_instrument_are_refused(classifier, extension_dataset):
    with pytest.raises(ValueError, match="for which model 'toy-classes' was trained"):
        classifier.run(extension_dataset, SkyCoord(0, 0, unit="deg", frame="galactic"))


def test_sources_of_other_kinds_are_told_what_to_give(classifier, whole):
    with pytest.raises(TypeError, match="of a catalogue give its positions"):
        classifier.run(whole, object.__new__(SourceCatalog3FHL))


def test_a_bin_without_a_good_moment(classifier, in_time):
    start = Time("2010-01-01")
    gti = GTI.create([] * u.s, [] * u.s, start)
    with pytest.raises(ValueError, match="no good time intervals"):
        classifier.run(changed(in_time, gti=lambda d: gti if d is in_time[1] else d.gti), POSITIONS)


@pytest.mark.skipif("lat-classes" not in list_models("classification"), reason="no weights of classes ship")
def test_a_flare_speaks_for_an_active_galaxy(in_time, power_law_catalog):
    curves = np.ones((3, 4))
    curves[1] = 0.4, 0.4, 2.8, 0.4
    classifier = DLSourceClassifier(prior="equal")
    steady, flaring = (
        classifier.run(datasets, POSITIONS).table
        for datasets in (in_time, simulated(power_law_catalog, curves))
    )
    change = logit(np.array(flaring["prob_agn"])) - logit(np.array(steady["prob_agn"]))
    assert change[1] > 2
    # Its photons reach its neighbours, too
    assert change[1] > change[[0, 2]].max() + 1
