"""Templates of galaxies and the likelihoods of star against galaxy."""

import numpy as np
import pytest
import torch

from gammapy_asid.optical.batch import HALF, OVERSAMPLING, ImageBatch
from gammapy_asid.optical.classification.evidence import likelihood_gains
from gammapy_asid.optical.classification.templates import TEMPLATES, places, template_tables

SIZE = 21


@pytest.fixture(scope="module")
def psf():
    """A Gaussian of FWHM 3 pixels."""
    axis = torch.arange(-HALF * OVERSAMPLING, HALF * OVERSAMPLING + 1) / OVERSAMPLING
    profile = torch.exp(-0.5 * (axis / (3 / 2.3548)) ** 2)
    image = profile[:, None] * profile
    return (image / image.sum() * OVERSAMPLING**2)[None]


@pytest.fixture(scope="module")
def tables(psf):
    return template_tables(psf, torch.tensor([3.0]))


def at(tables, dx=0.0, dy=0.0):
    return places(tables, torch.zeros(1, dtype=torch.long), torch.tensor([dx]), torch.tensor([dy]), SIZE)[0]


def test_star_is_the_psf_at_its_place(psf, tables):
    images = ImageBatch(signal=None, variance=None, valid=None, saturated=None, psf=psf)
    half = SIZE // 2
    expected = images.kernels[0, HALF - half : HALF + half + 1, HALF - half : HALF + half + 1]
    torch.testing.assert_close(at(tables)[0], expected, atol=1e-6, rtol=1e-4)
    # Half a pixel to the right lies between the samples at that place
    moved = at(tables, 0.5, -0.25)[0]
    assert moved[half, half] == pytest.approx(psf[0, 48 + 1, 48 - 2].item(), rel=1e-4)


def test_templates_hold_all_light_and_grow_with_size(tables):
    own = at(tables)
    axis = torch.arange(SIZE) - SIZE // 2
    square = axis[:, None] ** 2 + axis**2
    moments = (own * square).sum((1, 2)) / own.sum((1, 2))
    assert own[:4].sum((1, 2)).numpy() == pytest.approx(1.0, abs=0.03)
    assert (moments[:5].diff() > 0).all()
    # An exponential adds 6 scale lengths squared to the mean square radius; 1.678 hold half of its light
    scale = TEMPLATES[2].size * 3 / 1.678
    assert moments[2] - moments[0] == pytest.approx(6 * scale**2, rel=0.08)


def test_derivatives_move_a_star(tables):
    change = (at(tables, 0.125)[0] - at(tables, -0.125)[0]) / 0.25
    torch.testing.assert_close(at(tables)[len(TEMPLATES)], change, atol=2e-4, rtol=0)
    change = (at(tables, 0.0, 0.125)[0] - at(tables, 0.0, -0.125)[0]) / 0.25
    torch.testing.assert_close(at(tables)[len(TEMPLATES) + 1], change, atol=2e-4, rtol=0)


def test_gain_of_a_star_is_its_significance_squared(tables):
    own = at(tables)
    signal, weight = 50 * own[:1], torch.full((1, SIZE, SIZE), 0.25)
    gains, star = likelihood_gains(signal, weight, own[None])
    assert gains[0, 0] == pytest.approx(50**2 * (own[0] ** 2).sum().item() / 4, rel=1e-3)
    assert gains.argmax() == 0
    assert star[0, 0] == pytest.approx(50, rel=1e-3)


@pytest.mark.parametrize("kind", [2, 3, 4, 5, 6, 7])
def test_a_galaxy_is_found_by_its_own_template(tables, kind):
    own = at(tables)
    # A tenth of a pixel off: the shift is fitted
    signal = 200 * at(tables, 0.09, -0.06)[kind][None]
    gains, _ = likelihood_gains(signal, torch.ones(1, SIZE, SIZE), own[None])
    assert gains.argmax() == kind


def test_pixels_without_data_say_nothing(tables):
    own = at(tables)
    gains, star = likelihood_gains(torch.zeros(1, SIZE, SIZE), torch.zeros(1, SIZE, SIZE), own[None])
    assert np.isfinite(gains.numpy()).all() and np.isfinite(star.numpy()).all()
    assert gains.abs().max() == 0
