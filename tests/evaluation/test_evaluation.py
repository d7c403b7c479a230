# Licensed under a 3-clause BSD style license - see LICENSE
import os

import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from gammapy.datasets import MapDataset
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import MapAxis, WcsGeom, WcsNDMap
from gammapy.modeling.models import FoVBackgroundModel, PointSpatialModel, PowerLawSpectralModel, SkyModel
from numpy.testing import assert_allclose, assert_array_equal

from gammapy_asid.evaluation import (
    angular_separation,
    apply_knots,
    asimov_ts,
    binned_fraction,
    binomial_interval,
    deduplicate_overlaps,
    expected_calibration_error,
    fit_knots,
    match_brightest,
    match_optimal,
    offset_summary,
    plot_fraction,
    plot_offset,
    plot_purity_recall,
    plot_reliability,
    position_covariance,
    purity_recall,
    reliability,
    sample_offsets,
    source_image,
    ts_map_candidates,
)
from gammapy_asid.inputs.bands import Bands, Response


@pytest.fixture
def rng():
    return np.random.default_rng(42)


@pytest.fixture
def predictions(rng):
    """Scores that are too sure: the logit of the true probability is half theirs."""
    logit = rng.normal(0, 3, 40_000)
    score = 1 / (1 + np.exp(-logit))
    return score, rng.random(len(score)) < 1 / (1 + np.exp(-(logit / 2 - 0.5)))


@pytest.fixture
def gauss_response():
    """Two bands with a Gaussian point spread function of 0.3 deg."""
    rad = np.linspace(0, 12, 2000)
    psf = np.exp(-0.5 * (rad / 0.3) ** 2) / (2 * np.pi * np.radians(0.3) ** 2)
    shape = (2, 1)
    return Response(
        bands=Bands((1.0, 10.0, 100.0), (0, 0)),
        e_min=np.array([1.0, 10.0]),
        e_max=np.array([10.0, 100.0]),
        exposure=np.full(shape, 1e11),
        rad=rad,
        psf=np.broadcast_to(psf, (*shape, len(rad))),
        pixel_size=0.1,
    )


def test_angular_separation_agrees_with_astropy(rng):
    lon, lat = rng.uniform(0, 360, (2, 50)), rng.uniform(-90, 90, (2, 50))
    first, second = (SkyCoord(lon[i], lat[i], unit="deg") for i in (0, 1))
    separation = angular_separation(lon[0], lat[0], lon[1], lat[1])
    assert_allclose(separation, first.separation(second).deg, rtol=1e-9)


def test_brightest_first_and_highest_score_first():
    # The prediction with the lower score is nearer to the bright source, but comes second
    matches = match_brightest([0.0, 0.1], [0, 0], [0.9, 0.5], [0.1, 0.25], [0, 0], [1e-9, 1e-10])
    assert_array_equal(matches.true_index, [0, 1])
    assert_allclose(matches.separation, [0.1, 0.15], rtol=1e-6)
    assert_array_equal(matches.pred_index, [0, 1])
    assert_array_equal(matches.true_score([0.9, 0.5]), [0.9, 0.5])
    # Outside the radius nothing is claimed
    assert not match_brightest([0.0], [0.31], [1], [0.0], [0.0], [1]).is_matched.any()


def test_matches_do_not_depend_on_lower_scores(rng):
    pred, true = rng.uniform(0, 3, (2, 300)), rng.uniform(0, 3, (2, 200))
    score, flux = rng.random(300), rng.random(200)
    matches = match_brightest(*pred, score, *true, flux)
    above = score > 0.6
    subset = match_brightest(*pred[:, above], score[above], *true, flux)
    assert_array_equal(subset.true_index, matches.true_index[above])


def test_groups_keep_matches_apart():
    args = [10.0, 10.0], [0, 0], [0.9, 0.8], [10.0, 10.0], [0, 0], [2, 1]
    matches = match_brightest(*args, pred_group=[0, 1], true_group=[1, 0])
    assert_array_equal(matches.true_index, [1, 0])
    with pytest.raises(ValueError, match="give pred_group and true_group"):
        match_brightest(*args, pred_group=[0, 1])


