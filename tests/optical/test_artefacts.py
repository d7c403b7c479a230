# Licensed under a 3-clause BSD style license - see LICENSE
"""Cosmic rays, trails, faults of detectors and haloes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from gammapy_asid.optical.artefacts.cosmic_rays import STEP, Tracks, _deposit, _points, cosmic_rays
from gammapy_asid.optical.artefacts.detector_faults import bleed, detector_faults
from gammapy_asid.optical.artefacts.haloes import gradients, haloes
from gammapy_asid.optical.artefacts.trails import FINE, SIDE, _own_profiles, _profiles, trails
from gammapy_asid.optical.batch import OVERSAMPLING

SHAPE = (48, 64)


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(3)


@pytest.fixture
def psf():
    """Round Gaussians with a standard deviation of 1.5 pixels."""
    square = (torch.arange(97) - 48).float().div(OVERSAMPLING) ** 2
    psf = torch.exp(-(square + square[:, None]) / (2 * 1.5**2))
    return (psf / psf.sum() * OVERSAMPLING**2).expand(4, 97, 97)


def track(**changes):
    """One straight track to the right, with its middle in the middle of a pixel."""
    values = dict(
        image=0, x=30, y=20, angle=0, length=0, curl=0, charge=100, near=0.3, far=0.3, straight=True
    )
    values.update(changes)
    types = {"image": torch.long, "straight": torch.bool}
    return Tracks(**{k: torch.tensor([v], dtype=types.get(k, torch.float32)) for k, v in values.items()})


def test_equal_seeds_give_equal_artefacts(psf):
    def draw():
        generator = torch.Generator().manual_seed(5)
        return [
            *cosmic_rays(4, SHAPE, generator),
            *trails(4, SHAPE, generator, psf, rate=2),
            detector_faults(4, SHAPE, generator).light,
            haloes(4, SHAPE, generator),
        ]

    for first, second in zip(draw(), draw(), strict=True):
        assert torch.equal(first, second)
        assert first.shape == (4, *SHAPE)


@given(st.integers(0, 1000), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_artefacts_of_any_shape_are_finite_and_positive(seed, ny, nx):
    generator = torch.Generator().manual_seed(seed)
    light, truth = cosmic_rays(3, (ny, nx), generator, rate=(50, 500), none=0)
    assert light.shape == truth.shape == (3, ny, nx)
    assert torch.isfinite(light).all() and (light >= 0).all()
    assert torch.equal(truth, light > 1)
    light, truth = trails(3, (ny, nx), generator, torch.ones(3, 97, 97), rate=3)
    assert torch.isfinite(light).all() and (light >= 0).all()
    assert truth[light > 0.5].all()


def test_the_number_of_cosmic_rays_follows_the_rate(generator):
    _, truth = cosmic_rays(200, (64, 64), generator, none=1)
    assert not truth.any()
    few, _ = cosmic_rays(200, (64, 64), generator, rate=(1, 1.001), none=0)
    many, _ = cosmic_rays(200, (64, 64), generator, rate=(10, 10.01), none=0)
    # A quarter of 128 x 128 pixels: nobody has any with probability exp(-1/4) and exp(-2.5)
    assert (few.amax((1, 2)) == 0).float().mean() == pytest.approx(0.78, abs=0.1)
    assert (many.amax((1, 2)) == 0).float().mean() == pytest.approx(0.08, abs=0.06)


def test_a_brighter_noise_hides_weak_deposits(generator):
    light, truth = cosmic_rays(20, SHAPE, generator, none=0, noise=20.0)
    assert torch.equal(truth, light > 20)
    assert (light > 1).sum() > truth.sum() > 0


def test_charge_is_kept_by_diffusion(generator):
    light = _deposit(1, SHAPE, *_points(generator, track()))
    narrow = _deposit(1, SHAPE, *_points(torch.Generator().manual_seed(3), track(near=0, far=0)))
    assert narrow[0, 20, 30] == narrow.sum() > 0
    assert light.sum() == pytest.approx(narrow.sum().item(), rel=1e-4)
    # Share of a Gaussian of 0.3 pixels within half a pixel of its middle on both axes
    assert light[0, 20, 30] / light.sum() == pytest.approx(0.9044**2, rel=1e-3)


def test_a_straight_track_is_as_long_as_it_says(generator):
    _, x, y, _, _ = _points(generator, track(length=30))
    assert x.max() - x.min() == pytest.approx(30, abs=2 * STEP)
    assert (x.max() + x.min()) / 2 == pytest.approx(30, abs=STEP)
    assert_close(y, torch.full_like(y, 20.0))
    light = _deposit(1, SHAPE, *_points(generator, track(length=30)))
    # A pixel of its length holds the charge, with fluctuations of each deposit of 40 % (mean 1.083)
    assert light.sum() / 30 == pytest.approx(108, rel=0.15)


def test_charge_of_a_tilted_track_spreads_to_one_end(generator):
    light = _deposit(1, SHAPE, *_points(generator, track(length=30, near=0.05, far=0.6)))[0]
    beside = (light[19] + light[21]) / light[20]
    assert beside[17] < 0.3 * beside[43]


def test_the_profile_of_a_trail_is_that_of_the_optics(psf, generator):
    own = _own_profiles(generator, torch.zeros(4, dtype=torch.long))
    distance = (torch.arange(2 * SIDE * FINE + 1) - SIDE * FINE) / FINE
    expected = torch.exp(-(distance**2) / (2 * 1.5**2))
    for profile in _profiles(psf, torch.tensor([0.0, 0.4, 1.2, 3.0]), own):
        # Whatever its angle; linear shares of samples widen it by 1 %
        assert_close(profile, expected, atol=0.02, rtol=0)


def test_trails_cross_images_with_the_brightness_that_was_asked_for(psf, generator):
    light, truth = trails(4, (64, 64), generator, psf, rate=0)
    assert not light.any() and not truth.any()
    light, truth = trails(40, (64, 64), generator, psf[:1].expand(40, 97, 97), rate=1, brightness=(5, 5.01))
    one = light.amax((1, 2))
    # Crossing ones are brighter, ends and gaps fainter
    assert one[one > 0].median() == pytest.approx(5, abs=0.3)
    assert truth[light > 0.5].all()
    faint, truth = trails(
        40, (64, 64), generator, psf[:1].expand(40, 97, 97), rate=1, brightness=(0.1, 0.1001)
    )
    assert truth.any((1, 2)).float().mean() == pytest.approx(0.63, abs=0.25)
    assert (faint[truth] > 0.005).all()


def test_a_line_out_of_focus_has_two_edges(psf, generator):
    own = _own_profiles(generator, torch.full((8,), 2))
    middle = own[:, SIDE * FINE]
    assert (own.amax(-1) > 1.1 * middle).all()
    assert_close(own.sum(-1), torch.ones(8))


@pytest.mark.parametrize("axis", [0, 1])
def test_charge_above_saturation_runs_along_columns_or_rows(axis):
    light = torch.zeros(1, 40, 50)
    light[0, 20, 25] = 1000.0
    spilt, saturated = bleed(light, 100.0, axis=axis)
    assert spilt.sum() == pytest.approx(1000)
    assert spilt.max() == 100
    line = spilt[0, :, 25] if axis == 0 else spilt[0, 20]
    # Itself, and four full and one half full on either side
    assert (line == 100).sum() == saturated.sum() == 9
    assert (line > 0).sum() == 11
    assert spilt[0].sum(axis).gt(0).sum() == 1
    lost, _ = bleed(light, 100.0, flow=0.0, axis=axis)
    assert lost.sum() == 100


@given(st.integers(0, 1000), st.floats(0, 1))
@settings(max_examples=25, deadline=None)
def test_bleeding_makes_no_light(seed, flow):
    light = 30 * torch.rand(2, 15, 11, generator=torch.Generator().manual_seed(seed)) ** 4
    spilt, saturated = bleed(light, 5.0, flow=flow)
    assert spilt.sum() <= light.sum() * (1 + 1e-5)
    assert (spilt >= light.clamp(max=5) - 1e-5).all()
    assert torch.equal(saturated, spilt >= 5 * (1 - 1e-6))


def test_faults_are_bad_and_some_are_masked(generator):
    faults = detector_faults(60, SHAPE, generator, sky=torch.full((60,), 30.0))
    dead = faults.response == 0
    assert dead.any() and (faults.light[dead] == -30).all()
    assert set(faults.response.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(faults.bad, dead | (faults.light.abs() > 0.5))
    assert not (faults.masked & ~faults.bad).any()
    share = faults.masked.sum() / faults.bad.sum()
    assert 0.2 < share < 0.8


def test_gradients_have_the_strength_that_was_asked_for(generator):
    light = gradients(5, SHAPE, generator, strength=(2, 2.001))
    assert_close(light.square().mean((1, 2)).sqrt(), torch.full((5,), 2.0), rtol=1e-3, atol=0)
    assert_close(light.mean((1, 2)), torch.zeros(5), rtol=0, atol=1e-4)


def test_haloes_are_smooth(generator):
    light = haloes(30, SHAPE, generator, rate=1, brightness=(1, 1.001))
    assert (light >= 0).all() and 0.9 < light.max()
    assert not haloes(3, SHAPE, generator, rate=0).any()
