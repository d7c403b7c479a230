# Licensed under a 3-clause BSD style license - see LICENSE
import numpy as np
import pytest

from gammapy_asid.simulation.mock_catalog import SOURCE_CLASSES
from gammapy_asid.simulation.variability import VARIABILITY, draw_light_curves


def test_every_class_has_its_variability():
    assert set(VARIABILITY) == set(SOURCE_CLASSES)


def test_mean_is_one_with_the_weights():
    weights = np.array([1.0, 2.0, 0.5, 1.0])
    classes = np.repeat(SOURCE_CLASSES, 200)
    drawn = draw_light_curves(np.random.default_rng(1), classes, [0, 1, 2, 4, 5], weights)
    assert drawn.shape == (1000, 4)
    assert np.all(drawn >= 0)
    np.testing.assert_allclose(drawn @ weights / weights.sum(), 1)
    again = draw_light_curves(np.random.default_rng(1), classes, [0, 1, 2, 4, 5], weights)
    np.testing.assert_array_equal(drawn, again)


def test_quasars_vary_more_than_bl_lacs_and_pulsars_are_steady():
    edges = np.arange(11.0)
    scatter = {
        name: draw_light_curves(np.random.default_rng(2), np.full(2000, name), edges).std(axis=1)
        for name in SOURCE_CLASSES
    }
    assert np.median(scatter["fsrq"]) > 1.3 * np.median(scatter["bll"]) > 0.2
    assert np.mean(scatter["psr"] == 0) > 0.9


def test_no_source_and_one_bin():
    assert draw_light_curves(np.random.default_rng(), [], [0, 1, 2]).shape == (0, 2)
    np.testing.assert_array_equal(draw_light_curves(np.random.default_rng(), ["bll"], [0, 1]), [[1.0]])


@pytest.mark.parametrize(
    "classes, edges, weights, message",
    [
        (["agn"], [0, 1, 2], None, "agn"),
        (["bll"], [0, 1, 1], None, "rise"),
        (["bll"], [0], None, "rise"),
        (["bll"], [0, np.nan, 2], None, "rise"),
        (["bll"], [54682.0, 55047.0, 55412.0], None, "in years"),
        (["bll"], [0, 1, 2], [1.0], "2 numbers"),
        (["bll"], [0, 1, 2], [1.0, -1.0], "2 numbers"),
        (["bll"], [0, 1, 2], [0.0, 0.0], "all 0"),
    ],
)
def test_bad_input(classes, edges, weights, message):
    with pytest.raises(ValueError, match=message):
        draw_light_curves(np.random.default_rng(), classes, edges, weights)
