# Licensed under a 3-clause BSD style license - see LICENSE
"""Matching of the first candidates of lists and of their mirror images, on made-up lists."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.maps import WcsGeom

matching = pytest.importorskip("benchmarks.detection.league_matching")
tables = pytest.importorskip("benchmarks.detection.league_tables")
pairs = pytest.importorskip("benchmarks.detection.emission_pairs")


def sky(lon, lat):
    return SkyCoord(lon, lat, unit="deg", frame="galactic")


@pytest.fixture
def image():
    return WcsGeom.create(skydir=(10, 0), npix=(200, 100), binsz=0.1, proj="CAR", frame="galactic")


def test_mirror_images_are_about_the_middle_of_the_field(image):
    own, lon, lat, both = matching.mirrored(sky([12.0, 359.9 - 360 + 6], [1.5, -2]), image)
    middle = image.center_skydir
    assert middle.l.deg == pytest.approx(10)
    np.testing.assert_allclose(own.l.deg, [12, 5.9])
    np.testing.assert_allclose(lon.l.deg, [8, 14.1])
    np.testing.assert_allclose(lon.b.deg, [1.5, -2])
    np.testing.assert_allclose(lat.l.deg, [12, 5.9])
    np.testing.assert_allclose(lat.b.deg, [-1.5, 2])
    np.testing.assert_allclose(both.l.deg, [8, 14.1])
    np.testing.assert_allclose(both.b.deg, [-1.5, 2])


def test_matches_are_one_to_one_and_of_the_first_candidates():
    # Two candidates at the first source, one at the second, one at none, one at the third
    candidates = sky([10.0, 10.05, 11.0, 13.0, 12.0], np.zeros(5))
    sources = sky([10.02, 11.1, 12.0], np.zeros(3))
    matched = matching.matched_sources(candidates, sources, 0.12, (1, 2, 3, 5, 50))
    assert matched.tolist() == [
        [True, False, False],
        [True, False, False],
        [True, True, False],
        [True, True, True],
        [True, True, True],
    ]
    assert not matching.matched_sources(candidates[:0], sources, 0.12, (10,)).any()


def test_chance_is_that_of_three_mirrored_lists(image):
    # A candidate on a source, whose image in longitude falls on another source
    sources = sky([12.0, 8.0, 12.05], [1.0, 1.0, 1.0])
    matched, chance = matching.real_matches(sky([12.0], [1.0]), image, sources, 0.12, (10,))
    assert matched.tolist() == [[1, 0, 0]]
    np.testing.assert_allclose(chance, [[0, 1 / 3, 0]])


def league_field(found, group="a"):
    """Results of a field in which each method finds the sources of a mask, and none by chance."""
    n = len(matching.NUMBERS)
    entries = {
        method: {
            "matched": np.tile(np.asarray(found.get(method, []) or [0] * 4, float), (n, 1)),
            "chance": np.full((n, 4), 0.25),
            "length": 50,
            "seconds": 1.0,
        }
        for method in tables.METHODS
    }
    return {"group": group, "radius": 0.12, "sources": 4, "methods": entries}


def test_differences_of_fields_together():
    fields = {
        "one": league_field({"network": [1, 1, 1, 0], "TS map, 3-D": [1, 1, 0, 0]}),
        "two": league_field({"network": [1, 1, 1, 1], "TS map, 3-D": [1, 1, 1, 1]}, "b"),
    }
    np.testing.assert_allclose(tables.summed(fields, "network"), 7 - 2)
    change, quotient = (values[-1] for values in tables.difference(fields, "network", "TS map, 3-D"))
    # One source is found by one method alone: its weight is that of an exponential
    assert change.value == pytest.approx(1)
    assert change.low_95 == pytest.approx(0.025, abs=0.02)
    assert change.high_95 == pytest.approx(3.7, abs=0.4)
    assert quotient.value == pytest.approx(5 / 4)
    same = tables.difference(fields, "network", "network")[0][-1]
    assert same.low_95 == same.high_95 == 0
    assert tables.at_least(fields, "network") == "10 of 10"
    assert tables.at_least(fields, "network, counts only") == "0 of 10"
    text = tables.to_markdown(fields)
    assert "| all fields | network | TS map, 3-D | +1.0 |" in text
    assert len(tables.figure(fields).axes) == 3


def test_agreement_of_two_lists():
    first = {"glon": [10.0, 11.0, 12.0, 13.0], "glat": [0.0] * 4, "score": [0.9, 0.9, 0.85, 0.6]}
    second = {"glon": [10.1, 11.0, 12.0, 14.0], "glat": [0.0] * 4, "score": [0.95, 0.7, 0.3, 0.9]}
    assert pairs.found_again(first, second, 0.8) == (1, 3)
    assert pairs.found_again(first, second, 0.5) == (2, 3)
    assert pairs.found_again(second, first, 0.8) == (1, 2)
    assert pairs.found_again({"glon": [], "glat": [], "score": []}, first, 0.8) == (0, 0)
