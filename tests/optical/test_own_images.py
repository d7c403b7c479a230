# Licensed under a 3-clause BSD style license - see LICENSE
"""A user's own images and lists train a model further."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table
from click.testing import CliRunner
from numpy.testing import assert_allclose
from photutils.psf import CircularGaussianPRF

from gammapy_asid.cli import main
from gammapy_asid.learning.io import load_card, save_model
from gammapy_asid.learning.seeds import VALIDATION
from gammapy_asid.optical.bands import FINER, OPTICAL_BANDS
from gammapy_asid.optical.detection.card import OpticalCard
from gammapy_asid.optical.detection.model import OpticalDetectionModel
from gammapy_asid.optical.detection.network import build_network
from gammapy_asid.optical.images import prepare_image, read_image
from gammapy_asid.optical.own_images import HELD_OUT, ImageSimulator, ListedImage

WIDTHS = (6, 8, 8, 8)
PSF = CircularGaussianPRF(fwhm=2.6)


@pytest.fixture(scope="module")
def field():
    """Image with stars of a flux of 100 times the noise, 400 pixels wide, and where they are."""
    rng = np.random.default_rng(4)
    x, y = np.array([(a, b) for b in range(12, 150, 17) for a in range(12, 390, 17)], float).T
    x, y = (v + rng.uniform(-0.5, 0.5, len(v)) for v in (x, y))
    rows, columns = np.mgrid[:150, :400]
    image = sum(PSF.evaluate(columns, rows, 300.0, a, b, 2.6) for a, b in zip(x, y, strict=True))
    return (image + 20 + rng.normal(0, 3, image.shape)).astype(np.float32), x, y


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Untrained model, released by hand."""
    torch.manual_seed(1)
    network = build_network(WIDTHS)
    network.head.bias.data[: 2 * FINER**2] = 2
    path = tmp_path_factory.mktemp("start") / "start.safetensors"
    points = tuple({"threshold": t, "purity": 0.5, "completeness": 0.5} for t in (0.1, 0.5))
    card = OpticalCard(
        name="start",
        version="1",
        architecture=asdict(network.config),
        bands=asdict(OPTICAL_BANDS),
        recipe={},
        recipe_sha256="",
        metrics={},
        package_version="0",
        fwhm=(1.1, 6),
        crowd=(0, 0.1),
        calibration=((-5, -5), (5, 5)),
        operating_points=points,
    )
    save_model(path, network.state_dict(), card)
    return path


@pytest.fixture(scope="module")
def listed(field, start):
    data, x, y = field
    model = OpticalDetectionModel.load(start, "cpu")
    table = Table({"x": [*x, -50.0], "y": [*y, 3.0]})
    return ListedImage.make(prepare_image(read_image(data, psf=PSF)), table, model)


def test_listed_sources_are_fitted(listed, field):
    # The one outside is left out
    assert len(listed.x) == len(field[1])
    assert_allclose(np.median(listed.flux), 100, rtol=0.05)
    # 100 times the root of the sum of the squared profile, 0.40 / 1.1 for this width
    kernel = listed.prepared.psf.kernel(0, 0)
    assert_allclose(np.median(listed.snr), 100 * np.sqrt((kernel**2).sum()), rtol=0.06)
    columns, rows = (np.round(v).astype(int) for v in (listed.x, listed.y))
    assert not listed.bits[rows, columns].any()


def test_patches_show_the_stars_where_the_truth_says(listed):
    simulator = ImageSimulator([listed], size=64, share=1.0)
    drawn = simulator.draw(6, (3, 1))
    assert len(drawn) == 6 and drawn.batch.shape == (64, 64)
    again = simulator.draw(6, (3, 1))
    assert torch.equal(drawn.batch.signal, again.batch.signal)
    column, row = torch.round(drawn.x).long(), torch.round(drawn.y).long()
    inside = (column >= 2) & (column < 62) & (row >= 2) & (row < 62)
    seen = drawn.batch.valid[drawn.patch[inside], row[inside], column[inside]]
    light = drawn.batch.signal[drawn.patch[inside], row[inside], column[inside]][seen]
    # The brightest pixel of a star of 100 has between 9 and 15 of it
    assert seen.sum() > 20 and light.median() > 8 and light.min() > 3