def test_optimal_finds_more_than_brightest_first():
    # One prediction reaches both sources, the other only the brighter one
    pred, true, flux = ([0.0, 0.25], [0, 0]), ([0.2, -0.2], [0, 0]), [2, 1]
    assert match_brightest(*pred, [0.9, 0.8], *true, flux).is_matched.sum() == 1
    optimal = match_optimal(*pred, *true)
    assert_array_equal(optimal.true_index, [1, 0])


def test_optimal_agrees_with_one_large_assignment(rng):
    from scipy.optimize import linear_sum_assignment

    pred, true = rng.uniform(0, 4, (2, 150)), rng.uniform(0, 4, (2, 120))
    matches = match_optimal(*pred, *true)
    distance = angular_separation(*(v[:, None] for v in pred), *(v[None] for v in true))
    cost = np.where(distance <= 0.3, distance, 1e3)
    row, column = linear_sum_assignment(cost)
    good = cost[row, column] < 1e3
    assert matches.is_matched.sum() == good.sum()
    assert_allclose(np.nansum(matches.separation), cost[row, column][good].sum(), rtol=1e-9)


@pytest.mark.parametrize("n_pred, n_true", [(0, 3), (3, 0), (0, 0)])
def test_matching_of_nothing(n_pred, n_true):
    pred, true = np.zeros((2, n_pred)), np.zeros((2, n_true))
    for matches in (match_brightest(*pred, pred[0], *true, true[0]), match_optimal(*pred, *true)):
        assert matches.is_matched.shape == (n_pred,) and not matches.is_matched.any()
        assert_array_equal(matches.pred_index, np.full(n_true, -1))
        assert np.all(matches.true_score(pred[0]) == -np.inf)


def test_overlaps_count_once():
    centers = [0.0, 8.0], [0.0, 0.0]
    # Twice the same source inside field 0, and a pair at the border seen from both sides
    lon, group = [3.0, 3.0, 3.98, 4.02], [0, 1, 0, 1]
    keep = deduplicate_overlaps(lon, np.zeros(4), [0.5, 0.9, 0.6, 0.7], group, *centers)
    assert_array_equal(keep, [True, False, False, True])
    # Two of the same field are two predictions, however near
    keep = deduplicate_overlaps([3.0, 3.05], [0, 0], [0.5, 0.6], [0, 0], *centers)
    assert keep.all()
    assert deduplicate_overlaps([], [], [], [], *centers).shape == (0,)


def test_purity_recall_by_hand():
    curve = purity_recall([0.9, 0.8, 0.8, 0.3, 0.2], [True, True, False, False, True], n_true=4)
    assert_array_equal(curve.threshold, [0.9, 0.8, 0.3, 0.2])
    assert_allclose(curve.purity, [1, 2 / 3, 1 / 2, 3 / 5])
    assert_allclose(curve.recall, [0.25, 0.5, 0.5, 0.75])
    assert_allclose(curve.average_precision, 0.25 + 0.25 * 2 / 3 + 0.25 * 3 / 5)
    assert curve.threshold_at_purity(0.6) == 0.2
    assert curve.threshold_at_purity(0.65) == 0.8
    assert curve.at_threshold(0.5) == (pytest.approx(2 / 3), 0.5)
    empty = curve.at_threshold(0.95)
    assert np.isnan(empty[0]) and empty[1] == 0
    never = purity_recall([0.5], [False], n_true=1)
    assert never.threshold_at_purity(0.9) == np.inf


def test_average_precision_agrees_with_scikit_learn(rng):
    from sklearn.metrics import average_precision_score

    score = np.round(rng.random(500), 2)
    true = rng.random(500) < score
    curve = purity_recall(score, true, n_true=true.sum())
    assert_allclose(curve.average_precision, average_precision_score(true, score), rtol=1e-9)


