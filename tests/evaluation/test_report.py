# Licensed under a 3-clause BSD style license - see LICENSE
import json
import re

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from click.testing import CliRunner
from gammapy.datasets import MapDataset
from gammapy.maps import MapAxis, WcsGeom
from gammapy.modeling.models import Models, PointSpatialModel, PowerLawSpectralModel, SkyModel
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal

from gammapy_asid.catalog.candidates import Candidates
from gammapy_asid.cli import main
from gammapy_asid.evaluation import (
    CandidateList,
    Truth,
    evaluate_lists,
    expected_calibration_error,
    found_again,
    match_brightest,
    match_optimal,
    neighbour_pairs,
    on_valid_data,
    optimal_matched,
    plot_flux_distribution,
    plot_flux_recovery,
    plot_found_again,
    plot_latitude,
    plot_pull,
    plot_separation,
    plot_threshold,
    purity_recall,
    read_candidate_list,
    read_truth,
    separation_curve,
    threshold_curve,
    write_report,
)
from gammapy_asid.simulation.mock_catalog import MockCatalog


def run(*args):
    return CliRunner().invoke(main, ["evaluate", *(str(arg) for arg in args)])


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def truth_table():
    """Four sources, two of them faint."""
    return Table(
        {
            "glon": [10.0, 12.0, 14.0, 16.0],
            "glat": [30.0, 30.0, 3.0, 3.0],
            "flux": [1e-9, 3e-10, 5e-11, 2e-11],
        }
    )


@pytest.fixture
def list_table():
    """Three real candidates, the third of a faint source, and two fakes."""
    return Table(
        {
            "glon": [10.0, 12.0, 13.0, 14.0, 17.0],
            "glat": [30.1, 30.0, 30.0, 3.2, 3.0],
            "score": [0.9, 0.8, 0.7, 0.6, 0.2],
            "flux": [1.1e-9, 2e-10, 9e-11, 6e-11, 4e-11],
            "flux_err": [2e-10, 5e-11, 5e-11, 2e-11, 2e-11],
        }
    )


@pytest.fixture
def dataset():
    """Empty data around the first two sources; the half at larger longitudes is not valid."""
    axis = MapAxis.from_energy_bounds("1 GeV", "100 GeV", nbin=2)
    geom = WcsGeom.create(skydir=(11, 30), width=(8, 4), binsz=0.1, frame="galactic", axes=[axis])
    data = MapDataset.create(geom, name="half")
    lon = geom.get_coord(sparse=True)["lon"].to_value("deg")
    data.mask_safe.data = np.broadcast_to(lon < 11.5, geom.data_shape).copy()
    return data


@pytest.fixture
def crowd(rng):
    """Sources and candidates that overlap, as lists."""
    truth = Truth(rng.uniform(0, 6, 150), rng.uniform(20, 26, 150), 10 ** rng.uniform(-11, -9, 150))
    near = rng.integers(150, size=120)
    lon = np.append(truth.lon[near] + rng.normal(0, 0.15, 120), rng.uniform(0, 6, 60))
    lat = np.append(truth.lat[near] + rng.normal(0, 0.15, 120), rng.uniform(20, 26, 60))
    return truth, CandidateList("crowd", lon, lat, np.round(rng.random(180), 2))


def test_known_purity_and_completeness(truth_table, list_table):
    truth, listed = Truth.from_table(truth_table), CandidateList.from_table(list_table, "a")
    evaluation = evaluate_lists(truth, [listed], purity=0)
    own = evaluation.metrics()["lists"]["a"]
    assert own["whole_list"]["purity"] == 3 / 5
    assert own["whole_list"]["completeness"] == 3 / 4
    # Found at scores 0.9, 0.8 and 0.6, of 1, 2 and 4 candidates
    assert_allclose(own["average_precision"], (1 + 1 + 3 / 4) / 4)
    assert_allclose(own["average_precision_optimal"], (1 + 1 + 3 / 4) / 4)
    assert own["faint"] == {"gained": 1, "fakes": 2, "true": 2}
    assert_allclose(own["working_threshold"]["offset_50"], 0.1)
    completeness = own["completeness_by_latitude"]
    number, fraction = np.array(completeness["number"]), np.array(completeness["fraction"], dtype=float)
    assert_array_equal(number[number > 0], [2, 2])
    assert_array_equal(fraction[number > 0], [0.5, 1])
    purity = own["purity_by_latitude"]
    assert_allclose([value for value in purity["fraction"] if value is not None], [1 / 2, 2 / 3])
    assert sum(own["purity_by_flux"]["number"]) == 5
    assert own["fluxes"]["number"] == 3
    # (1.1 - 1) / 0.2, (2 - 3) / 0.5 and (6 - 5) / 2
    assert_allclose(evaluation.flux_pull(evaluation.results[0]), [0.5, -2, 0.5])
    assert_allclose(own["fluxes"]["inside_68"], 2 / 3)
    assert own["positions"] is None


