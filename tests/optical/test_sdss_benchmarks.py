# Licensed under a 3-clause BSD style license - see LICENSE
import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS
from numpy.testing import assert_allclose

from benchmarks.optical.m2 import FAR, SIDE, Truth, match_crowd, read_truth, render, scores, simulated_twin
from benchmarks.optical.peers import crowdsource_sources, gaussian_psf, write_psfex
from benchmarks.optical.sdss import completeness, inside, match_nearest, purity_cut
from benchmarks.optical.sdss_frames import Frame
from gammapy_asid.optical.psf import PSF, as_psf


def test_a_match_needs_both_axes_and_the_flux():
    truth = Truth(np.array([50.0]), np.array([50.0]), np.array([1.0]))
    x = np.array([50.4, 50.4, 50.6, 50.4])
    y = np.array([50.4, 50.4, 50.0, 49.6])
    flux = np.array([1.0, 1.6, 1.0, 0.6])
    # 1.6 is 0.51 magnitudes too bright, 0.6 is 0.55 too faint
    assert match_crowd(x, y, flux, truth)[:, 0].tolist() == [True, False, False, False]
    assert match_crowd(x, y, flux, truth, flux_counts=False)[:, 0].tolist() == [True, True, False, True]


def test_scores_of_a_known_list():
    # Four stars count (one lies on the border); three sources, two of them at the same star
    truth = Truth(np.array([20.0, 30, 40, 50, 2]), np.array([20.0, 30, 40, 50, 50]), np.ones(5))
    figures = scores([20.1, 20.2, 70.0], [20.1, 19.9, 70.0], [1.0, 1.1, 1.0], truth)
    assert figures["n_stars"] == 4 and figures["n_sources"] == 3
    assert_allclose([figures["tpr"], figures["ppv"]], [1 / 4, 2 / 3])
    assert_allclose(figures["f1"], 2 * (1 / 4) * (2 / 3) / (1 / 4 + 2 / 3))
    assert_allclose(figures["f1_single"], 2 * 1 / 7)


def test_no_source_scores_zero():
    truth = Truth(np.array([20.0]), np.array([20.0]), np.ones(1))
    assert scores([], [], [], truth)["f1"] == 0


def test_positions_of_the_file_count_from_edges(tmp_path):
    file = tmp_path / "truth.npz"
    fluxes = np.array([[856.0, 1.0]])
    np.savez(file, true_locs=np.array([[0.255, 0.105]]), true_fluxes=fluxes, nelec_per_nmgy=856.0)
    truth = read_truth(file)
    assert_allclose([truth.x[0], truth.y[0], truth.flux[0]], [10, 25, 1])


def test_light_is_kept_where_it_belongs():
    image = render(gaussian_psf(2.5), np.array([20.25]), np.array([31.0]), np.array([7.0]), (60, 50))
    rows, columns = np.indices(image.shape)
    assert_allclose(image.sum(), 7, rtol=1e-3)
    assert_allclose([(image * columns).sum() / 7, (image * rows).sum() / 7], [20.25, 31], atol=2e-2)


def _frame():
    return Frame(
        data=np.zeros((4, 4), np.float32),
        gain=850.0,
        sky_noise=np.full((4, 4), 0.03, np.float32),
        saturated=np.zeros((4, 4), bool),
        psf=PSF(terms=gaussian_psf(2.2)),
        wcs=WCS(naxis=2),
    )


def test_a_twin_is_as_crowded_as_asked_for():
    twin, truth = simulated_twin(_frame(), seed=3, density=0.01)
    again, _ = simulated_twin(_frame(), seed=3, density=0.01)
    own = (np.minimum(truth.x, truth.y) > 0) & (np.maximum(truth.x, truth.y) < SIDE)
    assert abs(own.sum() - 100) < 4 * np.sqrt(100)
    assert truth.flux.min() >= 1000 / 850
    assert twin.data.shape == (SIDE + 2 * FAR,) * 2
    assert np.array_equal(twin.data, again.data)
    # Far from the cluster there is nothing but the sky, apart from few stars
    corner = twin.data[:60, :60]
    assert_allclose(np.median(corner), 0, atol=0.02)
    assert_allclose(1.4826 * np.median(np.abs(corner - np.median(corner))), 0.03, rtol=0.25)


def _sky(x, y):
    return np.where(np.asarray(x) > 500, 9.0, 0.0)


def test_completeness_and_purity_of_a_known_list():
    truth = Table({"x": [100.0, 200, 300, 2], "y": [100.0, 200, 300, 100], "mag": [20.5, 20.6, 22.5, 20.5]})
    sources = Table({"x": [100.5, 100.9, 600.0, 700], "y": [100.0, 100.5, 600, 1488]})
    assert match_nearest(sources["x"], sources["y"], truth).tolist() == [0, -1, -1, -1]
    figures = completeness(sources, truth, _sky)
    assert_allclose([figures["purity"], figures["confirmed"]], [1 / 3, 2 / 3])
    assert_allclose([figures["20-21"], figures["22-23"]], [1 / 2, 0])


def test_the_deepest_cut_of_a_purity():
    truth = Table({"x": [100.0, 200, 300], "y": [100.0, 200, 300]})
    sources = Table(
        {"x": [50.0, 300, 100, 200, 400], "y": [50.0, 300, 100, 200, 400], "rank": [1, 2, 5, 4, 3]}
    )
    assert len(purity_cut(sources, truth, 0.7)) == 4
    assert len(purity_cut(sources, truth, 0.9)) == 2


def test_borders():
    assert inside([7.9, 8, 1015.9, 1016], [100, 100, 1480, 100]).tolist() == [False, True, True, False]


def test_a_file_of_psfex_holds_the_same_profile(tmp_path):
    psf = gaussian_psf(3.0)
    write_psfex(tmp_path / "image.psf", psf)
    assert_allclose(as_psf(tmp_path / "image.psf").at(0, 0), psf, atol=0.02 * psf.max())


def test_crowdsource_finds_stars_where_they_are():
    pytest.importorskip("crowdsource")
    rng = np.random.default_rng(0)
    psf, x, y = gaussian_psf(2.5), np.array([20.3, 60.8]), np.array([50.6, 31.2])
    image = render(psf, x, y, np.array([300.0, 500.0]), (90, 80)) + rng.normal(0, 1, (90, 80))
    found = crowdsource_sources(image, 1.0, psf=psf)
    found.sort("flux")
    assert_allclose(found["x"][-2:], x, atol=0.1)
    assert_allclose(found["y"][-2:], y, atol=0.1)
    assert_allclose(found["flux"][-2:], [300, 500], rtol=0.08)
