# Licensed under a 3-clause BSD style license - see LICENSE
import numpy as np
import pytest
import torch

from gammapy_asid.optical.batch import OVERSAMPLING, ImageBatch
from gammapy_asid.optical.galaxies import galaxy_points
from gammapy_asid.optical.psf_families import WIDE_HALF, draw_psfs, misjudged
from gammapy_asid.optical.rendering import fine_kernels, render
from gammapy_asid.optical.scenes import FAINTEST, draw_scenes, draw_sources
from gammapy_asid.optical.simulator import OpticalSimulator


@pytest.fixture(scope="module")
def simulator():
    return OpticalSimulator(size=64, cameras=8, seed=3)


def described(psf):
    cut = (WIDE_HALF - 12) * OVERSAMPLING
    return ImageBatch(signal=None, variance=None, valid=None, saturated=None, psf=psf[:, cut:-cut, cut:-cut])


def test_equal_seeds_give_equal_images(simulator):
    first, second, other = simulator.draw(3, (1, 2)), simulator.draw(3, (1, 2)), simulator.draw(3, (1, 3))
    assert torch.equal(first.batch.signal, second.batch.signal)
    assert torch.equal(first.flux, second.flux)
    assert not torch.equal(first.batch.signal, other.batch.signal)


def test_psfs_hold_all_light_and_have_the_width_asked_for():
    fwhm = np.geomspace(2.5, 6, 12)
    psf = draw_psfs(fwhm, 1)
    assert torch.allclose(psf.sum((1, 2)) / OVERSAMPLING**2, torch.ones(12), atol=1e-4)
    # A pixel adds its own width; asymmetric and aberrated ones are wider than asked for
    ratio = described(psf).fwhm.numpy() / np.hypot(fwhm, 0.7)
    assert np.all(ratio > 0.9) and np.median(ratio) < 1.15


@pytest.mark.parametrize("x, y", [(30.0, 31.0), (20.25, 40.5), (33.5, 29.75)])
def test_a_point_is_the_psf_at_its_place(x, y):
    psf = draw_psfs([3.5, 5.0], 4)
    images = render(
        torch.arange(2),
        torch.full((2,), x),
        torch.full((2,), y),
        torch.tensor([100.0, 50.0]),
        fine_kernels(psf),
        64,
    )
    column = torch.arange(20, 45)
    middle = WIDE_HALF * OVERSAMPLING
    rows, columns = (middle + ((column - v) * OVERSAMPLING).round().long() for v in (y, x))
    expected = psf[:, rows][:, :, columns] * torch.tensor([100.0, 50.0])[:, None, None]
    assert torch.allclose(images[:, 20:45, 20:45], expected, atol=0.01 * float(expected.max()))


def test_what_is_outside_comes_not_in_at_the_other_side():
    psf = draw_psfs([2.0], 4)
    image = render(
        torch.tensor([0]),
        torch.tensor([-15.0]),
        torch.tensor([30.0]),
        torch.tensor([1e6]),
        fine_kernels(psf),
        64,
    )
    assert image[0, :, 40:].max() < 1e-3 * image[0, :, :5].max()


def test_half_of_the_light_of_a_galaxy_is_within_its_radius():
    n = 6
    index, ones = torch.arange(n), torch.ones(n)
    dx, dy, light = galaxy_points(
        index, 5 * ones, ones, 0 * ones, 0 * ones, 0 * ones, 2000, np.random.default_rng(1)
    )
    share = (light * (torch.hypot(dx, dy) < 5)).sum(1)
    # All but two per cent of the light are drawn
    assert torch.allclose(share, torch.full((n,), 0.5 / 0.98), atol=0.01)
    assert torch.allclose(light.sum(1), torch.ones(n))


def test_number_and_brightness_of_stars():
    rng = np.random.default_rng(5)
    scenes = draw_scenes(40, rng, kinds=(1, 0, 0))
    area, fwhm = np.full(40, 20.0), np.full(40, 3.0)
    sources = draw_sources(scenes, area, fwhm, 128, 20, rng)
    stars = ~sources.galaxy
    expected = scenes.stars.sum() * 168**2
    assert abs(int(stars.sum()) - expected) < 5 * np.sqrt(expected)
    # The light of a star of significance s alone is s times the root of the noise-equivalent area
    assert torch.allclose(sources.flux[stars], sources.snr[stars] * 20**0.5)
    assert float(sources.snr.min()) >= FAINTEST - 1e-6


def test_the_noise_of_the_sky_is_one():
    quiet = OpticalSimulator(size=64, cameras=4, kinds=(1, 0, 0), artefacts=False, seed=1)
    drawn = quiet.draw(40, 5)
    empty = drawn.batch.signal.flatten(1).median(1).values
    assert empty.abs().median() < 0.5
    spread = drawn.batch.signal.flatten(1).quantile(0.16, 1) - empty
    assert 0.8 < float(-spread.median()) < 1.25


def test_stars_are_where_the_truth_says():
    drawn = OpticalSimulator(size=96, cameras=8, kinds=(1, 0, 0), artefacts=False, seed=1).draw(16, 5)
    ny, nx = drawn.batch.shape
    inside = (drawn.x > 3) & (drawn.x < nx - 4) & (drawn.y > 3) & (drawn.y < ny - 4)
    bright = inside & (drawn.snr > 30) & ~drawn.galaxy & (drawn.share > 0.9)
    patch, x, y = drawn.patch[bright], drawn.x[bright].round().long(), drawn.y[bright].round().long()
    near = torch.arange(-3, 4)
    cuts = drawn.batch.signal[patch[:, None, None], y[:, None, None] + near[:, None], x[:, None, None] + near]
    assert len(cuts) > 20
    assert (cuts.flatten(1).argmax(1) == 24).float().mean() > 0.6
    # The pixel of the centre holds the share of the light that the point spread function gives it
    expected = drawn.flux[bright] * drawn.true_psf[patch].amax((1, 2))
    assert 0.75 < float((cuts[:, 3, 3] / expected).median()) < 1.1


def test_wrong_psfs_are_wrong_by_the_error_stated():
    psf = draw_psfs(np.full(200, 4.0), 1)[:, 80:-80, 80:-80]
    told = misjudged(psf, np.full(200, 0.03), np.zeros(200), 2)
    batch = [ImageBatch(signal=0, variance=0, valid=0, saturated=0, psf=p).fwhm for p in (psf, told)]
    assert 0.02 < float((batch[1] / batch[0] - 1).std()) < 0.045


def test_masks_lie_where_artefacts_are():
    drawn = OpticalSimulator(size=64, cameras=4, seed=2).draw(24, 9)
    rays = drawn.cosmic & drawn.batch.valid
    assert rays.any()
    assert drawn.batch.signal[rays].mean() > drawn.batch.signal[~rays].mean() + 1
    assert (drawn.batch.signal[~drawn.batch.valid] == 0).all()