def test_working_threshold(truth_table, list_table):
    truth, listed = Truth.from_table(truth_table), CandidateList.from_table(list_table, "a")
    (result,) = evaluate_lists(truth, [listed], purity=0.7).results
    # Purity is 2/3 at 0.7, 3/4 at 0.6 and 3/5 at the end
    assert result.threshold == 0.6
    assert_array_equal(result.found, [True, True, True, False])
    assert result.faint.at_threshold(result.threshold) == (1, 1)
    # A purity that is never reached: the whole list
    wrong = CandidateList("b", listed.lon + 50, listed.lat, listed.score)
    (result,) = evaluate_lists(truth, [wrong]).results
    assert not result.reaches_purity
    assert result.kept.all()


def test_numbers_are_those_of_the_functions(crowd):
    truth, listed = crowd
    evaluation = evaluate_lists(truth, [listed], purity=0.7)
    (result,) = evaluation.results
    own = evaluation.metrics()["lists"]["crowd"]
    matches = match_brightest(listed.lon, listed.lat, listed.score, truth.lon, truth.lat, truth.flux)
    curve = purity_recall(listed.score, matches.is_matched, 150)
    assert_allclose(own["average_precision"], curve.average_precision)
    threshold = curve.threshold_at_purity(0.7)
    assert result.threshold == threshold
    purity, recall = curve.at_threshold(threshold)
    assert_allclose([own["working_threshold"][k] for k in ("purity", "completeness")], [purity, recall])
    assert_array_equal(result.found, matches.true_score(listed.score) >= threshold)
    # Ties have no order, the sums over bins depend on it a little
    assert_allclose(
        own["calibration_error"], expected_calibration_error(listed.score, matches.is_matched), atol=0.02
    )
    kept = listed.score >= threshold
    optimal = match_optimal(listed.lon[kept], listed.lat[kept], truth.lon, truth.lat)
    assert_allclose(own["working_threshold"]["optimal_completeness"], optimal.is_matched.sum() / 150)
    assert 0 < own["chance"] < 1


def test_optimal_curve_is_that_of_the_assignment_at_each_threshold(crowd):
    truth, listed = crowd
    place = listed.lon, listed.lat, listed.score, truth.lon, truth.lat
    matched = optimal_matched(*place)
    for threshold in (0.95, 0.8, 0.5, 0.2, 0):
        kept = listed.score >= threshold
        optimal = match_optimal(listed.lon[kept], listed.lat[kept], truth.lon, truth.lat)
        assert matched[kept].sum() == optimal.is_matched.sum()
    # More than the published matching finds, where sources are crowded
    assert matched.sum() > match_brightest(*place, truth.flux).is_matched.sum()
    group = np.arange(180) % 2, np.arange(150) % 2
    apart = optimal_matched(*place, 0.3, *group)
    assert apart.sum() == match_optimal(*place[:2], *place[3:], 0.3, *group).is_matched.sum()
    assert not optimal_matched([], [], [], truth.lon, truth.lat).any()


def test_results_show_themselves_in_one_line(crowd):
    truth, listed = crowd
    evaluation = evaluate_lists(truth, [listed])
    assert repr(evaluation) == str(evaluation) == "<Evaluation of crowd against 150 true sources>"
    assert repr(truth) == "<Truth: 150 sources>" and repr(listed) == "<CandidateList 'crowd': 180 sources>"
    assert repr(evaluation.results[0]).startswith("<ListResult 'crowd': 180 candidates, ")