@pytest.mark.parametrize("score, n_true, match", [([np.nan], 1, "finite"), ([0.5], 0, "No true source")])
def test_purity_recall_errors(score, n_true, match):
    with pytest.raises(ValueError, match=match):
        purity_recall(score, [True], n_true)


def test_offset_summary():
    summary = offset_summary(np.append(np.linspace(0, 0.2, 101), np.nan))
    assert_allclose([summary[f"offset_{q}"] for q in (50, 68, 95)], [0.1, 0.136, 0.19])
    assert_allclose(summary["within_0p15"], 75 / 101)
    assert np.isnan(list(offset_summary([]).values())).all()


def test_binomial_interval():
    # Wilson interval of 0 of 10 at one sigma ends at 1 / 11, whatever the convention
    fraction, low, high = binomial_interval([0, 5, 0], [10, 10, 0], confidence=0.682689)
    assert_allclose(fraction[:2], [0, 0.5])
    assert_allclose(low[:2], [0, 0.5 - 0.5 / np.sqrt(11)], atol=1e-6)
    assert_allclose(high[:2], [1 / 11, 0.5 + 0.5 / np.sqrt(11)], rtol=1e-5)
    assert np.isnan([fraction[2], low[2], high[2]]).all()
    fraction, *_ = binned_fraction([1, 1, 2, 2], [True, False, True, True], [0.5, 1.5, 2.5])
    assert_allclose(fraction, [0.5, 1])


def test_calibration_error_of_calibrated_and_of_shifted_scores(rng):
    score = rng.uniform(0.1, 0.9, 50_000)
    true = rng.random(len(score)) < score
    assert expected_calibration_error(score, true) < 0.01
    assert_allclose(expected_calibration_error(score + 0.1, true), 0.1, atol=0.01)
    mean_score, fraction, number = reliability(score, true, n_bins=20)
    assert mean_score.shape == fraction.shape == (20,) and number.sum() == len(score)
    assert_array_equal(number, 2500)
    assert np.isnan(expected_calibration_error([], []))


def test_knots_calibrate_scores_not_used_in_the_fit(predictions):
    score, true = predictions
    fit, test = slice(None, None, 2), slice(1, None, 2)
    knots = fit_knots(score[fit], true[fit])
    assert len(knots) <= 30
    assert np.all(np.diff(knots, axis=0) >= 0) and np.all(np.diff(knots[:, 0]) > 0)
    calibrated = apply_knots(score[test], knots)
    assert expected_calibration_error(score[test], true[test]) > 0.1
    assert expected_calibration_error(calibrated, true[test]) < 0.015
    # Monotone, and inside 0 to 1 also beyond the outer knots
    ends = apply_knots(np.linspace(0, 1, 1001), knots)
    assert np.all(np.diff(ends) >= 0) and ends[0] > 0 and ends[-1] < 1
    with pytest.raises(ValueError, match="too few"):
        fit_knots(score[:100], true[:100])


def test_knots_of_a_perfectly_separated_sample():
    score = np.append(np.full(500, 0.2), np.full(500, 0.8))
    knots = fit_knots(score, score > 0.5)
    assert np.isfinite(knots).all()
    low, high = apply_knots([0.2, 0.8], knots)
    assert low < 0.02 and high > 0.98


def test_source_image_integrates_the_psf(gauss_response):
    counts = np.array([[100.0], [10.0]])
    image = source_image(40.3, 39.8, counts, gauss_response, (80, 80))
    assert_allclose(image.sum(axis=(1, 2)), [100, 10], rtol=1e-3)
    y, x = np.indices(image.shape[1:])
    assert_allclose([(image[0] * x).sum() / 100, (image[0] * y).sum() / 100], [40.3, 39.8], atol=0.01)
    # Pixel value against the Gaussian integral
    from scipy.stats import norm

    expected = 100 * np.prod([norm.cdf(d + 0.5, scale=3) - norm.cdf(d - 0.5, scale=3) for d in (-0.3, 0.2)])
    assert_allclose(image[0, 40, 40], expected, rtol=1e-3)