def test_what_calibrates_was_never_learned(listed):
    simulator = ImageSimulator([listed], size=64, share=1.0)
    border = round(400 * (1 - HELD_OUT))
    values = [
        set(simulator.draw(12, seed).batch.signal.flatten().tolist()) - {0.0}
        for seed in ((3, 0), (VALIDATION, 0))
    ]
    assert len(values[0] & values[1]) < 5
    for held_out in (False, True):
        axis, part = listed.part(held_out)
        assert axis == 1
        assert (part.start, part.stop) == ((border, 400) if held_out else (0, border))


def test_simulated_images_are_of_like_cameras(listed):
    simulator = ImageSimulator([listed], size=64)
    drawn = simulator.draw(8, (1, 1))
    assert len(drawn) == 8 and drawn.patch.max() == 7
    assert 0.85 * 2.55 < drawn.batch.fwhm.min() and drawn.batch.fwhm.max() < 1.18 * 2.8
    assert drawn.x.shape == drawn.snr.shape == drawn.galaxy.shape
    assert drawn.cosmic.shape == (8, 64, 64)


def test_lists_beside_the_image_are_refused(start):
    data = np.random.default_rng(0).normal(5, 1, (80, 80))
    prepared = prepare_image(read_image(data, psf=PSF))
    with pytest.raises(ValueError, match="None of the 1 listed sources"):
        ListedImage.make(
            prepared, Table({"x": [500.0], "y": [3.0]}), OpticalDetectionModel.load(start, "cpu")
        )


@pytest.fixture
def recipe(start, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(
        f"task: optical\nname: tiny\nstart: {start}\npatch_size: 64\nwidths: {list(WIDTHS)}\n"
        "validation_patches: 4\ncalibration_patches: 32\n"
        "optimiser: {batch_size: 4, batches_per_epoch: 2, epochs: 1, precision: 32-true, ema_decay: 0, "
        "learning_rate: 1.0e-4}\n"
    )
    return path


def test_one_command_trains_further(field, recipe, tmp_path, start):
    data, x, y = field
    fits.PrimaryHDU(data).writeto(tmp_path / "image.fits")
    Table({"xcentroid": x, "ycentroid": y}).write(tmp_path / "list.fits")
    arguments = [
        "train",
        str(recipe),
        "--image",
        tmp_path / "image.fits",
        "--sources",
        tmp_path / "list.fits",
    ]
    arguments += ["-o", tmp_path / "run", "--workers", "0", "--device", "cpu"]
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    card = load_card(tmp_path / "run" / "tiny.safetensors")
    assert card.task == "optical" and card.recipe["start"] == str(start)
    # The width of its own camera
    assert card.fwhm[0] < 2.6 < card.fwhm[1]
    found = OpticalDetectionModel.load(tmp_path / "run" / "tiny.safetensors", "cpu").network.state_dict()
    before = OpticalDetectionModel.load(start, "cpu").network.state_dict()
    # Two steps of 1e-4 from where it started, not from anywhere
    moved = (found["head.weight"] - before["head.weight"]).abs()
    assert 0 < moved.max() < 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--image", "IMAGE"], "1 images and 0 lists"),
        (["--image", "IMAGE", "--sources", "LIST", "--dataset", "LIST"], "leave out one"),
        (["lat", "--image", "IMAGE", "--sources", "LIST"], "but lat is for detection"),
        (["lat", "--psf", "IMAGE"], "give them with --image"),
        ([], "Nothing to train"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(arguments, message, tmp_path):
    files = {"IMAGE": tmp_path / "image.fits", "LIST": tmp_path / "list.fits"}
    for path in files.values():
        fits.PrimaryHDU(np.zeros((20, 20))).writeto(path)
    result = CliRunner().invoke(main, ["train", *(str(files.get(a, a)) for a in arguments)])
    assert result.exit_code == 2 and message in result.output
