# Licensed under a 3-clause BSD style license - see LICENSE
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import chi2

from gammapy_asid.simulation.mock_catalog import SOURCE_CLASSES
from gammapy_asid.simulation.variability import VARIABILITY, Variability, draw_light_curves


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


def variance_of_mean(length, sigma, tau):
    """Variance of the mean over a time of the exponential of an Ornstein-Uhlenbeck process, over its mean."""
    return 2 * quad(lambda u: (length - u) * np.expm1(sigma**2 * np.exp(-u / tau)), 0, length)[0] / length**2


def test_scatter_and_memory_are_those_of_the_process():
    process = Variability(share=1, sigma=(0.5, 0.0), slow=0.0, tau_slow=1.0, tau_fast=2.0)
    edges = np.arange(0, 101, 1.0)
    drawn = draw_light_curves(np.random.default_rng(3), ["x"] * 4000, edges, variability={"x": process})
    one, two, all_ = (variance_of_mean(length, 0.5, 2.0) for length in (1, 2, 100))
    assert np.var(drawn) == pytest.approx(one - all_, rel=0.02)
    pairs = drawn.reshape(4000, 50, 2).mean(axis=2)
    assert np.var(pairs) == pytest.approx(two - all_, rel=0.02)


def test_long_steps_agree_with_short_bins():
    """Bins of half a year, averaged in pairs, have the distribution of bins of a year."""
    long = draw_light_curves(np.random.default_rng(4), ["fsrq"] * 8000, np.arange(6.0))
    short = draw_light_curves(np.random.default_rng(5), ["fsrq"] * 8000, np.arange(0, 5.5, 0.5))
    pairs = short.reshape(8000, 5, 2).mean(axis=2)
    share = (0.1, 0.5, 0.9)
    np.testing.assert_allclose(np.quantile(pairs, share), np.quantile(long, share), rtol=0.03)


def test_bright_sources_vary_more():
    edges = np.arange(11.0)
    faint, bright = (
        draw_light_curves(np.random.default_rng(6), ["fsrq"] * 3000, edges, flux=np.full(3000, flux))
        for flux in (1e-10, 1e-8)
    )
    assert np.median(bright.std(axis=1)) > 1.2 * np.median(faint.std(axis=1))


def test_transients_shine_once():
    once = Variability(share=0, sigma=(1, 1), slow=0, tau_slow=1, tau_fast=0.05, transients=1.0)
    weights = np.array([1.0, 0.0, 2.0, 1.0, 1.0])
    drawn = draw_light_curves(np.random.default_rng(7), ["x"] * 1000, np.arange(6.0), weights, {"x": once})
    first = (drawn > 0).argmax(axis=1)
    assert set(first) == {0, 2, 3, 4}
    assert np.mean(drawn.max(axis=1) * weights[drawn.argmax(axis=1)] / 5 > 0.9) > 0.85
    np.testing.assert_allclose(drawn @ weights / 5, 1)


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
def test_bad_bins(classes, edges, weights, message):
    with pytest.raises(ValueError, match=message):
        draw_light_curves(np.random.default_rng(), classes, edges, weights)


@pytest.mark.parametrize("flux", [[1e-9, 1e-9], [-1e-9], [np.nan]])
def test_bad_flux(flux):
    with pytest.raises(ValueError, match="flux"):
        draw_light_curves(np.random.default_rng(), ["bll"], [0, 1, 2], flux=flux)


def catalog_of_steady_sources(n=4000, n_bins=14):
    curves = pytest.importorskip("benchmarks.classification.light_curves")
    ones = np.ones(n)
    return curves, curves.LightCurves(
        flux=np.full((n, n_bins), 5e-9),
        error=np.full((n, n_bins), 1.5e-9),
        index=np.zeros(n),
        source_class=np.full(n, "psr"),
        positions=np.zeros((n, 2)),
        brightness=4e-10 * ones,
        photon=1e-10 * ones,
        background=175 * ones,
        edges=np.arange(n_bins + 1.0),
    )


def test_mock_catalogue_measures_as_a_likelihood_does():
    module, catalog = catalog_of_steady_sources()
    steady = {"psr": Variability(share=0.0, sigma=(0.1, 0.1), slow=0.5, tau_slow=2.0, tau_fast=0.2)}
    drawn = module.mock(catalog, np.random.default_rng(1), steady)
    # 50 photons of the source and 175 of the background in a bin: an error of 15 photons, hence chi-square
    assert np.mean(drawn.flux) == pytest.approx(5e-9, rel=0.01)
    assert np.std(drawn.flux) == pytest.approx(1.5e-9, rel=0.02)
    assert np.mean(drawn.error) == pytest.approx(1.5e-9, rel=0.02)
    for share in (0.2, 0.5, 0.9):
        assert np.mean(drawn.index < chi2.ppf(share, 13)) == pytest.approx(share, abs=0.025)
    varying = dict(steady, psr=Variability(share=1.0, sigma=(1, 0.1), slow=0.5, tau_slow=2.0, tau_fast=0.2))
    drawn = module.mock(catalog, np.random.default_rng(1), varying)
    assert np.mean(drawn.index > chi2.ppf(0.99, 13)) > 0.8