def test_asimov_ts():
    # Li and Ma 1983, equation 17 in the limit of a well known background: n on = 20, b = 10
    assert_allclose(asimov_ts(np.array([10.0]), np.array([10.0])), 2 * (20 * np.log(2) - 10))
    # Faint sources: s^2 / b
    faint = asimov_ts(np.full(100, 0.01), np.full(100, 10.0))
    assert_allclose(faint, 100 * 0.01**2 / 10, rtol=1e-3)
    assert asimov_ts(np.zeros(3), np.zeros(3)) == 0
    with pytest.raises(ValueError, match="background is not positive"):
        asimov_ts(np.ones(2), np.array([1.0, 0.0]))


def test_position_covariance_of_a_gaussian(gauss_response):
    counts = np.array([[1000.0], [0.0]])
    step = 0.05
    shape = (121, 121)
    own = source_image(60, 60, counts, gauss_response, shape)
    gradient = [
        source_image(60 + dx, 60 + dy, counts, gauss_response, shape)
        - source_image(60 - dx, 60 - dy, counts, gauss_response, shape)
        for dx, dy in ((step, 0), (0, step))
    ]
    # Without background the error is the width over the root of the counts
    covariance = position_covariance(own, np.array(gradient) / (2 * step * 0.1), 0 * own)
    assert_allclose(covariance, 0.3**2 / 1000 * np.eye(2), atol=0.03 * 0.3**2 / 1000)
    offsets = sample_offsets(covariance[None], n_draws=20_000)
    sigma = 0.3 / np.sqrt(1000)
    assert_allclose(np.percentile(offsets, 68), sigma * np.sqrt(-2 * np.log(0.32)), rtol=0.03)


@pytest.fixture
def dataset():
    """Two bright sources on a flat background, 1-10 GeV, without noise."""
    axis = MapAxis.from_energy_bounds("1 GeV", "10 GeV", nbin=2)
    axis_true = MapAxis.from_energy_bounds("1 GeV", "10 GeV", nbin=2, name="energy_true")
    geom = WcsGeom.create(npix=30, binsz=0.2, skydir=(10, 0), frame="galactic", axes=[axis])
    dataset = MapDataset.create(geom, energy_axis_true=axis_true, name="two-sources")
    dataset.psf = PSFMap.from_gauss(axis_true, sigma=0.3 * u.deg)
    dataset.edisp = EDispKernelMap.from_diagonal_response(axis, axis_true)
    dataset.exposure.data += 1e7
    dataset.mask_safe = None
    dataset.background = WcsNDMap(geom, np.full(geom.data_shape, 1.0))
    models = [FoVBackgroundModel(dataset_name=dataset.name)]
    for i, (lon, amplitude) in enumerate([(8.8, "2e-9 cm-2 s-1 GeV-1"), (11.2, "1e-9 cm-2 s-1 GeV-1")]):
        spatial = PointSpatialModel(lon_0=lon * u.deg, lat_0="0.2 deg", frame="galactic")
        spectral = PowerLawSpectralModel(index=2.3, amplitude=amplitude, reference="1 GeV")
        models.append(SkyModel(spectral_model=spectral, spatial_model=spatial, name=f"source-{i}"))
    dataset.models = models
    dataset.counts = dataset.npred()
    dataset.models = None
    return dataset


@pytest.mark.parametrize("image", [True, False])
def test_ts_map_candidates(dataset, image):
    before = dataset.counts.data.copy()
    table = ts_map_candidates(dataset, kernel_width="1.4 deg", image=image, min_distance="0.5 deg")
    assert table.colnames == ["ra", "dec", "glon", "glat", "score"]
    assert len(table) == 2 and table["score"][0] > table["score"][1] > 5
    assert_allclose(table["glon"].to_value("deg"), [8.8, 11.2], atol=0.15)
    assert_array_equal(dataset.counts.data, before)
    nothing = ts_map_candidates(dataset, kernel_width="1.4 deg", image=image, threshold=1e4)
    assert len(nothing) == 0 and nothing.colnames == table.colnames
    assert nothing["glon"].unit == "deg"


