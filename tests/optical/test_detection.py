# Licensed under a 3-clause BSD style license - see LICENSE
import numpy as np
import pytest
import torch
from astropy.modeling.models import Gaussian2D

from gammapy_asid.learning.peaks import Peaks
from gammapy_asid.learning.run import prepare_simulator, release, train
from gammapy_asid.learning.targets import detection_loss
from gammapy_asid.optical.batch import ImageBatch
from gammapy_asid.optical.channels import N_CHANNELS, N_CONDITIONS, RANGE, channels, conditions
from gammapy_asid.optical.detection.candidates import claimed_sources, simulated_candidates, visible_sources
from gammapy_asid.optical.detection.loss import optical_loss, optical_targets
from gammapy_asid.optical.detection.model import OpticalDetectionModel
from gammapy_asid.optical.detection.recipe import OpticalRecipe
from gammapy_asid.optical.detection.task import OpticalTask
from gammapy_asid.optical.images import prepare_image, read_image
from gammapy_asid.optical.psf import psf_from_model
from gammapy_asid.optical.simulator import OpticalSimulator
from gammapy_asid.simulation.patch_images import turned

RECIPE = OpticalRecipe(
    name="tiny",
    cameras=6,
    patch_size=64,
    widths=(6, 8, 8, 8),
    validation_patches=4,
    calibration_patches=16,
    optimiser={"batch_size": 4, "batches_per_epoch": 2, "epochs": 1, "precision": "32-true", "ema_decay": 0},
)


@pytest.fixture(scope="module")
def drawn():
    return OpticalSimulator(size=64, cameras=6, seed=1).draw(4, (1, 2))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("optical")
    simulator, recipe = prepare_simulator(RECIPE)
    network = train(recipe, folder, simulator, progress=False)
    # Two steps teach no threshold: the centre map starts where peaks are seen
    network.head.bias.data[:2] = 1.5
    release(network, recipe, simulator, folder / "tiny.safetensors")
    return OpticalDetectionModel.load(folder / "tiny.safetensors")


def test_channels_show_a_star_at_its_significance():
    psf = psf_from_model(_gaussian(1.5)).at(0, 0)
    psf = torch.as_tensor(np.asarray(psf), dtype=torch.float32)[None]
    batch = ImageBatch(
        signal=torch.zeros(1, 64, 64),
        variance=torch.ones(1, 64, 64),
        valid=torch.ones(1, 64, 64, dtype=torch.bool),
        saturated=torch.zeros(1, 64, 64, dtype=torch.bool),
        psf=psf,
    )
    kernel = batch.kernels[0]
    batch.signal[0, 30 - 12 : 30 + 13, 20 - 12 : 20 + 13] = 100 * kernel
    seen = channels(batch)
    assert seen.shape == (1, N_CHANNELS, 64, 64)
    significance = torch.sinh(seen[0, 2] * RANGE)
    assert significance.argmax() == 30 * 64 + 20
    # The flux over its error: 100 times the root of the sum of the squared profile
    assert float(significance.max()) == pytest.approx(100 * float((kernel**2).sum()) ** 0.5, rel=1e-3)
    assert conditions(batch).shape == (1, N_CONDITIONS)
    # Sharpened images are narrower than the star
    sharp = torch.sinh(seen[0, 4] * RANGE)
    assert (sharp > sharp.max() / 2).sum() < (batch.signal[0] > batch.signal.max() / 2).sum()


def _gaussian(sigma):
    return Gaussian2D(1, 0, 0, sigma, sigma)


@pytest.mark.parametrize("turn", range(1, 8))
def test_a_turned_batch_is_the_batch_of_turned_images(drawn, turn):
    task = OpticalTask()
    other = ImageBatch(**{name: turned(value, turn) for name, value in vars(drawn.batch).items()})
    (images, described), (target, valid) = task.turned(task.batch(drawn), turn)
    assert torch.allclose(channels(other), images, atol=0.02)
    assert torch.allclose(conditions(other), described, atol=1e-5)
    assert torch.equal(other.valid, valid)
    assert torch.equal(turned(drawn.cosmic, turn), target[:, 5].bool())


def test_a_perfect_output_has_a_smaller_loss(drawn):
    target = optical_targets(drawn)
    logits = (torch.clamp(target, 1e-3, 1 - 1e-3)).logit()
    perfect = torch.cat([logits[:, :2], target[:, 2:4], torch.full_like(target[:, :1], -3), logits[:, 5:]], 1)
    nothing = torch.zeros_like(perfect)
    right, wrong = (optical_loss(o, target, drawn.batch.valid) for o in (perfect, nothing))
    assert all(right[name] < wrong[name] for name in wrong)
    parts = detection_loss(nothing[:, :5], target[:, :5], drawn.batch.valid.float())
    assert wrong["loss"] > parts["loss"]


def test_matches_are_one_to_one_and_near(drawn):
    network = OpticalTask().network(RECIPE, None).eval()
    network.head.bias.data[:2] = 1.5
    found, truth, masks = simulated_candidates(network, [drawn])
    claimed = np.isfinite(found["offset"])
    assert claimed.sum() <= len(truth["snr"])
    assert masks["cosmic"].shape == (2, int(drawn.batch.valid.sum()))


def test_true_positions_claim_themselves(drawn):
    seen = np.flatnonzero(visible_sources(drawn).numpy())
    place = [getattr(drawn, name).numpy()[seen] for name in ("patch", "x", "y")]
    peaks = Peaks(*place, np.ones(len(seen)), np.ones(len(seen)), np.ones(len(seen)))
    claimed, offset = claimed_sources(drawn, peaks)
    # In a crowd a source may claim its brighter neighbour, and leave its own to none
    assert (claimed >= 0).mean() > 0.95
    assert np.nanmedian(offset) < 1e-3


def test_a_model_finds_the_same_in_parts(model, monkeypatch):
    rng = np.random.default_rng(1)
    data = rng.normal(10, 1, (200, 264)).astype(np.float32)
    prepared = prepare_image(read_image(data, psf=psf_from_model(_gaussian(1.3))))
    whole = model.detect(prepared)
    monkeypatch.setattr("gammapy_asid.optical.detection.model.TILE", 192)
    parts = model.detect(prepared)
    assert whole.bits.shape == data.shape
    assert len(parts) == pytest.approx(len(whole), abs=max(3, 0.02 * len(whole)))


def test_nothing_is_found_where_no_data_are(model):
    data = np.random.default_rng(1).normal(10, 1, (128, 128))
    data[40:80, 40:80] = np.nan
    found = model.detect(prepare_image(read_image(data, psf=psf_from_model(_gaussian(1.3)))))
    inside = (abs(found.x - 59.5) < 18) & (abs(found.y - 59.5) < 18)
    assert len(found) and not inside.any()


def test_a_dataset_is_no_image():
    with pytest.raises(ValueError, match="--image"):
        OpticalTask().simulator(RECIPE, datasets=object())
