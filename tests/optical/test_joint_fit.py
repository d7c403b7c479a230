# Licensed under a 3-clause BSD style license - see LICENSE
"""Fluxes of all sources of an image at once, and their bound."""

from math import erf, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gammapy_asid.optical.batch import HALF, OVERSAMPLING, ImageBatch
from gammapy_asid.optical.fit.bound import flux_bound
from gammapy_asid.optical.fit.joint import joint_fit
from gammapy_asid.optical.fit.stamps import source_stamps

SIGMA = 1.3


def pixel_light(place, sigma=SIGMA):
    """Share of a Gaussian star in pixels at distances along an axis."""
    integral = np.vectorize(lambda v: 0.5 * erf(v / sigma / sqrt(2)))
    return integral(np.asarray(place) + 0.5) - integral(np.asarray(place) - 0.5)


def star(x, y, shape, sigma=SIGMA):
    ny, nx = shape
    return pixel_light(np.arange(ny) - y, sigma)[:, None] * pixel_light(np.arange(nx) - x, sigma)


def image_batch(signals, variance=None, sigma=SIGMA):
    signals = torch.as_tensor(np.asarray(signals)).float()
    samples = pixel_light((np.arange(2 * HALF * OVERSAMPLING + 1) / OVERSAMPLING) - HALF, sigma)
    psf = torch.from_numpy(np.outer(samples, samples)).float().expand(len(signals), -1, -1)
    return ImageBatch(
        signal=signals,
        variance=torch.ones_like(signals) if variance is None else torch.as_tensor(variance).float(),
        valid=torch.ones_like(signals).bool(),
        saturated=torch.zeros_like(signals).bool(),
        psf=psf,
    )


def test_flux_of_a_star_alone():
    images = [300 * star(20.3, 19.6, (40, 40)), 80 * star(11.7, 25.2, (40, 40))]
    fit = joint_fit(image_batch(images), [20.3, 11.7], [19.6, 25.2], image=[0, 1], iterations=0)
    assert fit.flux.numpy() == pytest.approx([300, 80], rel=1e-3)
    # An isolated star: the noise of all its pixels, weighted by its profile
    expected = 1 / np.sqrt((star(20.3, 19.6, (40, 40)) ** 2).sum())
    assert fit.flux_err[0].item() == pytest.approx(expected, rel=2e-3)
    assert fit.residual.abs().max() < 0.05
    assert fit.good.numpy() == pytest.approx([1, 1], abs=1e-4)


def test_scatter_is_the_bound():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(8, 24, (2, 400))
    images = np.array([200 * star(*place, (32, 32)) for place in zip(x, y, strict=True)])
    batch = image_batch(images + rng.normal(size=images.shape))
    given_x, given_y = x + rng.normal(size=400) * 0.1, y + rng.normal(size=400) * 0.1
    fit = joint_fit(batch, given_x, given_y, image=np.arange(400), position_error=0.1)
    pull = (fit.flux.numpy() - 200) / fit.flux_err.numpy()
    assert pull.std() == pytest.approx(1, abs=0.12)
    assert abs(pull.mean()) < 0.15
    # Positions are better than they were given: the bound of a Gaussian and the prior
    bound = 1 / np.sqrt(1 / 0.1**2 + (200 * 0.5 / SIGMA / np.sqrt(np.pi) / SIGMA) ** 2 / 4)
    assert (fit.x.numpy() - x).std() < 0.5 * 0.1
    assert (fit.x.numpy() - x).std() == pytest.approx(bound, rel=0.5)
    assert fit.chi2.mean().item() == pytest.approx(1, abs=0.1)


def test_pair_is_the_dense_solution():
    rng = np.random.default_rng(1)
    places = [(20.2, 20.4), (22.1, 21.0), (18.4, 23.3)]
    columns = np.array([star(x, y, (44, 40)).ravel() for x, y in places])
    variance = rng.uniform(0.5, 3, (44, 40))
    signal = (np.array([150, 90, 1000]) @ columns).reshape(44, 40) + rng.normal(size=(44, 40)) * variance**0.5
    batch = image_batch(signal[None], variance[None])
    x, y = np.array(places).T
    fit = joint_fit(batch, x, y, iterations=0)
    fisher = (columns / variance.ravel()) @ columns.T
    expected = np.linalg.solve(fisher, (columns / variance.ravel()) @ signal.ravel())
    # Two steps with the ridge, and what is negligible is left out
    assert np.abs(fit.flux.numpy() - expected).max() < 0.1 * fit.flux_err.min().item()
    assert fit.flux_err.numpy() == pytest.approx(np.sqrt(np.diag(np.linalg.inv(fisher))), rel=0.02)


