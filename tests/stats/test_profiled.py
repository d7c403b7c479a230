# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the score test with a free level of the emission."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from gammapy_asid.stats.profiled import profiled_score_terms, windows
from gammapy_asid.stats.significance import score_terms, signed_significance

SIZE, HALF = 41, 10


def gaussian(sigma):
    step = torch.arange(-HALF, HALF + 1.0)
    kernel = torch.exp(-(step[:, None] ** 2 + step**2) / (2 * sigma**2))
    return (kernel / kernel.sum())[None]


def significance(counts, background, kernel, mask=None):
    mask = torch.ones_like(counts) if mask is None else mask
    terms, profiled = profiled_score_terms(counts, background, mask, torch.ones_like(counts), kernel)
    return signed_significance(*terms), signed_significance(*profiled)


def test_windows_are_disks_of_three_widths():
    window = windows(
        torch.stack([gaussian(0.5)[0], gaussian(1.5)[0], gaussian(9.0)[0], 0 * gaussian(1.0)[0]])
    )
    # 68 % of a Gaussian lie within 1.51 sigma
    radius = np.sqrt(window.sum((-2, -1)).numpy() / np.pi)
    assert_allclose(radius, [3.0, 6.8, HALF, 3.0], atol=0.6)


def test_known_terms_are_those_of_the_score_test():
    counts, ones = torch.poisson(torch.full((1, SIZE, SIZE), 3.0)), torch.ones(1, SIZE, SIZE)
    images = counts, 3 * ones, ones, ones, gaussian(1.5)
    for one, other in zip(profiled_score_terms(*images)[0], score_terms(*images), strict=True):
        assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_wrong_level_is_no_source(factor):
    generator = torch.Generator().manual_seed(1)
    sky = torch.full((64, SIZE, SIZE), 5.0)
    counts = torch.poisson(factor * sky, generator=generator)
    known, free = (value[:, 10:-10, 10:-10] for value in significance(counts, sky, gaussian(1.5)))
    assert_allclose(free.mean(), 0, atol=0.15)
    assert_allclose(free.std(), 1, atol=0.12)
    if factor != 1:
        assert abs(known.mean()) > 5 * abs(free.mean())


def test_isotropic_part_that_nobody_knew():
    generator = torch.Generator().manual_seed(2)
    slope = torch.linspace(1, 9, SIZE).expand(64, SIZE, SIZE)
    counts = torch.poisson(slope + 4, generator=generator)
    known, free = (value[:, 10:-10, 10:-10] for value in significance(counts, slope, gaussian(1.5)))
    assert abs(free.mean()) < 0.2 < 1 < known.mean()


def test_source_is_as_significant_as_in_a_fit_of_source_and_level():
    kernel, level, amplitude = gaussian(1.5), 4.0, 60.0
    sky = torch.full((1, SIZE, SIZE), level)
    counts = 1.4 * sky.clone()
    middle = slice(SIZE // 2 - HALF, SIZE // 2 + HALF + 1)
    counts[:, middle, middle] += amplitude * kernel
    _, free = significance(counts, sky, kernel)
    window = windows(kernel)[0].numpy().astype(bool)
    n, profile = counts[0, middle, middle].numpy()[window], kernel[0].numpy()[window]

    def deviance(source, scale):
        expected = scale * level + source * profile
        return 2 * (expected - n * np.log(expected)).sum()

    with_source = minimize(lambda p: deviance(*p), [50, 1.5], bounds=[(0, None), (0.1, None)]).fun
    without = minimize(lambda p: deviance(0, *p), [1.5], bounds=[(0.1, None)]).fun
    expected = np.sqrt(without - with_source)
    assert expected > 3.5
    # A test of the score at no source: less at strong ones
    assert_allclose(float(free[0, SIZE // 2, SIZE // 2]), expected, rtol=0.15)


def test_masks_and_empty_fields_are_finite():
    sky, mask = torch.full((1, SIZE, SIZE), 1e-5), torch.zeros(1, SIZE, SIZE)
    mask[:, :, 18:20] = 1
    for value in significance(0 * sky, sky, gaussian(1.5), mask):
        assert torch.isfinite(value).all()
    values = significance(1e4 * torch.ones_like(sky), sky, gaussian(1.5))
    assert all(torch.isfinite(value).all() for value in values)
