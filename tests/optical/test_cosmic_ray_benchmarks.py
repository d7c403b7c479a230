# Licensed under a 3-clause BSD style license - see LICENSE
"""What the benchmarks of cosmic rays and trails put into images, and how they count."""

import numpy as np
import pytest

frames = pytest.importorskip("benchmarks.optical.cosmic_ray_frames")
rays = pytest.importorskip("benchmarks.optical.cosmic_rays")
trail_frames = pytest.importorskip("benchmarks.optical.trail_frames")
trails = pytest.importorskip("benchmarks.optical.trails")


@pytest.fixture
def frame():
    return frames.Frame("test", np.zeros((60, 80)), 2.0, np.full((60, 80), 2.0), 4.0)


def test_true_pixels_have_three_standard_deviations(frame):
    stamp = np.array([[0.5, 2.0, 5.0, 50.0]])
    new = frames.put_in(frame, np.random.default_rng(1), lambda random: stamp, 1)
    assert new.data.sum() == pytest.approx(2 * stamp.sum())
    assert sorted(new.data[new.true]) == [10, 100]
    assert new.data[new.neutral] == [4]
    assert np.array_equal(new.tracks > 0, new.true)


def test_real_tracks_get_no_brighter(frame):
    stamp = np.full((2, 3), 10.0)
    new = frames.put_in(frame, np.random.default_rng(1), [stamp], 1)
    assert 0.15 * 20 < new.data.max() <= 20
    assert (new.data > 0).sum() == 6


def test_simulated_tracks_hold_charge():
    random = np.random.default_rng(2)
    stamps = [frames.simulated_track(random) for _ in range(50)]
    assert all(np.isfinite(s).all() and s.sum() > 0 for s in stamps)
    # Some are dots, some are long
    reach = [np.hypot(*np.ptp(np.argwhere(s > 1), axis=0)) for s in stamps if (s > 1).any()]
    assert min(reach) < 3 and max(reach) > 15


def test_best_thresholds():
    found, false = np.array([100, 96, 80, 50]), np.array([100, 24, 4, 0])
    precision, recall = rays.best(found, false, 100)
    assert precision == 0.8
    assert recall == 0.8
    assert rays.best(np.array([10]), np.array([0]), 100) == (0, 0.1)


def test_sources_on_rays_are_counted_once(frame):
    tracks = np.zeros((60, 80), int)
    tracks[10, 10:20], tracks[40, 50] = 1, 2
    new = frame.changed(tracks=tracks, true=tracks > 0)
    # Two on the first ray, one of which was there before, and one elsewhere
    before = np.array([12.0]), np.array([10.0])
    after = np.array([12.3, 18, 70]), np.array([10.0, 11, 30])
    counts = rays.on_rays([new], [frame], lambda f: after if f is new else before)
    assert counts == {"rays": 2, "rays_with_source": 1, "sources": 3, "sources_on_rays": 1}


def test_trails_have_the_brightness_and_width_that_they_say(frame):
    for seed in range(5):
        trailed, trail = trail_frames.put_in_trail(frame.changed(gain=None), 3.0, np.random.default_rng(seed))
        light = trailed.data / 2
        assert light.max() == pytest.approx(trail.peak, rel=0.1)
        assert (light[trail.core] > 0).all()
        assert not (trail.core & ~trail.region).any()
        assert light[~trail.region].max() <= 0.1
        assert trail.width > 2.9


def test_a_trail_is_masked_from_half_of_its_core_on():
    rows = [
        {"cover": 0.5, "on": 30, "off": 10, "kind": "a", "peak": 2.0},
        {"cover": 0.4, "on": 10, "off": 0, "kind": "a", "peak": 0.6},
    ]
    numbers = trails.mask_numbers(rows)
    assert numbers["masked"][0] == 0.5
    assert numbers["purity"] == 0.8
    assert numbers["mean_purity"] == pytest.approx(0.875)
    assert dict(trails.groups(rows))["0.5 to 1"] == rows[1:]
