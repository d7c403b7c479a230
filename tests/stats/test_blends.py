# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the split of candidates that are two sources."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.testing import assert_allclose, assert_array_equal

from gammapy_asid.learning.peaks import Peaks
from gammapy_asid.simulation.variations import random_structure
from gammapy_asid.stats import blends
from gammapy_asid.stats.blends import _scaled, split_blends
from gammapy_asid.stats.elongation import elongation
from gammapy_asid.stats.point_fit import fit_sources
from gammapy_asid.stats.source_stamps import sample_psf
from gammapy_asid.tasks.detection.doubles import split_peaks


def test_moments_of_a_pair(fields, tables):
    """Equal sources at either side of the middle widen it by the square of their distance from there."""
    half = (0.5, 0.3)
    batch, _, _ = fields.pair(tables, half)
    field = torch.zeros(1, dtype=torch.long)
    fit = fit_sources(batch, tables, field, *fields.middle[:, None])
    expected = fields.with_sources(tables, 1, field, fit.x, fit.y, fit.counts)
    moments, covariance = elongation(batch, tables, field, fit, expected)
    assert_allclose(moments[0], [0.25, 0.15, 0.09], atol=0.06)
    assert torch.all(torch.diagonal(covariance[0]) > 0)


@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_pair_is_split(fields, tables, ratio):
    batch, x, y = fields.pair(tables, (1.3, 0.7), seed=1, ratio=ratio)
    split = split_blends(batch, tables, torch.zeros(1, dtype=torch.long), *fields.middle[:, None])
    assert_array_equal(split.parent, [0, 0])
    order, truth = torch.argsort(split.x), torch.argsort(x)
    assert_allclose(split.x[order], x[truth], atol=0.8)
    assert_allclose(split.y[order], y[truth], atol=0.8)


@pytest.mark.parametrize("seed", range(4))
def test_single_source_stays_one(fields, tables, seed):
    batch, x, y = fields.pair(tables, (0.0, 0.0), seed=seed)
    split = split_blends(batch, tables, torch.zeros(1, dtype=torch.long), x[:1], y[:1])
    assert_array_equal(split.parent, [0])
    # As given, not as fitted
    assert_array_equal(split.x, x[:1])


def test_round_source_stays_one(fields, tables):
    """Four sources at the corners of a square: wider than a point, and not along a line."""
    field, half = torch.zeros(4, dtype=torch.long), 0.8
    x = fields.middle[0] + half * torch.tensor([1.0, 1.0, -1.0, -1.0])
    y = fields.middle[1] + half * torch.tensor([1.0, -1.0, 1.0, -1.0])
    counts = fields.counts.expand(4, -1)
    batch = fields.batch(fields.with_sources(tables, 1, field, x, y, counts), 2, fields.sky(1))
    assert len(split_blends(batch, tables, field[:1], *fields.middle[:, None]).x) == 1


def test_peaks_keep_their_order(fields, tables):
    batch, _, _ = fields.pair(tables, (0.9, 0.5), seed=1)
    values = np.array([5.0, float(fields.middle[0]), 40.0]), np.array([8.0, float(fields.middle[1]), 40.0])
    score = np.array([0.05, 0.9, 0.02])
    peaks = Peaks(np.zeros(3, int), *values, score, score.copy(), np.full(3, 0.5))
    result, _ = split_peaks(peaks, batch, tables)
    assert_array_equal(result.score, [0.05, 0.9, 0.9, 0.02])
    assert_array_equal(result.x[[0, 3]], values[0][[0, 2]])
    assert abs(result.x[1] - result.x[2]) > 1
    # The input is left alone
    assert_array_equal(peaks.x, values[0])