def test_bound_is_the_inverse_of_the_fisher_matrix_with_free_positions():
    places, fluxes, step, error = [(20.2, 20.4), (22.1, 21.0)], [150, 90], 1e-3, 0.4
    columns = []
    for (x, y), flux in zip(places, fluxes, strict=True):
        columns.append(star(x, y, (40, 40)))
        columns.append(flux * (star(x + step, y, (40, 40)) - star(x - step, y, (40, 40))) / (2 * step))
        columns.append(flux * (star(x, y + step, (40, 40)) - star(x, y - step, (40, 40))) / (2 * step))
    columns = np.array(columns).reshape(6, -1)
    fisher = columns @ columns.T + np.diag([0, error**-2, error**-2] * 2)
    expected = np.sqrt(np.diag(np.linalg.inv(fisher)))[[0, 3]]
    batch = image_batch(np.zeros((1, 40, 40)))
    x, y = torch.tensor(places).T
    bound = flux_bound(batch, x, y, torch.tensor(fluxes).float(), position_error=error)
    assert bound.numpy() == pytest.approx(expected, rel=0.02)
    known = flux_bound(batch, x, y, torch.tensor(fluxes).float())
    assert (known < bound).all()


def test_noise_of_the_light_counts():
    quiet = flux_bound(image_batch(np.zeros((1, 30, 30))), torch.tensor([15.0]), torch.tensor([15.0]))
    loud = image_batch(np.zeros((1, 30, 30)), np.full((1, 30, 30), 4.0))
    assert flux_bound(loud, torch.tensor([15.0]), torch.tensor([15.0])).item() == pytest.approx(
        2 * quiet.item(), rel=1e-4
    )


def test_sky_level_is_fitted():
    signal = 200 * star(20, 20, (48, 48)) + 0.8 + 0.01 * np.arange(48)
    without = joint_fit(image_batch(signal[None]), [20], [20], iterations=0)
    fit = joint_fit(image_batch(signal[None]), [20], [20], iterations=0, sky_mesh=24)
    assert abs(without.flux.item() - 200) > 15
    assert fit.flux.item() == pytest.approx(200, abs=1)


def test_stamps_have_no_neighbours():
    signal = 300 * star(20.2, 20.4, (40, 40)) + 500 * star(23.1, 21, (40, 40))
    batch = image_batch(signal[None])
    fit = joint_fit(batch, [20.2, 23.1], [20.4, 21], iterations=0)
    stamps = source_stamps(batch, fit, size=21)
    assert len(stamps) == 2 and stamps.alone.shape == (2, 21, 21)
    expected = 300 * star(10.2, 10.4, (21, 21))
    assert np.abs(stamps.alone[0].numpy() - expected).max() < 0.05
    assert np.abs(stamps.own[0].numpy() - expected).max() < 0.05
    assert stamps.residual.abs().max() < 0.1
    even = source_stamps(batch, fit, size=24, rows=torch.tensor([1]))
    # The pixel of the source is the same
    assert even.profile[0, 12, 12] == even.profile.max() == stamps.profile[1, 10, 10]
    large = source_stamps(batch, fit, size=41)
    assert large.valid[0].sum() == 40 * 40 and large.profile[0].sum().item() == pytest.approx(1, abs=1e-3)
    assert stamps.in_noise().shape == (2, 5, 21, 21) and stamps.in_flux().shape == (2, 5, 21, 21)


def test_saturated_and_invalid_pixels_do_not_count():
    signal = 3000 * star(20, 20, (40, 40))
    batch = image_batch(signal[None])
    batch.saturated = batch.signal > 100
    batch.signal = batch.signal.clamp(max=100)
    batch.valid[0, :, 30:] = False
    fit = joint_fit(batch, [20.0, 35.0], [20.0, 20.0], iterations=0)
    assert fit.saturated.tolist() == [True, False]
    assert fit.flux[0].item() == pytest.approx(3000, rel=2e-3)
    # No pixel tells of the other one
    assert fit.flux[1].isnan() and fit.flux_err[1].isnan()
    assert fit.good[1] < 0.01 and fit.model.isfinite().all()


def test_nothing_and_nonsense():
    batch = image_batch(np.zeros((1, 20, 20)))
    fit = joint_fit(batch, [], [])
    assert len(fit) == 0 and len(source_stamps(batch, fit)) == 0
    with pytest.raises(ValueError, match="finite"):
        joint_fit(batch, [np.nan], [3.0])
    with pytest.raises(ValueError, match="one length"):
        joint_fit(batch, [1.0], [3.0, 4.0])
    with pytest.raises(ValueError, match="images 0 to 0"):
        joint_fit(batch, [1.0], [3.0], image=[2])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(-30, 60), st.floats(-30, 60)), max_size=6))
def test_any_places_give_finite_fluxes_or_none(places):
    batch = image_batch(np.random.default_rng(0).normal(size=(1, 24, 30)))
    x, y = np.array(places).reshape(-1, 2).T
    fit = joint_fit(batch, x, y)
    assert (fit.flux.isfinite() == fit.flux_err.isfinite()).all()
    assert (fit.flux[fit.good > 0.5].abs() < 1e3).all()
