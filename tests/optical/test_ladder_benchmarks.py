# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of the scores of the ladder of densities and of the pair of JWST images."""

import numpy as np
import pytest

from benchmarks.optical.jwst import best_at, confirmed
from benchmarks.optical.ladder_tables import (
    bound_scatter,
    common_scatter,
    detection_numbers,
    flux_numbers,
)


def test_confirmed_within_two_pixels_and_away_from_edges():
    x, y = np.array([100.0, 200.0, 300.0, 5.0]), np.array([100.0, 210.0, 300.0, 100.0])
    other = np.array([101.5, 200.0, 302.5, 5.0]), y
    found = confirmed((x, y), other)
    # The third is 2.5 pixels away, the fourth on the edge
    assert found == {"count": 3, "share": pytest.approx(2 / 3), "by chance": 0}
    assert confirmed((x, y), other, (150, 900))["share"] == 0.5


def test_confirmed_by_chance_of_a_list_moved_by_its_own_step():
    # A grid of 37 pixels falls on itself when it is moved by 37
    x, y = (v.ravel().astype(float) for v in np.meshgrid(np.arange(20, 880, 37), np.arange(20, 880, 37)))
    found = confirmed((x, y), (x, y))
    assert found["share"] == 1
    assert found["by chance"] == pytest.approx(23 / 24)


def test_best_share_at_a_count_is_between_thresholds_and_within_what_was_measured():
    def curve(shares):
        return {
            "settings": {},
            "field": [
                {"count": c, "share": s, "by chance": 0} for c, s in zip((100, 200), shares, strict=True)
            ],
        }

    curves = [curve((1.0, 0.5)), curve((0.9, 0.7))]
    assert best_at(curves, "field", 150)["share"] == pytest.approx(0.8)
    assert best_at(curves, "field", 100)["share"] == 1
    assert np.isnan(best_at(curves, "field", 300)["share"])


def _rows():
    rng = np.random.default_rng(1)
    ratio = rng.normal(1.02, 0.1, 4000)
    sigma = np.full(4000, 0.1).tolist()
    row = {"flux": ratio.tolist(), "low": sigma, "high": sigma, "snr": np.full(4000, 10.0).tolist()}
    row |= {"index": list(range(4000)), "detections": 5000, "matched": 4500, "wanted": 8000, "found": 4000}
    return [row | {"by chance": 0.1, "seconds": 2.0}]


def test_detection_numbers():
    numbers = detection_numbers(_rows())
    assert (numbers["completeness"], numbers["purity"]) == (0.5, 0.9)
    assert numbers["f1"] == pytest.approx(2 * 0.5 * 0.9 / 1.4)
    # By hand: slopes .826 and .255, errors .00559 and .00424
    assert numbers["f1_err"] == pytest.approx(0.00474, abs=1e-4)


def test_flux_numbers_of_gaussian_errors():
    numbers = flux_numbers(_rows())
    assert numbers["bias"] == pytest.approx(0.02, abs=0.006)
    assert numbers["scatter"] == pytest.approx(0.0994, abs=0.005)
    # The bias of .2 standard deviations takes 1 % of the coverage
    assert numbers["coverage"] == pytest.approx(0.674, abs=0.025)
    assert numbers["coverage_all"] is None
    assert flux_numbers([_rows()[0] | {"covered": 2700}])["coverage_all"] == pytest.approx(0.6)
    assert numbers["scatter 10-30"] == numbers["scatter"] and "scatter 5-10" not in numbers


def test_scatter_is_compared_on_sources_of_both():
    rows = _rows()
    other = [
        rows[0]
        | {"index": list(range(2000, 6000)), "flux": (1 + 2 * (np.array(rows[0]["flux"]) - 1)).tolist()}
    ]
    common = common_scatter(rows, other)
    assert common["sources"] == 2000
    assert common["other"] / common["scatter"] == pytest.approx(2, rel=0.1)


def test_scatter_at_the_bound():
    assert bound_scatter(_rows(), [[0.1] * 4000]) == pytest.approx(0.0994, abs=0.001)
