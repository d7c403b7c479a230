# Licensed under a 3-clause BSD style license - see LICENSE
"""Trails as lines: gaps, bends, crossings, ends, and what is no line."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gammapy_asid.optical.detection.trail_lines import trail_pixels

SHAPE = 240, 300


def line(angle=20.0, bend=0.0, start=-500, stop=500, width=1.5, middle=(150, 120)):
    """Distance from a line below its width, bool."""
    y, x = np.indices(SHAPE)
    angle = np.radians(angle)
    dx, dy = x - middle[0], y - middle[1]
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    return (np.abs(across - bend * along**2) <= width) & (along >= start) & (along <= stop)


def seen(pixels, share=1.0, seed=0, brightness=2.0):
    """Logits of a network that is sure of a share of a trail's length, the image, and where data are."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(0, 1, SHAPE) + brightness * pixels
    marked = pixels.copy()
    # In columns of 20 pixels the trail is seen, or it is not
    marked[:, np.repeat(rng.random(SHAPE[1] // 20) > share, 20)] = False
    return np.where(marked, 3.0, np.where(pixels, -3.0, -6.0)), signal, np.ones(SHAPE, bool)


@pytest.mark.parametrize("bend", [0.0, 4e-4])
@pytest.mark.parametrize("angle", [0.0, 37.0, 90.0, 155.0])
def test_gaps_are_filled_by_the_light(angle, bend):
    true = line(angle, bend)
    logits, *image = seen(true, share=0.5 if angle % 90 else 1.0)
    found = trail_pixels(logits, *image, 2.5)
    assert (found & true).sum() > 0.9 * true.sum()
    near = line(angle, bend, width=4)
    assert (found & near).sum() > 0.97 * found.sum()


def test_a_trail_goes_on_behind_a_star_and_across_bad_columns():
    true = line(10.0)
    logits, signal, valid = seen(true)
    logits[:, 100:130] = -6
    y, x = np.indices(SHAPE)
    signal += 3000 * np.exp(-((x - 115) ** 2 + (y - 114) ** 2) / 40)
    valid[:, 200:210] = False
    found = trail_pixels(logits, np.where(valid, signal, np.nan), valid, 2.5)
    assert not found[:, 200:210].any()
    true[:, 200:210] = False
    assert (found & true).sum() > 0.95 * true.sum()


def test_an_end_is_one():
    true = line(30.0, start=-20)
    found = trail_pixels(*seen(true), 2.5)
    assert (found & true).sum() > 0.9 * true.sum()
    assert not (found & line(30.0, stop=-45, width=6)).any()


def test_lines_that_cross_are_both_found():
    first, second = line(15.0), line(100.0)
    found = trail_pixels(*seen(first | second), 2.5)
    for true in (first, second):
        assert (found & true).sum() > 0.95 * true.sum()
    assert (found & (line(15.0, width=4) | line(100.0, width=4))).sum() > 0.97 * found.sum()


def test_width_is_that_of_the_trail():
    for half in (1.5, 6.0):
        true = line(25.0, width=half)
        found = trail_pixels(*seen(true), 2.5)
        assert found.sum() == pytest.approx(true.sum(), rel=0.25)


def test_what_is_no_line_is_no_trail():
    y, x = np.indices(SHAPE)
    ring = np.abs(np.hypot(x - 150, y - 120) - 30) < 4
    disk = np.hypot(x - 60, y - 60) < 15
    short = line(20.0, start=-9, stop=9)
    for pixels in (ring, disk, short):
        assert not trail_pixels(*seen(pixels), 2.5).any()
    assert not trail_pixels(*seen(np.zeros(SHAPE, bool)), 2.5).any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.sampled_from([1.1, 3.0, 6.0]))
def test_any_image_gives_pixels_with_data(seed, ny, nx, fwhm):
    rng = np.random.default_rng(seed)
    logits, signal = rng.normal(0, 3, (2, ny, nx))
    valid = rng.random((ny, nx)) < 0.8
    signal[~valid] = np.nan
    found = trail_pixels(logits, signal, valid, fwhm)
    assert found.shape == (ny, nx) and found.dtype == bool and not found[~valid].any()
    assert np.array_equal(found, trail_pixels(logits, signal, valid, fwhm))