def test_fit_after_the_split(fields, tables):
    """What the split hands on is close to a fit of everything at once; a source far off keeps its own."""
    batch, _, _ = fields.pair(tables, (1.3, 0.7), seed=1)
    values = np.array([44.0, float(fields.middle[0])]), np.array([6.0, float(fields.middle[1])])
    score = np.array([0.95, 0.9])
    peaks = Peaks(np.zeros(2, int), *values, score, score.copy(), np.full(2, 0.5))
    result, fit = split_peaks(peaks, batch, tables)
    assert_array_equal(result.score, [0.95, 0.9, 0.9])
    assert [stamps.shape[0] for stamps in fit.residuals] == [3] * len(fields.levels)
    place = (torch.as_tensor(v, dtype=torch.float32) for v in (result.x, result.y))
    again = fit_sources(batch, tables, torch.zeros(3, dtype=torch.long), *place)
    assert_allclose(fit.x[1:], again.x[1:], atol=0.15)
    assert_allclose(fit.y[1:], again.y[1:], atol=0.15)
    assert_allclose(fit.counts[1:].sum(1), again.counts[1:].sum(1), rtol=0.05)
    # A peak too faint for the fit leaves its neighbours without one
    peaks.score[0] = 0.02
    assert split_peaks(peaks, batch, tables)[1] is None


def test_nothing_to_split(fields, tables):
    batch, _, _ = fields.pair(tables, (0.0, 0.0), seed=0)
    empty = torch.zeros(0)
    assert len(split_blends(batch, tables, torch.zeros(0, dtype=torch.long), empty, empty).x) == 0


def test_wider_point_spread_function(tables):
    """Twice as wide: a quarter of the height at twice the distance, and slopes that are derivatives."""
    wide, at, step = _scaled(tables, 2.0), torch.tensor([0.5]), 0.05
    psf, east, north = sample_psf(wide[3], 2 * at, at, 8)
    assert_allclose(psf[0, 8, 8], sample_psf(tables[3], at, at / 2, 8)[0][0, 8, 8] / 4, rtol=0.02)
    for slope, dx, dy in ((east, step, 0), (north, 0, step)):
        up, down = (sample_psf(wide[3], 2 * at + s * dx, at + s * dy, 8)[0] for s in (1, -1))
        assert_allclose(slope, (up - down) / (2 * step), atol=0.05 * slope.abs().max().item())


def test_far_sources_are_two_peaks(fields, tables, monkeypatch):
    """Sources farther apart than two match radii are left to the network."""
    batch, _, _ = fields.pair(tables, (3.0, 1.2), seed=1)
    zero = torch.zeros(1, dtype=torch.long)
    assert len(split_blends(batch, tables, zero, *fields.middle[:, None]).x) == 1
    monkeypatch.setattr(blends, "FARTHEST", 8.0)
    assert len(split_blends(batch, tables, zero, *fields.middle[:, None]).x) == 2


def test_blends_beside_each_other(fields, tables):
    """A single source beside a pair stays one, whatever its neighbour gains."""
    field = torch.zeros(3, dtype=torch.long)
    x = fields.middle[0] + torch.tensor([1.3, -1.3, 9.0])
    y = fields.middle[1] + torch.tensor([0.7, -0.7, 2.0])
    expected = fields.with_sources(tables, 1, field, x, y, fields.counts.expand(3, -1))
    batch = fields.batch(expected, seed=1, background=fields.sky(1))
    start = torch.stack([fields.middle, torch.stack([x[2], y[2]])], 1)
    assert_array_equal(split_blends(batch, tables, field[:2], *start).parent, [0, 0, 1])


def test_structure_of_the_sky(fields, tables, monkeypatch):
    """On clumps of the sky that nobody predicted a second source gains, but no more than chance allows."""
    n = 8
    clumps = 1 + 0.3 * random_structure(n, fields.size, torch.Generator().manual_seed(0), slope=1.5)
    clumps = clumps.clamp(min=0.1)
    expected = [
        30 * sky * F.avg_pool2d(clumps[:, None], 2**level)[:, 0]
        for sky, level in zip(fields.sky(n), fields.levels, strict=True)
    ]
    batch = fields.batch(expected, seed=1)
    # The brightest clump of each field off its edge
    inner = F.avg_pool2d(clumps[:, None], 5, 1, 2)[:, 0, 10:-10, 10:-10]
    place = inner.flatten(1).argmax(1)
    x, y = (10.0 + value for value in (place % inner.shape[-1], place // inner.shape[-1]))
    found = []
    for chance in (blends.dispersion, lambda batch, *_: torch.ones(len(batch), 1)):
        monkeypatch.setattr(blends, "dispersion", chance)
        found.append(len(split_blends(batch, tables, torch.arange(n), x, y).x))
    assert found == [n, n + 1]