def test_threshold_curve():
    score = [0.9, 0.8, 0.8, 0.5, 0.1]
    matches = match_brightest(
        [0.0, 2.0, 4.0, 6.0, 8.0], np.zeros(5), score, [0.0, 4.0, 6.0], np.zeros(3), [9, 2, 1]
    )
    curve = threshold_curve(score, matches, [9, 2, 1], (1, 9))
    assert_array_equal(curve.threshold, [0.9, 0.8, 0.5, 0.1])
    assert_array_equal(curve.gained, [0, 1, 2, 2])
    assert_array_equal(curve.fakes, [0, 1, 1, 2])
    assert curve.n_true == 2
    assert curve.at_threshold(0.6) == (1, 1)
    assert curve.at_threshold(0.95) == (0, 0)
    ax = plot_threshold({"a": curve}, ax=Figure().subplots(), marks={"a": 0.5})
    assert_array_equal(ax.lines[1].get_xydata(), [[1, 2]])
    # Bright sources are neither gained nor fakes
    assert threshold_curve(score, matches, [9, 2, 1], (5, np.inf)).gained[-1] == 1
    nothing = threshold_curve([], match_brightest([], [], [], [0.0], [0.0], [1]), [1])
    assert len(nothing.gained) == 0 and nothing.at_threshold(0) == (0, 0)


def test_neighbours():
    first, second, distance = neighbour_pairs([10.0, 10.5, 20.0, 20.2], np.zeros(4), 1)
    order = np.argsort(first)
    assert_array_equal(np.stack([first, second])[:, order], [[0, 2], [1, 3]])
    assert_allclose(distance[order], [0.5, 0.2])
    assert len(neighbour_pairs([10.0, 10.5], [0, 0], 1, group=["a", "b"])[0]) == 0
    fraction, low, high = separation_curve([0.1, 0.2, 0.6, 2], [False, True, True, True], [0, 0.5, 1, 1.5])
    assert_array_equal(fraction, [0.5, 1, np.nan])
    assert low[0] < 0.5 < high[0]
    ax = plot_separation([0.1, 0.6], [False, True], [0, 0.5, 1], ax=Figure().subplots())
    assert_allclose(ax.lines[0].get_xydata(), [[0.25, 0], [0.75, 1]])


def test_found_again():
    fraction, low, high = found_again([True, True, True, False], [True, True, False, True])
    assert_allclose(fraction, 2 / 3)
    assert low < fraction < high
    assert np.isnan(found_again([False], [True])[0])
    ax = plot_found_again([1e-9, 2e-9], [True, True], [True, False], [5e-10, 5e-9], ax=Figure().subplots())
    assert_allclose(ax.lines[0].get_ydata(), [0.5])


def test_plots():
    ax = plot_latitude([-3, 3, 30], [True, False, True], [0, 10, 90], ax=Figure().subplots(), shift=0.1)
    assert_allclose(ax.lines[0].get_xydata(), [[6, 0.5], [58, 1]])
    ax = plot_flux_recovery([1e-9, 1e-8], [2e-9, 1e-8], [1e-10] * 2, [1e-10] * 2, ax=Figure().subplots())
    assert ax.get_xscale() == ax.get_yscale() == "log"
    found = {"a": np.array([True, False])}
    ax = plot_flux_distribution([1e-9, 1e-9], found, [1e-10, 1e-8], ax=Figure().subplots())
    assert [patch.get_data().values[0] for patch in ax.patches] == [2, 1]
    ax = plot_pull([0.1, 9.0], ax=Figure().subplots())
    assert_allclose(np.sum(ax.patches[0].get_data().values) * 0.4, 1)