def test_plots(predictions, rng):
    score, true = predictions
    flux = 10 ** rng.normal(-9.5, 0.5, len(score))
    edges = np.logspace(-11, -8, 10)
    figure, axes = plt.subplots(2, 2)
    ax = plot_fraction(flux, true, edges, ax=axes[0, 0], label="completeness")
    plot_fraction(flux, ~true, edges, ax=ax)
    assert sum(line.get_gid() == "flux_limit" for line in ax.lines) == 1
    plot_reliability(score, true, ax=axes[0, 1])
    assert "calibration error 0.1" in axes[0, 1].get_legend().get_texts()[0].get_text()
    curve = purity_recall(score, true, n_true=2 * true.sum())
    plot_purity_recall({"network": curve, "published": (0.5, 0.8)}, ax=axes[1, 0])
    assert len(axes[1, 0].lines) == 2
    plot_offset(flux[:500], rng.rayleigh(0.05, 500), edges, ax=axes[1, 1], limit=np.full(9, 0.02))
    assert axes[1, 1].get_yscale() == "log"
    figure.canvas.draw()
    plt.close(figure)


@pytest.mark.skipif("GAMMAPY_ASID_DATA" not in os.environ, reason="needs the folder GAMMAPY_ASID_DATA")
def test_published_network_scores_what_its_authors_published():
    """Precision and recall that the authors of Panes et al. 2021 give for this sky, and its cuts."""
    sky235 = pytest.importorskip("benchmarks.skies.sky235")
    scoring = pytest.importorskip("benchmarks.detection.scoring")
    sky = sky235.load_sky235()
    result = scoring.score_predictions(sky, sky.published)["all"]
    expected = {
        "purity": 0.878,
        "recall": 0.558,
        "S1>1e-10": 0.711,
        "S1>2e-10": 0.821,
        "S1>4.5e-10": 0.909,
        "abs(b)>20 S1>2e-10": 0.921,
        "abs(b)<5 S1>1e-9": 0.851,
        "offset_50": 0.129,
        "offset_68": 0.163,
        "offset_95": 0.249,
    }
    assert_allclose([result[name] for name in expected], [*expected.values()], atol=5e-4)
    # Pixels and sky agree with the geometry of each patch, and back
    patch = np.array([0, 300, 500, 767])
    lon, lat = sky.pixel_to_sky(patch, np.full(4, 10.0), np.full(4, 50.0))
    for i in range(4):
        position = sky.geom(patch[i]).to_image().pix_to_coord((10.0, 50.0))
        assert_allclose(
            [position[0].to_value("deg") % 360, position[1].to_value("deg")], [lon[i] % 360, lat[i]]
        )
    assert_allclose(sky.sky_to_pixel(patch, lon, lat), [[10] * 4, [50] * 4], atol=1e-9)
    # The pixels are as wide as the maps say, and no listed source lies beyond the centres of the outermost
    size, error = sky235.measured_pixel_size(sky)
    assert np.all(np.abs(size - sky235.PIXEL_SIZE) < 3 * error)
    assert np.all(error < 1e-4)
    place = np.array(sky.sky_to_pixel(sky.patch, sky.lon, sky.lat))
    assert_allclose([place.min(), place.max()], [0, 63], atol=0.01)
    # The same photons of the sources under another emission
    counts = sky.counts(3, [5, 9])
    assert_array_equal(counts, sky.counts(3, [5, 9], emission=sky.background([5, 9])))
    brighter = sky.counts(3, [5, 9], emission=2 * sky.background([5, 9]))
    assert np.all(brighter >= counts)
    assert_allclose((brighter - counts).sum() / sky.background([5, 9]).sum(), 1, atol=0.01)


def test_probability_to_lie_inside_a_patch():
    inside = pytest.importorskip("benchmarks.detection.sky235").inside_probability
    place = np.array([[30.0, 0.0, 0.0, -3.0], [30.0, 30.0, 63.0, 30.0]])
    assert_allclose(inside(place, np.full((2, 4), 0.3)), [1, 0.5, 0.25, 0], atol=1e-6)
