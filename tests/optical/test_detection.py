# Licensed under a 3-clause BSD style license - see LICENSE
import numpy as np
import pytest
import torch
from astropy.modeling.models import Gaussian2D
from torch.nn.functional import pixel_unshuffle

from gammapy_asid.learning.peaks import Peaks
from gammapy_asid.learning.run import prepare_simulator, release, train
from gammapy_asid.learning.targets import detection_loss, target_maps
from gammapy_asid.optical.bands import FINER, OPTICAL_BANDS, STEP
from gammapy_asid.optical.batch import ImageBatch
from gammapy_asid.optical.channels import N_CHANNELS, N_CONDITIONS, RANGE, channels, conditions
from gammapy_asid.optical.detection.candidates import claimed_sources, simulated_candidates, visible_sources
from gammapy_asid.optical.detection.centres import find_peaks
from gammapy_asid.optical.detection.loss import LEARNED, LEARNED_SHARE, optical_loss, optical_targets
from gammapy_asid.optical.detection.model import OpticalDetectionModel
from gammapy_asid.optical.detection.network import BRIGHTNESS, split_output
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
    network.head.bias.data[: 2 * FINER**2] = 1.5
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
    assert torch.allclose(conditions(other)[:, :-1], described[:, :-1], atol=1e-5)
    # The windows of the sky under the correlation lie elsewhere in a turned image
    assert torch.allclose(conditions(other)[:, -1], described[:, -1], atol=0.1)
    assert torch.equal(other.valid, valid)
    maps, masks = target
    assert torch.equal(turned(drawn.cosmic, turn), masks[:, 0].bool())
    assert maps.shape == (4, BRIGHTNESS + 1, 128, 128)


def test_a_perfect_output_has_a_smaller_loss(drawn):
    target = maps, masks = optical_targets(drawn)
    seen = (drawn.snr > LEARNED) & (drawn.share > LEARNED_SHARE)
    # The brightness of a source stands where the offsets point to it
    flux = torch.exp(maps[:, BRIGHTNESS][maps[:, 4] > 0])
    assert torch.isin(flux.round(decimals=1), drawn.flux[seen].round(decimals=1)).float().mean() > 0.99
    logits = (torch.clamp(maps, 1e-3, 1 - 1e-3)).logit()
    sure = torch.full_like(maps[:, :1], -3)
    fine = torch.cat([logits[:, :2], maps[:, 2:4], sure, maps[:, BRIGHTNESS:], sure], 1)
    marks = (torch.clamp(masks, 1e-3, 1 - 1e-3)).logit()
    perfect = torch.cat([pixel_unshuffle(fine, FINER), marks], 1)
    assert all(torch.equal(a, b) for a, b in zip(split_output(perfect), (fine, marks), strict=True))
    nothing = torch.zeros_like(perfect)
    right, wrong = (optical_loss(o, target, drawn.batch.valid) for o in (perfect, nothing))
    assert all(right[name] < wrong[name] for name in wrong)
    valid = drawn.batch.valid.float().repeat_interleave(FINER, 1).repeat_interleave(FINER, 2)
    parts = detection_loss(split_output(nothing)[0][:, :5], maps[:, :5], valid)
    assert wrong["loss"] > parts["loss"]


def test_positions_are_in_pixels_of_the_image():
    x, y = torch.tensor([10.2, 20.7, 24.0, 40.1]), torch.tensor([30.4, 11.9, 11.9, 50.6])
    maps = target_maps(
        torch.zeros(4, dtype=torch.long),
        *((v + 0.5) * FINER - 0.5 for v in (x, y)),
        torch.tensor([STEP]),
        1,
        (128, 128),
        bands=OPTICAL_BANDS,
    )
    logits = maps[:, :2].clamp(1e-6, 1 - 1e-6).logit()
    valid = torch.ones(1, 64, 64, dtype=torch.bool)
    peaks, density = find_peaks(torch.cat([logits, maps[:, 2:4], maps[:, 4:] - 2], 1), valid)
    assert len(peaks) == 4
    order = np.argsort(peaks.x)
    assert peaks.x[order] == pytest.approx(x.numpy(), abs=0.02)
    assert peaks.y[order] == pytest.approx(y.numpy(), abs=0.02)
    # An error of one over e in steps
    assert peaks.sigma == pytest.approx(np.exp(-1) / FINER, rel=0.01)
    # Within 32 pixels of the third lie three sources, in columns 0 to 56 and rows 0 to 44
    assert density[order[2]] == pytest.approx(3 / (57 * 45), rel=0.02)


def test_matches_are_one_to_one_and_near(drawn):
    network = OpticalTask().network(RECIPE, None).eval()
    network.head.bias.data[: 2 * FINER**2] = 1.5
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