def test_region(dataset, truth_table, list_table):
    # One candidate is real by a source on invalid data, one lies there, one is a fake, two are elsewhere
    truth_table["glon"][1] = 11.6
    list_table["glon"][1] = 11.4
    truth, listed = Truth.from_table(truth_table), CandidateList.from_table(list_table, "a")
    evaluation = evaluate_lists(truth, [listed], dataset)
    (result,) = evaluation.results
    assert len(evaluation.truth) == 1
    assert_array_equal(result.candidates.score, [0.9])
    assert result.n_left_out == 4
    sample = evaluation.sample
    assert (sample["n_given"], sample["n_outside"], sample["n_true"]) == (4, 3, 1)
    assert_allclose(sample["area_deg2"], 4 * (4 + 0.5 * np.cos(np.radians(30))), rtol=0.02)
    positions = SkyCoord([10, 12, 60], [30, 30, 0], unit="deg", frame="galactic")
    assert_array_equal(on_valid_data(dataset, positions), [True, False, False])
    # A candidate just outside that is real by a source inside counts
    list_table["glat"][0], list_table["glon"][0] = 27.9, 10.0
    truth_table["glat"][0] = 28.1
    moved = Truth.from_table(truth_table), [CandidateList.from_table(list_table, "a")]
    assert evaluate_lists(*moved, dataset).results[0].found.all()
    # Without a mask all of the field is valid
    dataset.mask_safe = None
    assert_array_equal(on_valid_data(dataset, positions), [True, True, False])
    evaluation = evaluate_lists(truth, [listed], latitude=(0, 10))
    assert evaluation.metrics()["lists"]["a"]["whole_list"]["purity"] == 0.5


def test_faint_sources_that_do_not_count(truth_table, list_table):
    truth, listed = Truth.from_table(truth_table), CandidateList.from_table(list_table, "a")
    evaluation = evaluate_lists(truth, [listed], purity=0, flux_min=1e-10)
    (result,) = evaluation.results
    assert evaluation.sample["n_too_faint"] == 2
    assert_array_equal(result.matches.is_matched, [True, True, False, False, False])
    assert result.n_faint_matches == 1


