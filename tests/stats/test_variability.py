# Licensed under a 3-clause BSD style license - see LICENSE
import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chi2

from gammapy_asid.stats.variability import fractional_variability, variability_index


def test_index_of_a_known_light_curve():
    # Weights 1, 1 and 1/4: mean 16/9, chi-square (49 + 4 + 25 / 4) / 81
    index = variability_index([[1.0, 2.0, 4.0]], [[1.0, 1.0, 2.0]])
    mean = (1 + 2 + 1) / 2.25
    assert index == pytest.approx([(1 - mean) ** 2 + (2 - mean) ** 2 + (4 - mean) ** 2 / 4])
    # A systematic error of the mean itself
    index = variability_index([[1.0, 3.0]], [[1.0, 1.0]], systematic=0.5)
    assert index == pytest.approx([2 / (1 + 1)])


def test_index_of_steady_sources_is_chi_square():
    error = np.random.default_rng(1).uniform(0.5, 2, (20000, 14))
    flux = 5 + error * np.random.default_rng(2).standard_normal((20000, 14))
    index = variability_index(flux, error)
    for share in (0.1, 0.5, 0.99):
        assert np.mean(index < chi2.ppf(share, 13)) == pytest.approx(share, abs=0.012)


def test_fractional_variability_is_that_of_the_source():
    rng = np.random.default_rng(3)
    error = np.full((5000, 20), 0.1)
    source = 1 + 0.3 * rng.standard_normal((5000, 20))
    value, uncertainty = fractional_variability(source + error * rng.standard_normal(source.shape), error)
    assert np.sqrt(np.mean(value**2)) == pytest.approx(0.3, rel=0.02)
    # The uncertainty is that by the measurement alone
    own = source.std(axis=1, ddof=1) / source.mean(axis=1)
    assert np.std((value - own) / uncertainty) == pytest.approx(1, abs=0.1)


def test_fractional_variability_of_a_steady_source():
    value, uncertainty = fractional_variability([[1.0, 1.1, 0.9, 1.0]], [[0.5, 0.5, 0.5, 0.5]])
    assert value == 0
    assert uncertainty == pytest.approx([np.sqrt(np.sqrt(2 / 4) * 0.25)])


@pytest.mark.parametrize("function", [variability_index, lambda f, e: fractional_variability(f, e)[0]])
def test_bins_without_a_measurement(function):
    flux, error = np.array([[1.0, 2.0, 4.0]]), np.array([[0.5, 0.5, 0.5]])
    wanted = function(flux, error)
    wide = np.append(flux, [[np.nan, 9.0, 9.0, 9.0, np.inf]], axis=1)
    errors = np.append(error, [[0.5, np.nan, 0.0, np.inf, 1.0]], axis=1)
    assert_allclose(function(wide, errors), wanted)
    masked = np.ma.MaskedArray(np.append(flux, [[7.0]], axis=1), [[False, False, False, True]])
    assert_allclose(function(masked, np.append(error, [[0.5]], axis=1)), wanted)
    # One bin says nothing of variations, no row is lost
    assert_array_equal(function([[1.0, np.nan], [np.nan, np.nan]], [[1.0, 1.0], [1.0, 1.0]]), [np.nan] * 2)
    assert function(np.empty((0, 3)), np.empty((0, 3))).shape == (0,)


def test_scale_does_not_matter():
    flux, error = np.array([[1.0, 2.0, 4.0], [3.0, 2.0, 2.5]]), np.full((2, 3), 0.3)
    assert_allclose(variability_index(1e-12 * flux, 1e-12 * error), variability_index(flux, error))
    for small, plain in zip(
        fractional_variability(1e-12 * flux, 1e-12 * error), fractional_variability(flux, error), strict=True
    ):
        assert_allclose(small, plain)


def test_quantities_of_other_units():
    flux, error = [[1.0, 2.0, 4.0]] * u.Unit("cm-2 s-1"), [[0.5, 0.5, 0.5]] * u.Unit("cm-2 s-1")
    plain = variability_index(flux.value, error.value)
    assert_allclose(variability_index(flux, error.to("m-2 s-1")), plain)
    with pytest.raises(ValueError, match="units of one kind"):
        variability_index(flux, error.value)


def test_columns_of_a_table():
    table = Table({"flux": np.ma.masked_equal([[1.0, 2.0, 4.0, 9.0]], 9) * 1e-9, "error": [[5e-6] * 4]})
    table["flux"].unit, table["error"].unit = "cm-2 s-1", "m-2 s-1"
    index = variability_index(table["flux"], table["error"])
    assert_allclose(index, variability_index([[1.0, 2.0, 4.0]], [[0.5] * 3]))
    assert_allclose(variability_index(QTable(table)["flux"], QTable(table)["error"]), index)


@given(
    flux=arrays(float, (5, 4), elements=st.integers(-1000, 1000) | st.just(np.nan)),
    error=arrays(float, (5, 4), elements=st.floats(1e-3, 1e3) | st.sampled_from([0.0, -1.0, np.nan, np.inf])),
)
def test_any_numbers(flux, error):
    """A row for each source, which no other changes; no negative values, and NaN only where bins lack."""
    index = variability_index(flux, error)
    value, uncertainty = fractional_variability(flux, error)
    number = np.sum(np.isfinite(flux) & np.isfinite(error) & (error > 0), axis=1)
    assert_array_equal(np.isnan(index), number < 2)
    assert np.all(index[number > 1] >= 0)
    assert_array_equal(np.isnan(value), np.isnan(uncertainty))
    assert np.all(np.isnan(value[number < 2]))
    assert np.all((value >= 0) & (uncertainty > 0) | np.isnan(value))
    assert_array_equal(variability_index(flux[2:3], error[2:3]), index[2:3])


def test_shapes():
    with pytest.raises(ValueError, match="one shape"):
        variability_index([1.0, 2.0], [1.0, 1.0])
    with pytest.raises(ValueError, match="one shape"):
        fractional_variability([[1.0, 2.0]], [[1.0]])
