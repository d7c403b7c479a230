# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the maximum-likelihood fit of many sources."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.inputs.psf import mean_psf, psf_kernels
from gammapy_asid.stats.band_fit import BandData, BandFit
from gammapy_asid.stats.image_bounds import position_covariance, source_image
from gammapy_asid.stats.point_fit import fit_sources
from gammapy_asid.stats.source_images import position_information
from gammapy_asid.stats.source_stamps import add_stamps, sample_psf, source_stamps


def test_tables_hold_the_kernels(response, tables):
    kernels = psf_kernels(mean_psf(response), half=16)
    for band in (0, 3, 5):
        # Phase (3, 1) of five: 0.2 pixels up, 0.2 pixels left of the middle.
        psf = sample_psf(tables[band], torch.tensor([-0.2]), torch.tensor([0.2]), 8)[0, 0]
        assert_allclose(psf, kernels[band, 0, 3, 1, 8:25, 8:25], atol=1e-6)


def test_slopes_are_derivatives(tables):
    at, step = torch.tensor([0.13]), 0.05
    up, down = (sample_psf(tables[3], at + s, at, 8)[0] for s in (step, -step))
    slope = sample_psf(tables[3], at, at, 8)[1]
    assert_allclose(slope, (up - down) / (2 * step), atol=0.05 * slope.abs().max().item())


def test_stamps_and_their_sum_are_adjoint():
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(2, 20, 24, generator=rng)
    stamps = torch.rand(3, 7, 7, generator=rng)
    place = torch.tensor([0, 1, 1]), torch.tensor([0, 12, 23]), torch.tensor([5, 0, 19])
    cut = source_stamps(image, *place, 3)
    assert cut[0, 3, 3] == image[0, 5, 0]
    total = add_stamps(stamps, *place, image.shape)
    assert_allclose((cut * stamps).sum(), (total * image).sum(), rtol=1e-5)


def test_fit_of_expected_counts_finds_the_truth(fields, tables):
    field = torch.tensor([0, 0, 1])
    x, y = torch.tensor([15.3, 30.1, 20.0]), torch.tensor([20.2, 26.4, 25.7])
    counts = torch.tensor(
        [[900, 700, 500, 300, 60, 30], [300, 300, 200, 150, 30, 10], [60, 80, 80, 60, 15, 8]]
    )
    counts = counts.float()
    sky = fields.sky(2)
    batch = fields.batch(fields.with_sources(tables, 2, field, x, y, counts), background=sky)
    fit = fit_sources(batch, tables, field, x + 0.6, y - 0.5)
    assert_allclose(fit.x, x, atol=0.06)
    assert_allclose(fit.y, y, atol=0.06)
    assert_allclose(fit.counts[:, 2:], counts[:, 2:], rtol=0.12)
    assert_allclose(fit.background[:, 3], 0.6, rtol=0.1)
    fixed = fit_sources(batch, tables, field, x, y, free_position=False)
    assert torch.equal(fixed.x, x)
    assert_allclose(fixed.counts[:, 2:], counts[:, 2:], rtol=0.1)


@pytest.mark.parametrize("share", [0.03, 0.1])
def test_faint_sources_stay_near_the_start(fields, tables, share):
    """A fit is the mean of start and data, weighted with the prior of 1.5 pixels and with the data."""
    field, moved = torch.zeros(1, dtype=torch.long), torch.tensor([0.5, -0.4])
    x, y = fields.middle[:, None]
    expected = fields.with_sources(tables, 1, field, x, y, share * fields.counts[None])
    batch = fields.batch(expected, background=fields.sky(1))
    fit = fit_sources(batch, tables, field, x + moved[0], y + moved[1])
    information = fit.information[0]
    back = torch.linalg.solve(information + torch.eye(2) / 1.5**2, information @ -moved)
    assert_allclose(torch.cat([fit.x - x, fit.y - y]) - moved, back, atol=2e-3)


