# Licensed under a 3-clause BSD style license - see LICENSE
"""Fluxes of sources in images as a learned task."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from gammapy_asid.learning.ensembles import Ensemble, EnsembleConfig
from gammapy_asid.learning.model_files import list_models
from gammapy_asid.learning.recipe import read_recipe
from gammapy_asid.optical.batch import HALF, OVERSAMPLING, ImageBatch
from gammapy_asid.optical.flux.bank import image_weights
from gammapy_asid.optical.flux.card import LEVELS, VARIABLES, OpticalFluxCard, fit_intervals
from gammapy_asid.optical.flux.detected_sources import detected_sources
from gammapy_asid.optical.flux.features import N_FEATURES, flux_features, flux_fit
from gammapy_asid.optical.flux.found_sources import found_sources
from gammapy_asid.optical.flux.model import OpticalFluxModel
from gammapy_asid.optical.flux.recipe import OpticalFluxRecipe
from gammapy_asid.optical.flux.simulated_fields import prepared_image
from gammapy_asid.optical.flux.simulator import FluxSimulator
from gammapy_asid.optical.flux.surroundings import surroundings
from gammapy_asid.optical.flux.task import OpticalFluxTask
from gammapy_asid.optical.simulator import OpticalSimulator

SHIPPED = "optical-flux" in list_models("optical-flux")


@pytest.fixture(scope="module")
def simulator():
    return FluxSimulator(OpticalSimulator(size=64, fwhm=(2.0, 4.0), cameras=4, seed=1))


@pytest.fixture(scope="module")
def examples(simulator):
    return simulator.draw(8, 3)


def stars(flux, x, y, size=48, sigma=1.4, seed=0):
    """Image of Gaussian stars in the noise of the sky."""
    axis = torch.arange(2 * HALF * OVERSAMPLING + 1) / OVERSAMPLING - HALF
    edges = [torch.special.ndtr((axis + step) / sigma) for step in (0.5, -0.5)]
    profile = edges[0] - edges[1]
    pixel = torch.arange(size)[None]
    along = [
        torch.special.ndtr((pixel - v[:, None] + 0.5) / sigma)
        - torch.special.ndtr((pixel - v[:, None] - 0.5) / sigma)
        for v in (torch.as_tensor(y).float(), torch.as_tensor(x).float())
    ]
    light = torch.einsum("k,ky,kx->yx", torch.as_tensor(flux).float(), *along)
    noise = torch.randn(size, size, generator=torch.Generator().manual_seed(seed))
    everywhere = torch.ones(1, size, size)
    return ImageBatch(
        signal=(light + noise)[None],
        variance=everywhere,
        valid=everywhere.bool(),
        saturated=~everywhere.bool(),
        psf=(profile[:, None] * profile)[None],
    )


def untrained():
    network = Ensemble(EnsembleConfig(N_FEATURES, 1, 2, 8)).eval()
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    rows = ((0.0, -1.0, 0.0, 1.0),)
    nothing = ((0.0, 0.0, 0.0, 0.0),)
    card = OpticalFluxTask().new_card(
        network,
        OpticalFluxRecipe(name="none"),
        FluxSimulator(OpticalSimulator(size=64, cameras=1)).bands,
        fwhm=(1, 6),
        significance=(0.1, 100.0),
        metrics={},
        calibration=dict.fromkeys(VARIABLES, nothing) | {"error": rows},
    )
    return OpticalFluxModel(card, network, "cpu")


def test_examples_are_equal_for_equal_seeds_and_finite(simulator, examples):
    again = simulator.draw(8, 3)
    assert torch.equal(examples.features.inputs, again.features.inputs)
    assert examples.features.inputs.shape == (len(examples), N_FEATURES)
    assert examples.features.inputs.isfinite().all() and (examples.flux > 0).all()
    # Compressed numbers need no other scale
    assert examples.features.inputs.abs().quantile(0.98) < 6
    # The fit is near the truth where a bright star stands alone
    star = ~examples.galaxy & (examples.features.significance > 30) & (examples.features.crowding < 1.2)
    ratio = examples.features.flux[star] / examples.flux[star]
    assert len(ratio) > 5 and abs(float(ratio.median()) - 1) < 0.05


def test_target_is_the_deviation_from_the_fit(examples):
    features = examples.features
    good = features.significance > -3
    target = features.target(features.flux.clamp(min=-1e9))
    assert target[good].abs().max() < 1e-2
    faint = (features.significance.abs() < 1) & (features.flux > 0)
    moved = features.target(features.flux + features.error)[faint]
    assert torch.allclose(moved, torch.ones_like(moved), atol=0.2)


def test_features_do_not_depend_on_the_order_of_sources():
    x, y = np.array([12.2, 15.1, 30.4]), np.array([20.3, 21.0, 30.2])
    batch = stars([200, 90, 500], x, y)
    order = [2, 0, 1]

    def inputs(rows):
        fit = flux_fit(batch, x[rows], y[rows])
        return flux_features(batch, fit, *(torch.from_numpy(v[rows]).float() for v in (x, y))).inputs

    assert torch.allclose(inputs(order), inputs([0, 1, 2])[order], atol=1e-2)


def test_what_a_detector_finds():
    simulated = OpticalSimulator(size=128, cameras=4, kinds=(1, 0, 0), artefacts=False).draw(12, 4)
    found = found_sources(simulated, np.random.default_rng(0))
    true = found.source >= 0
    assert 0 < (~true).sum() < 0.15 * true.sum()
    snr = simulated.snr.numpy()
    inside = ((simulated.x > 0) & (simulated.x < 127) & (simulated.y > 0) & (simulated.y < 127)).numpy()
    bright = inside & (snr > 12) & (simulated.share.numpy() > 0.9)
    seen = np.isin(np.flatnonzero(bright), found.source[true])
    assert seen.mean() > 0.8
    assert np.median(snr[found.source[true]]) > 3
    off = np.hypot(
        *(getattr(found, v)[true] - getattr(simulated, v).numpy()[found.source[true]] for v in "xy")
    )
    assert np.median(off) < 0.5
    assert len(np.unique(found.source[true])) == true.sum()


class Oracle:
    """Detector that lists every other source above significance 6, and a place where there is none."""

    def __init__(self, simulated):
        self.simulated, self.calls = simulated, 0

    def detect(self, prepared):
        own = (self.simulated.patch == self.calls) & (self.simulated.snr > 6)
        self.calls += 1
        x, y = (getattr(self.simulated, name)[own].numpy()[::2] for name in ("x", "y"))
        score = np.append(np.full(len(x), 0.9), [0.99, 0.1])
        return SimpleNamespace(x=np.append(x + 0.2, [-30.0, 5]), y=np.append(y, [-30.0, 5]), score=score)


@pytest.fixture(scope="module")
def fields():
    images = OpticalSimulator(
        96, (2, 4), 4, (0.001, 0.002), kinds=(1, 0, 0), artefacts=False, wrong_sky=False, seed=3
    )
    return images, images.draw(4, 2)


def test_simulated_images_are_prepared_as_those_of_users(fields):
    _, simulated = fields
    valid = np.ones(simulated.batch.shape, bool)
    valid[:20] = False
    number, simulated.electrons[1] = 1, 50
    given, known = set(), set()
    for seed in range(6):
        prepared = prepared_image(simulated, number, valid, np.random.default_rng(seed))
        given.add(prepared.psf.origin == "given")
        known |= {name for name in ("gain", "error") if getattr(prepared.image, name) is not None}
        cut = prepared.cut(slice(0, 96), slice(0, 96))
        assert (cut.valid == valid).all() and prepared.binning == 1
        # Level and noise are measured: that of the sky is one, and its slope is gone
        assert np.median(cut.sky_noise) == pytest.approx(1, abs=0.15)
        assert np.median(cut.signal[20:]) == pytest.approx(0, abs=0.3)
        assert prepared.psf.fwhm == pytest.approx(float(simulated.batch.fwhm[number]), rel=0.06)
    assert given == {True, False} and known == {"gain", "error"}
    assert prepared_image(simulated, number, ~valid & False, np.random.default_rng(0)) is None


def test_sources_of_a_detector_are_matched_with_the_truth(fields):
    _, simulated = fields
    valid, rng = np.ones(simulated.batch.shape, bool), np.random.default_rng(0)
    own = np.flatnonzero(simulated.patch.numpy() == 0)
    truth = tuple(getattr(simulated, name).numpy()[own] for name in ("x", "y", "snr"))
    x, y, source = detected_sources(Oracle(simulated), prepared_image(simulated, 0, valid, rng), truth, rng)
    # The place with a score below all thresholds is left out
    assert source[-1] == -1 and x[-1] == -30 and (source[:-1] >= 0).all() and len(x) > 5
    assert len(np.unique(source[:-1])) == len(x) - 1
    # A faint neighbour may be nearer than the source itself
    assert np.mean(np.abs(truth[0][source[:-1]] + 0.2 - x[:-1]) < 1e-4) > 0.8


def test_examples_of_a_detector(fields):
    images, _ = fields
    drawn = FluxSimulator(images, Oracle(images.draw(8, 2)), detected=1.0).draw(8, 2)
    assert len(drawn) > 15 and set(drawn.image.tolist()) <= set(range(8))
    # Fluxes are those on the scale of the fit, without the light beyond the square
    bright = ~drawn.galaxy & (drawn.features.significance > 30)
    ratio = drawn.features.flux[bright] / drawn.flux[bright]
    assert float(ratio.median()) == pytest.approx(1, abs=0.03)


def test_surroundings_tell_of_a_wrong_point_spread_function():
    x, y = (v.ravel() for v in np.meshgrid(np.arange(12.0, 90, 16), np.arange(12.0, 90, 16)))
    batch = stars(np.full(len(x), 3e3), x, y, size=96)
    wrong = ImageBatch(**vars(batch) | {"psf": stars([1.0], [0.0], [0.0], sigma=1.6).psf})
    nothing = torch.zeros(len(x), 5)
    results = []
    for images in (batch, wrong):
        fit = flux_fit(images, x, y)
        middle = fit.residual[0, fit.y.round().long(), fit.x.round().long()] / fit.flux
        beyond = torch.column_stack([middle, nothing])
        numbers, density = surroundings(images, fit, beyond, nothing[:, :4])
        assert density[0] == pytest.approx(len(x) / 96**2 * float(images.fwhm) ** 2)
        assert (numbers == numbers[0]).all() and numbers.isfinite().all()
        results.append(numbers[0])
    right, broad = results
    # Of stars narrower than thought the middle is left
    assert broad[0] > 0.005 > 5 * abs(right[0])


def test_images_count_as_the_roots_of_their_numbers(examples):
    weights = image_weights(examples)
    for number in torch.unique(examples.image):
        own = (examples.image == number).numpy()
        assert weights[own].sum() == pytest.approx(np.sqrt(own.sum()))


def test_calibration_covers():
    rng = np.random.default_rng(1)
    error, significance, *others = np.exp(rng.normal(size=(len(VARIABLES), 20000)))
    variables = error, significance, *others
    pull = rng.normal(size=20000) * np.where(significance > 1, 2, 1) + 0.3
    calibration = fit_intervals(pull, variables)
    card = untrained().card.model_copy(update={"calibration": calibration})
    low, middle, high = card.quantiles(variables).T
    for own in (significance > 3, significance < 0.3):
        assert np.mean((pull > low)[own] & (pull < high)[own]) == pytest.approx(0.683, abs=0.05)
    assert np.median(middle) == pytest.approx(0.3, abs=0.1)
    assert (low < middle).all() and (middle < high).all()


def test_untrained_fluxes_are_those_of_the_fit_with_errors_around():
    model = untrained()
    batch = stars([400, 90], [20.2, 33.4], [20.4, 12.1])
    batch.valid[0, 40:, 40:] = False
    fluxes = model.predict(batch, [20.2, 33.4, 47.0], [20.4, 12.1, 47.0])
    assert fluxes.flux[:2] == pytest.approx([400, 90], abs=25)
    assert fluxes.flux[:2] == pytest.approx(fluxes.flux_psf[:2], rel=1e-3)
    # One unit on either side: the error of the fit and the systematic one
    expected = np.hypot(fluxes.flux_bound[0], 0.03 * fluxes.flux[0])
    assert fluxes.flux_errp[0] == pytest.approx(expected, rel=0.1)
    assert fluxes.flux_errp[0] > fluxes.flux_errn[0] > 0
    # No pixel tells of the last
    assert np.isnan([fluxes.flux[2], fluxes.flux_errn[2], fluxes.flux_bound[2]]).all()
    assert not fluxes.saturated.any()


def test_no_sources_and_nonsense():
    model, threads = untrained(), torch.get_num_threads()
    batch = stars([100], [20.0], [20.0])
    assert len(model.predict(batch, [], []).flux) == 0
    with pytest.raises(ValueError, match="finite"):
        model.predict(batch, [np.inf], [1.0])
    assert torch.get_num_threads() == threads


def test_card_needs_all_parts():
    entries = untrained().card.model_dump()
    for wrong in ({"error": ((0.0, 1.0, 1.0, 1.0),)}, {n: ((0.0, 1.0),) for n in entries["calibration"]}):
        with pytest.raises(ValidationError, match="calibration needs"):
            OpticalFluxCard(**entries | {"calibration": wrong})
    assert len(LEVELS) == 3


def test_loss_of_the_error_does_not_move_the_mean():
    task = OpticalFluxTask()
    network = Ensemble(EnsembleConfig(N_FEATURES, 1, 2, 8))
    target = torch.full((2, 6, 1), 3.0)
    parts = task.loss(network(torch.randn(2, 6, N_FEATURES)), target, None)
    parts["error"].backward()
    assert all(p.grad is None for p in network.mean.parameters())
    assert all(p.grad is not None for p in network.spread.parameters())
    assert parts["loss"] == parts["mean"] + parts["error"]


def test_recipe_ships():
    recipe = read_recipe("optical-flux")
    assert recipe.task == "optical-flux" and recipe.members > 1


@pytest.mark.skipif(not SHIPPED, reason="no weights of fluxes ship")
def test_shipped_model_covers_and_gives_whole_galaxies(simulator):
    model = OpticalFluxModel.load("optical-flux", "cpu")
    drawn = simulator.draw(24, 77)
    low, flux, high = model.intervals(drawn.features)
    true = drawn.flux.numpy()
    inside = (low <= true) & (true <= high)
    assert len(true) > 500 and inside.mean() == pytest.approx(0.683, abs=0.06)
    galaxy = drawn.galaxy.numpy() & (drawn.features.significance > 15).numpy()
    fit = drawn.features.flux.numpy()
    assert np.median(fit[galaxy] / true[galaxy]) < 0.85
    assert np.median(flux[galaxy] / true[galaxy]) == pytest.approx(1, abs=0.12)
