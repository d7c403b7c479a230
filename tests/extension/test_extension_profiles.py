# Licensed under a 3-clause BSD style license - see LICENSE
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import ndtr

from gammapy_asid.inputs.stamps import CONTAINMENTS, describe_psf
from gammapy_asid.tasks.extension.profiles import TRIALS, compare_profiles, ring_masks, ring_shares

MASKS = ring_masks(72)
PIXELS = MASKS.sum((1, 2))


def gaussian_psf(sigma):
    radii = sigma * np.sqrt(-2 * np.log1p(-np.array(CONTAINMENTS)))
    return torch.tensor(describe_psf(radii, 1.0))[None, None]


def rings_of(sigma):
    """Share of a Gaussian in each ring, the source anywhere in the middle pixel."""
    edges, shares = np.arange(73) - 36.5, 0
    for x in np.linspace(-0.4, 0.4, 5):
        for y in np.linspace(-0.4, 0.4, 5):
            along_x, along_y = (np.diff(ndtr((edges - v) / sigma)) for v in (x, y))
            shares = shares + along_x * along_y[:, None] / 25
    return (MASKS.numpy() * shares).sum((1, 2))


@pytest.mark.parametrize("sigma", [1.5, 4.0, 7.0])
@pytest.mark.parametrize("width", [0.0, 3.0])
def test_ring_shares(sigma, width):
    shares = ring_shares(gaussian_psf(sigma), width, PIXELS)[0, 0]
    assert_allclose(shares, rings_of(np.hypot(sigma, width)), atol=0.008)


@pytest.mark.parametrize("sigma", [1.5, 4.0, 7.0])
def test_profiles_tell_points_from_wide_sources(sigma):
    """A point leaves nothing in rings and no wider profile gains, whatever the point spread function."""
    background = PIXELS.repeat(1, 1, 1) * 0.5
    everywhere = torch.ones(1, len(PIXELS))
    point, wide = (
        background + 3000 * torch.tensor(rings_of(np.hypot(sigma, w)), dtype=torch.float32)
        for w in (0.0, TRIALS[2])
    )
    left, gain = compare_profiles(point, background, everywhere, gaussian_psf(sigma), PIXELS)
    assert left.abs().max() < 0.7
    assert gain.max() < 0.1
    left, gain = compare_profiles(wide, background, everywhere, gaussian_psf(sigma), PIXELS)
    assert left.abs().max() > 1
    assert gain[0, 0].argmax() == 2 and gain.max() > 2


def test_no_counts():
    zero = torch.zeros(1, 1, len(PIXELS))
    left, gain = compare_profiles(zero, zero, torch.ones(1, len(PIXELS)), torch.zeros(1, 1, 4), PIXELS)
    assert torch.all(left == 0) and torch.all(torch.isfinite(gain))