def test_stated_errors_are_covered(rng):
    n = 4000
    truth = Truth(rng.uniform(0, 360, n), rng.uniform(-60, 60, n), np.full(n, 1e-9))
    # Deviations of 0.02 and 0.01 deg along axes at 30 deg from north to east
    major, minor = rng.normal(0, 0.02, n), rng.normal(0, 0.01, n)
    angle = np.radians(30)
    icrs = truth.positions.icrs
    lat = icrs.dec.deg + major * np.cos(angle) - minor * np.sin(angle)
    east = major * np.sin(angle) + minor * np.cos(angle)
    table = Table({"ra": icrs.ra.deg + east / np.cos(icrs.dec.rad), "dec": lat, "score": np.full(n, 0.9)})
    for level, radius in (("68", 1.5096), ("95", 2.4477)):
        table[f"semi_major_{level}"], table[f"semi_minor_{level}"] = 0.02 * radius, 0.01 * radius
    table["pos_angle"] = 30.0
    evaluation = evaluate_lists(truth, [CandidateList.from_table(table, "a")], purity=0)
    positions = evaluation.metrics()["lists"]["a"]["positions"]
    # Some share their place with a neighbour
    assert n - 20 < positions["number"] <= n
    assert_allclose([positions["inside_68"], positions["inside_95"]], [0.68, 0.95], atol=0.025)
    pit = evaluation.position_pit(evaluation.results[0])
    assert_allclose(np.quantile(pit, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.025)
    # Each ellipse counts as it is stated
    table["semi_major_95"] *= 2
    pit = evaluate_lists(truth, [CandidateList.from_table(table, "a")], purity=0)
    pit = pit.position_pit(pit.results[0])
    assert_allclose([np.mean(pit < 0.68), np.mean(pit < 0.95)], [0.68, 0.997], atol=0.025)


def test_truth_of_all_kinds(tmp_path, truth_table):
    models = Models(
        [
            SkyModel(
                spectral_model=PowerLawSpectralModel(
                    index=2.2, amplitude="1e-10 cm-2 s-1 GeV-1", reference="1 GeV"
                ),
                spatial_model=PointSpatialModel(lon_0=lon * u.deg, lat_0="2 deg", frame="galactic"),
                name=f"bll-{lon}",
            )
            for lon in (3, 5)
        ]
    )
    models.write(tmp_path / "models.yaml")
    MockCatalog.from_models(models).write(tmp_path / "catalog.fits")
    flux = 1e-10 / 1.2 * (1 - 100**-1.2)
    for name in ("models.yaml", "catalog.fits"):
        truth = read_truth(tmp_path / name)
        assert_allclose(truth.flux, [flux] * 2, rtol=1e-6)
        assert_allclose([truth.lon, truth.lat], [[3, 5], [2, 2]], atol=1e-6)
        # Selection and energies go together
        assert_allclose(truth.select([1]).fluxes(1, 10), [1e-10 / 1.2 * (1 - 10**-1.2)], rtol=1e-6)
    truth_table["flux"].unit = "m-2 s-1"
    truth_table.rename_column("flux", "S_total")
    for name in ("table.ecsv", "table.fits"):
        truth_table.write(tmp_path / name)
        truth = read_truth(tmp_path / name, flux="S_total")
        assert_allclose(truth.flux, np.array([1e-9, 3e-10, 5e-11, 2e-11]) / 1e4)
        assert truth.fluxes(1, 10) is None
    position = truth.positions.icrs
    Table({"RAJ2000": position.ra, "DEJ2000": position.dec, "Flux1000": truth.flux}).write(
        tmp_path / "icrs.fits"
    )
    assert_allclose(read_truth(tmp_path / "icrs.fits").lon, truth.lon)


def test_lists_of_all_kinds(tmp_path, list_table):
    positions = SkyCoord(list_table["glon"], list_table["glat"], unit="deg", frame="galactic")
    axes = np.full((5, 2), 0.05) * u.deg
    candidates = Candidates.from_positions(positions, list_table["score"], axes, 1.6 * axes)
    candidates.write(tmp_path / "candidates.fits")
    listed = read_candidate_list(tmp_path / "candidates.fits", "a")
    assert_allclose(listed.lon, list_table["glon"])
    assert listed.flux is None
    assert listed.ellipse.shape == (5, 5)
    list_table.rename_column("score", "sqrt_ts")
    list_table["sqrt_ts"] *= 10
    list_table.write(tmp_path / "peaks.csv")
    listed = read_candidate_list(tmp_path / "peaks.csv", "b", score=("probability", "sqrt_ts"))
    assert_allclose(listed.score, [9, 8, 7, 6, 2])
    assert not listed.is_probability
    assert_allclose(listed.fluxes(1, 100), list_table["flux"])


def test_fluxes_in_other_energy_ranges():
    listed = CandidateList(
        "a",
        *np.zeros((2, 1)),
        np.ones(1),
        flux=np.array([7.0]),
        energy_range=(0.5, 1000.0),
        flux_band=np.array([[4.0, 2.0, 1.0]]),
        band_edges=((0.5, 1.0), (1.0, 10.0), (10.0, 1000.0)),
    )
    assert listed.fluxes(0.5, 1000) == 7
    share = (1 / 10 - 1 / 100) / (1 / 10 - 1 / 1000)
    assert_allclose(listed.fluxes(1, 100), [2 + share])
    whole = CandidateList(
        "a", *np.zeros((2, 1)), np.ones(1), flux=np.array([7.0]), energy_range=(0.5, 1000.0)
    )
    assert_allclose(whole.fluxes(1, 100), 7 * (1 - 0.01) / (2 - 0.001))


def test_fluxes_beyond_the_bands_of_a_list():
    # Of a photon index of 2 throughout: the flux above E is 1 / E
    edges = ((10.0, 100.0), (100.0, 1000.0))
    inside = [1 / low - 1 / high for low, high in edges]
    listed = CandidateList(
        "a",
        *np.zeros((2, 3)),
        np.ones(3),
        flux=np.array([0.099, 0.099, np.nan]),
        energy_range=(10.0, 1000.0),
        flux_band=np.array([inside, [inside[0], np.nan], [np.nan, np.nan]]),
        band_edges=edges,
    )
    for e_min, e_max in ((1, 100), (10, 100), (50, 3000), (1, 5)):
        assert_allclose(listed.fluxes(e_min, e_max), [1 / e_min - 1 / e_max] * 2 + [np.nan])


def test_range_of_energies_of_a_truth(truth_table):
    assert Truth.from_table(truth_table).energy_range == (1, 100)
    truth_table["e_min"], truth_table["e_max"] = [10.0] * 4 * u.GeV, [1] * 4 * u.TeV
    assert Truth.from_table(truth_table).energy_range == (10, 1000)
    assert Truth.from_table(truth_table, energy_range=[1, 3] * u.TeV).energy_range == (1000, 3000)
    truth_table["e_min"][0] = 20
    with pytest.raises(ValueError, match="Fluxes of the truth are in several energy ranges"):
        Truth.from_table(truth_table)
    with pytest.raises(ValueError, match="The energy range must be two energies above 0 that rise"):
        Truth.from_table(truth_table, energy_range=(3, 1))


@pytest.mark.parametrize(
    "others", [[b"1 ", b"2", b"1", b"2", b"2"], [1, 2, 1, 2, 2], [1.0, 2.0, 1.0, 2.0, 2.0]]
)
def test_names_of_fields_of_any_kind(truth_table, list_table, others):
    truth_table["field"], list_table["field"] = ["1", "1", "2", "2"], others
    truth = Truth.from_table(truth_table, group="field")
    evaluation = evaluate_lists(truth, [CandidateList.from_table(list_table, "x", group="field")], purity=0)
    assert_array_equal(evaluation.results[0].matches.is_matched, [True, False, False, True, False])


@pytest.mark.parametrize("name", ["latitude", "faint"])
def test_ranges_of_two_numbers(truth_table, list_table, name):
    truth, listed = Truth.from_table(truth_table), CandidateList.from_table(list_table, "a")
    for value in (3, (1, 2, 3)):
        with pytest.raises(ValueError, match="must be two numbers, got"):
            evaluate_lists(truth, [listed], **{name: value})


def test_overlapping_fields(truth_table, list_table):
    truth_table["field"] = ["a", "a", "b", "b"]
    list_table["field"] = ["a", "b", "a", "b", "b"]
    truth = Truth.from_table(truth_table, group="field")
    evaluation = evaluate_lists(truth, [CandidateList.from_table(list_table, "x", group="field")], purity=0)
    assert_array_equal(evaluation.results[0].matches.is_matched, [True, False, False, True, False])
    assert evaluation.sample["fields"] == 2


def test_page(tmp_path, truth_table, list_table):
    truth_table.write(tmp_path / "truth.csv")
    list_table.write(tmp_path / "list.csv")
    list_table["score"] *= 7
    list_table["glon", "glat", "score"].write(tmp_path / "peaks.ecsv")
    out = tmp_path / "new" / "out"
    args = (tmp_path / "truth.csv", f"A & B={tmp_path / 'list.csv'}", tmp_path / "peaks.ecsv", "-o", out)
    result = run(*args, "--purity", 0.7)
    assert result.exit_code == 0, result.output
    assert "A & B: average precision 0.688; at the working threshold purity 0.750" in result.output
    page = (out / "index.html").read_text()
    # Nothing is fetched: all pictures are inside
    assert page.count("data:image/png;base64,") == len(list(out.glob("*.png"))) > 5
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert "A &amp; B" in page
    for text in ("4 of 4 in the truth", "Matching radius", "0.3°", "2.00·10⁻¹¹ to 1.00·10⁻⁹ cm⁻² s⁻¹"):
        assert text in page
    metrics = json.loads((out / "metrics.json").read_text())
    assert set(metrics["lists"]) == {"A & B", "peaks"}
    assert metrics["lists"]["peaks"]["calibration_error"] is None
    assert metrics["settings"]["radius_deg"] == 0.3
    assert not [path for path in out.iterdir() if path.name.startswith(".")]

    # Nothing is replaced unless asked for
    before = (out / "index.html").stat().st_mtime_ns
    result = run(*args)
    assert result.exit_code == 2 and "--overwrite" in result.output
    assert (out / "index.html").stat().st_mtime_ns == before
    # Pictures that the new page does not have go
    assert (out / "flux_pull.png").exists()
    result = run(tmp_path / "truth.csv", tmp_path / "peaks.ecsv", "-o", out, "--overwrite")
    assert result.exit_code == 0, result.output
    assert not (out / "flux_pull.png").exists()
    with pytest.raises(FileExistsError, match="choose another folder"):
        write_report(
            evaluate_lists(Truth.from_table(truth_table), [CandidateList.from_table(list_table)]), out
        )


def test_page_with_a_dataset(tmp_path, dataset, truth_table, list_table):
    truth_table.write(tmp_path / "truth.csv")
    list_table.write(tmp_path / "list.csv")
    dataset.write(tmp_path / "data.fits.gz")
    result = run(
        tmp_path / "truth.csv",
        tmp_path / "list.csv",
        "--dataset",
        tmp_path / "data.fits.gz",
        "-o",
        tmp_path / "o",
    )
    assert result.exit_code == 0, result.output
    page = (tmp_path / "o" / "index.html").read_text()
    assert "1 of 4 in the truth; 3 outside the region" in page
    assert "Valid data of the dataset, 18 deg²" in page


def test_page_without_candidates(tmp_path, truth_table, list_table):
    truth_table.write(tmp_path / "truth.csv")
    list_table[:0].write(tmp_path / "empty.ecsv")
    list_table[:0].write(tmp_path / "empty.csv")
    for name in ("empty.ecsv", "empty.csv"):
        result = run(tmp_path / "truth.csv", tmp_path / name, "-o", tmp_path / name[:-5])
        assert result.exit_code == 0, result.output
        own = json.loads((tmp_path / name[:-5] / "metrics.json").read_text())["lists"]["empty"]
        assert own["whole_list"]["completeness"] == own["average_precision"] == 0
        assert own["whole_list"]["purity"] is None
        assert "has no candidate in the region" in (tmp_path / name[:-5] / "index.html").read_text()
        for path in (tmp_path / name[:-5]).iterdir():
            path.unlink()
        (tmp_path / name[:-5]).rmdir()


@pytest.mark.parametrize(
    ("change", "args", "message"),
    [
        ("truth", (), "The truth has no columns ra and dec, or glon and glat"),
        ("no flux", (), "The truth has no column flux or s1"),
        ("zero flux", (), "The truth has 1 fluxes that are not positive"),
        ("empty truth", (), "The truth has no source"),
        ("list", (), "List 'list' has no columns ra and dec, or glon and glat"),
        ("no score", (), "List 'list' has no column score"),
        ("nan score", (), "List 'list' has 1 rows without a score"),
        ("text", (), "is no table that can be read"),
        (None, ("--flux", "S9"), "no column 'S9'"),
        (None, ("--radius", "0"), "give a number above 0 below 90"),
        (None, ("--purity", "2"), "give a number from 0 up to 1"),
        (None, ("--flux-min", "1"), "bright enough"),
        (None, ("--latitude", "80", "90"), "None of the 4 true sources is in the region"),
        (None, ("--latitude", "9", "1"), "give the smaller number first"),
        (None, ("--group", "patch"), "The truth has no column 'patch'"),
        (None, ("nothing.fits",), "No such file: nothing.fits"),
        (None, ("other=LIST",), "No such file: LIST"),
        (None, ("list={list}",), "twice: name them apart"),
    ],
)
def test_errors_are_one_line(tmp_path, truth_table, list_table, change, args, message):
    truth, listed = tmp_path / "truth.csv", tmp_path / "list.csv"
    match change:
        case "truth":
            truth_table.rename_column("glon", "x")
        case "no flux":
            truth_table.remove_column("flux")
        case "zero flux":
            truth_table["flux"][1] = 0
        case "empty truth":
            truth_table = truth_table[:0]
        case "list":
            list_table.rename_column("glat", "y")
        case "no score":
            list_table.remove_column("score")
        case "nan score":
            list_table["score"][2] = np.nan
    truth_table.write(truth)
    list_table.write(listed)
    if change == "text":
        listed = tmp_path / "list.fits"
        listed.write_text("text")
    args = [arg.format(list=listed) for arg in args]
    result = run(truth, listed, *args, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.output
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert not (tmp_path / "out" / "index.html").exists()


def test_no_list():
    with pytest.raises(ValueError, match="no candidate list"):
        evaluate_lists(Truth(np.zeros(1), np.zeros(1), np.ones(1)), [])