def test_close_sources_are_separated(fields, tables):
    field = torch.zeros(2, dtype=torch.long)
    x, y = torch.tensor([22.0, 26.0]), torch.tensor([24.0, 24.0])
    counts = torch.tensor([[0, 300, 300, 400, 100, 50], [0, 100, 100, 150, 40, 20]]).float()
    sky = fields.sky(1)
    batch = fields.batch(fields.with_sources(tables, 1, field, x, y, counts), background=sky)
    fit = fit_sources(batch, tables, field, x, y)
    assert_allclose(fit.x, x, atol=0.3)
    assert_allclose(fit.counts[:, 3:].sum(1), counts[:, 3:].sum(1), rtol=0.1)
    # Alone, the fainter one would take photons of its neighbour.
    alone = fit_sources(batch, tables, field[1:], x[1:], y[1:], free_position=False)
    assert alone.counts[0, 3:].sum() > 1.2 * fit.counts[1, 3:].sum()
    assert fit.neighbours[1, 3] > 0


def test_scatter_is_that_of_the_bound(fields, tables):
    n = 200
    field = torch.arange(n)
    rng = np.random.default_rng(1)
    x, y = (torch.tensor(24 + rng.uniform(-0.5, 0.5, n), dtype=torch.float32) for _ in range(2))
    counts = torch.tensor([[100, 120, 100, 70, 15, 8]]).float().expand(n, -1)
    sky = fields.sky(n)
    expected = fields.with_sources(tables, n, field, x, y, counts)
    ones = [torch.ones_like(e) for e in expected]
    information = position_information(tables, fields.levels, expected, ones, field, x, y, counts)
    covariance = torch.linalg.inv(information.sum(1))
    bound = torch.sqrt((covariance[:, 0, 0] + covariance[:, 1, 1]) / 2)
    fit = fit_sources(fields.batch(expected, seed=2, background=sky), tables, field, x, y)
    pull = torch.stack([fit.x - x, fit.y - y]) / bound
    # The prior on the position, of 1.5 pixels, narrows it a little.
    assert 0.8 < float(pull.std()) < 1.2
    assert abs(float(pull.mean())) < 0.15
    stated = torch.sqrt(1 / fit.information[:, 0, 0])
    assert_allclose(stated.median(), bound.median(), rtol=0.15)
    assert_allclose(fit.counts.mean(0)[3:], counts[0, 3:], rtol=0.15)


def test_information_is_that_of_the_image(fields, response, tables):
    counts = np.array([100, 120, 100, 70, 15, 8.0])
    per_sub = np.zeros((6, 3))
    per_sub[3:, 1] = counts[3:]
    narrow = mean_psf(response)
    # The same with the bands of the finest level only.
    place = 20.2, 24.4
    images = [
        source_image(
            place[0] + dx,
            place[1] + dy,
            counts[:, None] * (np.arange(6) > 2)[:, None],
            narrow,
            (fields.size,) * 2,
        )
        for dx, dy in ((0, 0), (0.1, 0), (-0.1, 0), (0, 0.1), (0, -0.1))
    ]
    slope = np.array([images[1] - images[2], images[3] - images[4]]) / 0.2
    sky = np.array(fields.rates)[:, None, None]
    expected = position_covariance(images[0][3:], slope[:, 3:], np.broadcast_to(sky, images[0].shape)[3:])
    only = torch.tensor(counts * (np.arange(6) > 2)).float()[None]
    x, y = (torch.tensor([v]) for v in place)
    total = fields.with_sources(tables, 1, torch.tensor([0]), x, y, only)
    ones = [torch.ones_like(t) for t in total]
    information = position_information(tables, fields.levels, total, ones, torch.tensor([0]), x, y, only)
    assert_allclose(torch.linalg.inv(information.sum(1))[0, :2, :2], expected, rtol=0.1, atol=1e-4)


def test_a_step_leaves_the_state_before_it(fields, tables):
    field, place = torch.zeros(1, dtype=torch.long), fields.middle[:, None]
    expected = fields.with_sources(tables, 1, field, *place, fields.counts[None])
    batch = fields.batch(expected, background=fields.sky(1))
    start = BandFit.start(BandData(batch, 3, tables[3], field, *place), fields.sky(1)[3], *place)
    one = start.stepped()
    assert start.amplitude == 0 < one.amplitude
    assert not torch.equal(one.moved(*(place + 0.3)).photons.psf, one.photons.psf)
    # In any order
    assert torch.equal(start.stepped().amplitude, one.amplitude)
    assert torch.equal(start.with_sky(fields.sky(1)[3]).stepped().expected, one.expected)
    with pytest.raises(AttributeError):
        one.amplitude = start.amplitude
