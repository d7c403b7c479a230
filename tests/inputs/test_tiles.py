# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the tiling of large fields."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from gammapy_asid.inputs.tiles import Tiling


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    inner=st.integers(2, 8),
    overlap=st.integers(0, 6),
    block=st.sampled_from([1, 4, 8]),
)
def test_inner_parts_partition_the_field(shape, inner, overlap, block):
    shape = tuple(block * n for n in shape)
    size, margin = block * (inner + 2 * overlap), block * overlap
    tiling = Tiling(shape, tile=size, overlap=margin, block=block)
    hits = np.zeros(shape, dtype=int)
    for tile in tiling:
        hits[tile.inner] += 1
        for outer, kept, n in zip(tile.outer, tile.inner, shape, strict=True):
            assert outer.start % block == 0
            assert outer.stop % block == 0
            assert 0 <= outer.start <= kept.start < kept.stop <= outer.stop <= n
            assert outer.stop - outer.start <= size
            assert kept.start - outer.start == margin or outer.start == 0
            assert outer.stop - kept.stop == margin or outer.stop == n
    assert (hits == 1).all()


def test_stitch_is_seamless():
    field = np.random.default_rng(0).normal(size=(2, 208, 120))
    tiling = Tiling(field.shape[1:], tile=64, overlap=16, block=8)
    assert len(tiling) > 4

    def network(image):
        return uniform_filter(image, size=(0, 33, 33), mode="constant")

    stitched = tiling.stitch(network(tile.cut(field)) for tile in tiling)
    np.testing.assert_allclose(stitched, network(field), atol=1e-12)


def test_levels_cut_the_same_sky():
    fine = np.random.default_rng(1).poisson(1.0, (96, 64))
    coarse = fine.reshape(12, 8, 8, 8).sum(axis=(1, 3))
    for tile in Tiling(fine.shape, tile=48, overlap=8, block=8):
        cut = tile.cut(fine)
        expected = cut.reshape(cut.shape[0] // 8, 8, cut.shape[1] // 8, 8).sum(axis=(1, 3))
        np.testing.assert_array_equal(tile.cut(coarse, level=3), expected)


def test_small_field_is_one_tile():
    (tile,) = Tiling((104, 200))
    assert tile.outer == tile.inner == (slice(0, 104), slice(0, 200))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (dict(shape=(100, 96)), "multiples of 8"),
        (dict(shape=(96, 96), tile=100), "multiples of 8"),
        (dict(shape=(96, 96), tile=64, overlap=32), "no inner part"),
    ],
)
def test_bad_sizes(args, message):
    with pytest.raises(ValueError, match=message):
        Tiling(**args)


def test_stitch_needs_one_result_a_tile():
    with pytest.raises(ValueError, match="shorter"):
        Tiling((96, 96), tile=48, overlap=8).stitch([np.zeros((48, 48))])
