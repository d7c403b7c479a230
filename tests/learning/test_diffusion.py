# Licensed under a 3-clause BSD style license - see LICENSE
"""Noise levels and samplers, where the right denoiser is known in closed form."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.learning.diffusion import DDPM, EDM, FEATURES, SCHEDULES

MEAN = torch.tensor([0.5, -1.0])
COVARIANCE = torch.tensor([[1.0, 0.6], [0.6, 2.0]])


def gaussian(noisy, level):
    """Mean of clean pairs of pixels from `MEAN` and `COVARIANCE`, given noisy ones."""
    gain = COVARIANCE @ torch.linalg.inv(COVARIANCE + level**2 * torch.eye(2))
    return MEAN + (noisy - MEAN) @ gain.T


def drawn(schedule, seed, n=20_000):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(n, 1, 2, generator=generator)
    return schedule.sample(gaussian, noise, generator)[:, 0]


@pytest.fixture(params=[EDM(), DDPM()], ids=["edm", "ddpm"])
def schedule(request):
    return request.param


def test_draws_a_known_gaussian(schedule):
    pairs = drawn(schedule, 1)
    # Three standard errors of a mean of 20 000 are 0.03, those of a variance of 2 are 0.06
    assert_allclose(pairs.mean(0), MEAN, atol=0.03)
    assert_allclose(np.cov(pairs.T.numpy()), COVARIANCE, atol=0.06)


def test_equal_seeds_give_equal_draws(schedule):
    assert torch.equal(drawn(schedule, 1, 10), drawn(schedule, 1, 10))
    assert not torch.allclose(drawn(schedule, 1, 10), drawn(schedule, 2, 10), atol=0.1)


def test_heun_steps_converge_fast():
    # The same noise goes to the same image; the error falls with the square of the steps
    images = [drawn(EDM(steps), 3, 200) for steps in (10, 20, 160)]
    errors = [float((image - images[-1]).square().mean().sqrt()) for image in images[:2]]
    assert errors[1] < 0.05
    assert errors[1] < errors[0] / 3


def test_network_sees_and_learns_unit_variance(schedule):
    generator = torch.Generator().manual_seed(0)
    level = torch.tensor([0.01, 0.3, 1.0, 8.0, 60.0])
    clean, noise = torch.randn(2, 5, 2, 140, 140, generator=generator)
    noisy = clean + level[:, None, None, None] * noise
    scaled, features = schedule.inputs(noisy, level)
    assert scaled.shape == (5, 2, 140, 140)
    assert features.shape == (5, FEATURES)
    assert_allclose(scaled.std((1, 2, 3)), 1, atol=0.02)
    target = schedule.target(clean, noisy, level)
    assert_allclose(target.std((1, 2, 3)), 1, atol=0.02)
    assert_allclose(schedule.denoised(target, noisy, level), clean, atol=1e-4)


def test_levels_have_different_descriptions(schedule):
    level = torch.logspace(-2, 1.9, 60)
    features = schedule.inputs(torch.zeros(60, 1, 2, 2), level)[1]
    distance = torch.cdist(features, features) + 10 * torch.eye(60)
    assert distance.min() > 0.1


def test_output_of_zero_means_the_best_guess_without_knowledge():
    # The mean of unit Gaussian images with unit noise, given those, is half of them
    noisy = torch.full((1, 1, 2, 2), 3.0)
    assert_allclose(EDM().denoised(torch.zeros(1, 1, 2, 2), noisy, torch.ones(1)), 1.5)


def test_ddpm_learns_the_noise():
    generator = torch.Generator().manual_seed(0)
    clean, noise = torch.randn(2, 3, 1, 4, 4, generator=generator)
    level = torch.tensor([0.1, 1.0, 10.0])
    noisy = clean + level[:, None, None, None] * noise
    assert_allclose(DDPM().target(clean, noisy, level), noise, atol=2e-5)


def test_levels_of_the_papers():
    # Ho et al.: the first variance is 1e-4, and the product of what is kept of the signal 4.04e-5
    levels = DDPM().levels
    assert_allclose(levels[0] ** 2, 1e-4 / (1 - 1e-4), rtol=1e-3)
    assert_allclose(1 / (1 + levels[-1] ** 2), 4.04e-5, rtol=0.01)
    # Karras et al.: a log-normal distribution, here around 0.6
    share = (torch.arange(2000) + 0.5) / 2000
    logarithm = EDM().level(share).log()
    assert_allclose(logarithm.mean(), np.log(0.6), atol=0.01)
    assert_allclose(logarithm.std(), 1.4, atol=0.01)
    assert torch.equal(DDPM().level(torch.tensor([1e-6, 1 - 1e-6])), levels[[0, -1]])


def test_names():
    assert SCHEDULES == {"edm": EDM, "ddpm": DDPM}
