# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of sources in fields of their own, and of hypotheses on them."""

import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.stats.alone import alone
from gammapy_asid.stats.hypotheses import best_levels, dispersion
from gammapy_asid.stats.point_fit import fit_sources


@pytest.fixture(scope="module")
def crowd(fields, tables):
    """Two fields, of which the second has two sources 7 pixels apart: their counts as expected, and a fit."""
    field = torch.tensor([0, 1, 1])
    x, y = torch.tensor([3.3, 24.2, 31.0]), torch.tensor([40.1, 23.7, 25.2])
    expected = fields.with_sources(tables, 2, field, x, y, fields.counts.expand(3, -1))
    batch = fields.batch(expected, background=fields.sky(2))
    return batch, expected, field, fit_sources(batch, tables, field, x, y, sky=fields.sky(2))


def test_alone(crowd, fields, tables):
    """The neighbour is part of the sky, the counts are those of the field, nothing lies beyond its edge."""
    batch, expected, field, fit = crowd
    small, around, corner = alone(batch, tables, expected, field, fit, torch.tensor([0, 2]))
    assert torch.all(corner % 8 == 0)
    place = torch.stack([fit.x, fit.y], -1)[[0, 2]] - corner
    assert len(small) == 2
    column, row = (int(v) for v in torch.round(place[1]))
    assert small.counts[3][1, row, column] == batch.counts[3][1, 25, 31]
    neighbour = fields.with_sources(tables, 2, field[1:2], fit.x[1:2], fit.y[1:2], fit.counts[1:2])
    for band, level in enumerate(fields.levels):
        c, r = (int(v) >> level for v in (column, row))
        wanted = neighbour[band][1, 25 >> level, 31 >> level]
        assert_allclose(around[band][1, r, c], wanted, rtol=0.02, atol=0.2)
    # The first lies near the left edge, beyond which no pixel is valid
    assert small.mask[3][0, :, : -int(corner[0, 0])].max() == 0
    again = fit_sources(small, tables, torch.arange(2), *place.unbind(-1), sky=around)
    assert_allclose(again.counts.sum(1), fit.counts[[0, 2]].sum(1), rtol=0.02)


def test_level_of_the_sky(fields, tables):
    """A sky given too low is found, and costs what the prior on it says."""
    zero = torch.zeros(1, dtype=torch.long)
    x, y = fields.middle[:, None]
    expected = fields.with_sources(tables, 1, zero, x, y, fields.counts[None])
    batch = fields.batch(expected, background=fields.sky(1))
    images = [e - s for e, s in zip(expected, fields.sky(1), strict=True)]
    true, level = best_levels(batch, fields.sky(1), images, x, y)
    assert_allclose(level, 1, atol=1e-3)
    low, level = best_levels(batch, [s / 1.03 for s in fields.sky(1)], images, x, y)
    # Bands of many photons say more than the prior of 5 %
    assert_allclose(level[0, :2], 1.03, atol=0.003)
    assert_allclose(level[0, 5], 1, atol=1e-3)
    assert_allclose((true - low)[0, 0], (0.03 / 0.05) ** 2, atol=0.1)


@pytest.mark.parametrize(("structure", "low", "high"), [(0.0, 1.0, 1.9), (0.4, 3.0, 100.0)])
def test_dispersion(fields, structure, low, high):
    """One for counts of the model; more where the sky has structure that the model lacks."""
    generator = torch.Generator().manual_seed(4)
    sky = fields.sky(8)
    real = [s * (1 + structure * (2 * torch.rand(s.shape, generator=generator) - 1)) for s in sky]
    batch = fields.batch(real, seed=3)
    x, y = fields.middle[:, None].expand(-1, 8)
    chance = dispersion(batch, sky, x, y)
    assert chance.shape == (8, len(fields.levels))
    assert chance.min() >= 1
    assert low <= chance[:, :2].mean() <= high
    # Few photons hide what a fourth of the sky is
    assert chance[:, 5].mean() < 1.9
