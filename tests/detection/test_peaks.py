# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of source centres in score maps."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from gammapy_asid.inputs.bands import LAT_BANDS
from gammapy_asid.learning.peaks import (
    Peaks,
    _laplacian_kernel,
    edge_distance,
    find_centres,
    kmeans_centres,
)
from gammapy_asid.learning.targets import target_maps

PIXEL_SIZE = 0.1
SHAPE = (64, 80)


def network_answer(x, y, field=None, n_fields=1, probability=0.999, sigma=0.3):
    """What a network that knows the truth would answer."""
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    field = torch.zeros(len(x), dtype=torch.long) if field is None else torch.tensor(field)
    target = target_maps(field, x, y, torch.full((n_fields,), PIXEL_SIZE), n_fields, SHAPE)
    maps = torch.logit(target[:, :2].clamp(1e-6, probability))
    log_sigma = torch.full_like(target[:, :1], np.log(sigma))
    return torch.cat([maps, target[:, 2:4], log_sigma], 1)


def valid(n=1):
    return torch.ones(n, *SHAPE)


def test_laplacian_of_gaussian():
    sigma = LAT_BANDS.centre_sigma / PIXEL_SIZE
    kernel = _laplacian_kernel(sigma)
    half = len(kernel) // 2
    grid = np.arange(-half, half + 1)
    gauss = np.exp(-np.add.outer(grid**2, grid**2) / (2 * sigma**2))
    assert_allclose((kernel * gauss).sum(), 1)
    assert_allclose(kernel.sum(), 0, atol=1e-12)


def test_two_sources_half_a_degree_apart():
    x, y = [30.2, 34.7], [20.4, 22.6]
    assert_allclose(np.hypot(*np.diff([x, y])), 5, rtol=0.01)
    peaks = find_centres(network_answer(x, y), PIXEL_SIZE, valid())
    order = np.argsort(peaks.x)
    assert len(peaks) == 2
    # Sub-pixel positions come from the offset maps.
    assert_allclose(peaks.x[order], x, atol=1e-4)
    assert_allclose(peaks.y[order], y, atol=1e-4)
    assert_allclose(peaks.score, 0.999, rtol=1e-3)
    assert_allclose(peaks.sigma, 0.3, rtol=1e-5)
    assert_allclose(peaks.height, 1, atol=0.25)


def test_wide_emission_is_no_source():
    # A plateau of high score has no curvature inside.
    output = torch.full((1, 5, *SHAPE), -9.0)
    output[:, :2, 10:50, 10:60] = 3.0
    inside = find_centres(output, PIXEL_SIZE, valid(), threshold=0.5)
    assert not np.any((inside.x > 16) & (inside.x < 53) & (inside.y > 16) & (inside.y < 43))


def test_empty_map():
    output = torch.full((2, 5, *SHAPE), -9.0)
    peaks = find_centres(output, PIXEL_SIZE, valid(2))
    assert isinstance(peaks, Peaks)
    assert len(peaks) == 0
    assert all(len(v) == 0 for v in vars(peaks).values())


def test_masked_sources_are_left_out():
    mask = valid()
    mask[:, :, 40:] = 0
    peaks = find_centres(network_answer([20.0, 60.0], [30.0, 30.0]), PIXEL_SIZE, mask)
    assert_allclose(peaks.x, [20], atol=1e-4)


def test_order_and_fields():
    output = network_answer([20.0, 40.0, 50.0], [30.0, 30.0, 10.0], [1, 1, 0], n_fields=2)
    output[1, 1, 28:33, 18:23] = 0.0
    peaks = find_centres(output, PIXEL_SIZE, valid(2))
    assert_allclose(peaks.field, [0, 1, 1])
    assert_allclose(peaks.x, [50, 40, 20], atol=1e-4)
    assert_allclose(peaks.score, [0.999, 0.999, 0.5], rtol=1e-3)
    assert_allclose(peaks.select(peaks.field == 1).x, [40, 20], atol=1e-4)


def test_offsets_out_of_the_field_are_left_out():
    output = network_answer([79.0], [30.0])
    output[:, 2] = 1.4
    assert len(find_centres(output, PIXEL_SIZE, valid())) == 0


def test_distance_to_the_edge():
    """Edges lie half way between pixels, those of the image too; outside distances are negative."""
    valid = np.zeros((20, 30), bool)
    valid[:, 10:] = True
    x, y = [10.0, 12.0, 9.5, 9.0, 7.25, 29.0, 20.0], [10.0, 10.0, 10.0, 10.0, 10.0, 10.0, 1.0]
    assert_allclose(edge_distance(valid, x, y), [0.5, 2.5, 0.0, -0.5, -2.25, 0.5, 1.5], atol=1e-9)


@pytest.mark.parametrize("seed", [0, 1])
def test_kmeans(seed):
    x, y = [20.2, 40.7, 46.1], [30.4, 12.6, 12.9]
    centre = torch.sigmoid(network_answer(x, y)[0, 0]).numpy()
    found_x, found_y = kmeans_centres(centre, seed=seed)
    order = np.argsort(found_x)
    # Pixels are whole: their centroid is good to a fraction of one.
    assert_allclose(found_x[order], x, atol=0.4)
    assert_allclose(found_y[order], y, atol=0.4)


def test_kmeans_of_nothing():
    x, y = kmeans_centres(np.zeros((20, 20), np.float32))
    assert len(x) == len(y) == 0
