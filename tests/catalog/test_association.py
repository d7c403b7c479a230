# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests of associations with catalogues."""

import os

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from gammapy.catalog import SourceCatalog3FHL, SourceCatalogGammaCat

from gammapy_asid.catalog.association import associate, association_probability, false_match_rate
from gammapy_asid.catalog.candidates import Candidates
from gammapy_asid.catalog.columns import ASSOCIATION_COLUMNS
from gammapy_asid.catalog.counterparts import Counterparts, match_counterparts
from gammapy_asid.utils.sky_geometry import RADIUS_68, RADIUS_95


def make_candidates(positions, sigma=0.05, ratio=1.0, angle=0.0):
    """Candidates with Gaussian errors: the deviation along the larger axis, and the ratio of both."""
    axes = np.broadcast_to([sigma, sigma / ratio], (len(positions), 2)) * u.deg
    return Candidates.from_positions(
        positions, np.full(len(positions), 0.9), axes * RADIUS_68, axes * RADIUS_95, angle * u.deg
    )


def catalog(positions, names=None, sigma=None):
    icrs = positions.icrs
    table = Table({"RAJ2000": icrs.ra.deg, "DEJ2000": icrs.dec.deg})
    table["Source_Name"] = [f"S{i}" for i in range(len(icrs))] if names is None else names
    if sigma is not None:
        for name in ("Conf_95_SemiMajor", "Conf_95_SemiMinor"):
            table[name] = np.full(len(icrs), sigma * RADIUS_95)
        table["Conf_95_PosAng"] = 0.0
    return table


def random_sky(n, seed=0, width=20):
    rng = np.random.default_rng(seed)
    lon, lat = rng.uniform(-width / 2, width / 2, (2, n))
    return SkyCoord(lon + 100, lat + 20, unit="deg", frame="galactic")


def scattered(positions, sigma, seed=1):
    """Positions with a Gaussian error of `sigma` deg on each axis."""
    rng = np.random.default_rng(seed)
    distance = sigma * np.sqrt(-2 * np.log(rng.random(len(positions))))
    return positions.directional_offset_by(rng.uniform(0, 360, len(positions)) * u.deg, distance * u.deg)


def test_evidence_of_a_pair():
    """By hand: a Gaussian density over the density of counterparts."""
    sky = random_sky(400)
    own = sky[:1].directional_offset_by(40 * u.deg, 0.06 * u.deg)
    candidates = make_candidates(own)
    counterparts = Counterparts.from_catalog("known", catalog(sky, sigma=0.02))
    pairs = match_counterparts(candidates, counterparts)
    row = pairs[pairs["counterpart"] == 0]
    variance = 0.05**2 + 0.02**2
    assert row["sep"].to_value("deg")[0] == pytest.approx(0.06, rel=1e-3)
    assert row["sigma"][0] == pytest.approx(0.06 / np.sqrt(variance), rel=1e-3)
    density = row["evidence"][0] ** -1 * np.exp(-(0.06**2) / 2 / variance) / (2 * np.pi * variance)
    # One per square degree, from twenty of them
    assert density == pytest.approx(1.0, rel=0.5)
    assert np.all(pairs["sigma"] < 5)
    near = own.separation(sky).deg < 5 * np.sqrt(variance)
    assert len(pairs) == near.sum()


def test_error_ellipse_counts_along_its_axis():
    """The same distance is much along the short axis and little along the long one."""
    centre = SkyCoord(150, 40, unit="deg")
    candidates = make_candidates(centre.reshape(1), sigma=0.2, ratio=10, angle=30)
    moved = centre.directional_offset_by([30, 120] * u.deg, 0.1 * u.deg)
    pairs = match_counterparts(candidates, Counterparts.from_catalog("known", catalog(moved, sigma=1e-4)))
    assert len(pairs) == 2
    sigma = dict(zip(pairs["counterpart"], pairs["sigma"], strict=True))
    assert sigma[0] == pytest.approx(0.5, rel=0.02)
    assert sigma[1] == pytest.approx(5.0, rel=0.02)


def test_probabilities_are_calibrated():
    """Of candidates with a probability p of an association a share p has it."""
    truth = random_sky(6000, width=60)
    real = scattered(truth[:1500], 0.07)
    fakes = random_sky(1500, seed=7, width=60)
    candidates = make_candidates(
        SkyCoord(
            np.r_[real.l.deg, fakes.l.deg], np.r_[real.b.deg, fakes.b.deg], unit="deg", frame="galactic"
        ),
        sigma=0.07,
    )
    pairs = match_counterparts(candidates, Counterparts.from_catalog("known", catalog(truth, sigma=1e-4)))
    probability, prior = association_probability(pairs, len(candidates))
    assert prior == pytest.approx(0.5, abs=0.04)
    right = (pairs["candidate"] < 1500) & (pairs["counterpart"] == pairs["candidate"])
    for low, high in ((0.02, 0.3), (0.3, 0.7), (0.7, 0.9), (0.9, 1.0)):
        chosen = (probability > low) & (probability <= high)
        assert chosen.sum() > 50
        assert np.mean(right[chosen]) == pytest.approx(probability[chosen].mean(), abs=0.06)
    # A candidate is at most one of its counterparts
    assert np.bincount(pairs["candidate"], probability).max() <= 1 + 1e-9


def test_prior():
    sky = random_sky(50)
    candidates = make_candidates(scattered(sky, 0.05))
    pairs = match_counterparts(candidates, Counterparts.from_catalog("known", catalog(sky, sigma=0.01)))
    one, prior = association_probability(pairs, 50, prior=0.5)
    assert prior == 0.5
    evidence = np.asarray(pairs["evidence"])
    total = np.bincount(pairs["candidate"], evidence, minlength=50)[pairs["candidate"]]
    np.testing.assert_allclose(one, evidence / (total + 1))
    assert association_probability(pairs, 50)[1] > 0.99


def test_false_matches_come_from_chance():
    """A catalogue of unrelated sources: what is associated is false, and the shifted ones say how much."""
    sky = random_sky(4000, width=60)
    unrelated = make_candidates(random_sky(2000, seed=3, width=50), sigma=0.2)
    counterparts = Counterparts.from_catalog("known", catalog(sky, sigma=0.01))
    pairs = match_counterparts(unrelated, counterparts)
    probability, _ = association_probability(pairs, len(unrelated), prior=0.9)
    associated = len(np.unique(pairs["candidate"][probability > 0.8])) / len(unrelated)
    assert associated > 0.1
    rate = false_match_rate(unrelated, counterparts, prior=0.9)
    assert rate == pytest.approx(associated, abs=0.03)


def test_shifted_catalogues_keep_their_latitude():
    sky = random_sky(100)
    counterparts = Counterparts.from_catalog("known", catalog(sky))
    moved = counterparts.shifted(3.0, 90.0)
    np.testing.assert_allclose(moved.positions.separation(counterparts.positions).deg, 3.0)
    assert np.abs(moved.positions.galactic.b - sky.b).deg.max() < 0.1
    np.testing.assert_array_equal(moved.covariance, counterparts.covariance)


def test_associate():
    sky = random_sky(300, width=40)
    candidates = make_candidates(scattered(sky[:60], 0.03), sigma=0.03)
    first, second = catalog(sky[:40], sigma=0.01), catalog(sky[20:], [f"T{i}" for i in range(20, 300)])
    result = associate(candidates, {"A": first, "B": second}, position_error=0.02 * u.deg)
    table = result.table
    assert [column.name for column in ASSOCIATION_COLUMNS] == table.colnames[-4:]
    catalogs, names = list(table["assoc_catalog"]), list(table["assoc_name"])
    # The first catalogue is preferred; each candidate has its own counterpart
    assert np.mean([name == (f"S{i}" if i < 40 else f"T{i}") for i, name in enumerate(names)]) > 0.95
    assert set(catalogs[:40]) <= {"A", ""}
    assert set(catalogs[40:]) <= {"B", ""}
    some = np.array(catalogs) != ""
    assert np.all(table["assoc_prob"][some] >= 0.8)
    assert np.all(np.isnan(table["assoc_prob"][~some]))
    assert np.all(table["assoc_sep"][some] < 0.2 * u.deg)
    meta = result.meta["association"]
    assert meta["threshold"] == 0.8
    assert meta["catalogs"]["A"]["associations"] == catalogs.count("A")
    assert 0 <= meta["catalogs"]["A"]["false_match_rate"] < 0.1
    assert "assoc_name" not in candidates.table.colnames


def test_candidate_without_a_position():
    sky = random_sky(200)
    table = make_candidates(sky[:3]).table.copy()
    table["ra"][1] = np.nan * u.deg
    names = associate(Candidates(table), {"A": catalog(sky)}).table["assoc_name"]
    assert (names[1], names[0] != "", names[2] != "") == ("", True, True)


def test_nothing_to_associate(tmp_path):
    sky = random_sky(10)
    none = associate(make_candidates(sky[:0]), {"A": catalog(sky)})
    assert len(none) == 0
    far = associate(
        make_candidates(sky), {"A": catalog(SkyCoord([300], [-60], unit="deg", frame="galactic"))}
    )
    assert set(far.table["assoc_name"]) == {""}
    assert far.meta["association"]["catalogs"]["A"]["associations"] == 0
    empty = associate(make_candidates(sky), {"A": catalog(sky[:0])})
    assert set(empty.table["assoc_name"]) == {""}
    unknown = associate(make_candidates(sky, sigma=np.nan), {"A": catalog(sky)})
    assert set(unknown.table["assoc_name"]) == {""}
    empty.write(tmp_path / "c.fits")
    assert set(Candidates.read(tmp_path / "c.fits").table["assoc_name"]) == {""}


@pytest.mark.parametrize(
    ("columns", "unit"),
    [
        (("RAJ2000", "DEJ2000"), "deg"),
        (("ra", "dec"), None),
        (("GLON", "GLAT"), "deg"),
        (("RA", "Dec"), "rad"),
    ],
)
def test_names_and_units_of_columns(columns, unit):
    sky = random_sky(5)
    sky = sky if columns[0] == "GLON" else sky.icrs
    lon, lat = (a.to_value(unit or "deg") for a in (sky.spherical.lon, sky.spherical.lat))
    table = Table({columns[0]: lon, columns[1]: lat})
    if unit:
        table[columns[0]].unit = table[columns[1]].unit = unit
    counterparts = Counterparts.from_catalog("known", table, 0.1 * u.deg)
    assert counterparts.positions.separation(sky.icrs).deg.max() < 1e-9
    assert counterparts.names.tolist() == ["0", "1", "2", "3", "4"]
    np.testing.assert_allclose(counterparts.covariance[:, 0, 0], (0.1 / RADIUS_68) ** 2)


def test_missing_values():
    """Rows without a position are left out, those without an ellipse get the stated error."""
    table = catalog(random_sky(4), sigma=0.02)
    table["RAJ2000"] = MaskedColumn(table["RAJ2000"], mask=[0, 1, 0, 0])
    table["Conf_95_SemiMajor"][2] = np.nan
    counterparts = Counterparts.from_catalog("known", table, 0.3 * u.deg)
    assert counterparts.names.tolist() == ["S0", "S2", "S3"]
    variance = counterparts.covariance[:, 1, 1]
    np.testing.assert_allclose(variance, [0.02**2, (0.3 / RADIUS_68) ** 2, 0.02**2])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (Table({"Source_Name": ["a"]}), "'mine' has no columns ra and dec, or glon and glat"),
        (
            Table({"ra": ["Crab"], "dec": ["north"]}),
            "'mine' has no positions in deg.*ra holds no numbers",
        ),
        (QTable({"ra": [1] * u.s, "dec": [1] * u.deg}), "ra must be in deg, got s"),
    ],
)
def test_catalogue_without_positions(table, message):
    with pytest.raises(ValueError, match=message):
        associate(make_candidates(random_sky(3)), {"mine": table})


@pytest.mark.parametrize("threshold", [0, 1, 1.5])
def test_threshold_is_a_probability(threshold):
    with pytest.raises(ValueError, match="probability between 0 and 1"):
        associate(make_candidates(random_sky(3)), {}, threshold=threshold)


@pytest.mark.parametrize(("own", "other"), [(0.3, 0.01), (0.01, 0.3), (0.2, 0.2)])
def test_pairs_are_found_up_to_five_standard_deviations(own, other):
    """Whichever of both errors is the large one, along the larger axis of an ellipse too."""
    centre = SkyCoord(150, 40, unit="deg")
    candidates = make_candidates(centre.reshape(1), sigma=own, ratio=10, angle=90)
    sigma = np.hypot(own, other)
    moved = centre.directional_offset_by(90 * u.deg, sigma * np.array([4.8, 5.2]) * u.deg)
    # A source of a small error beside those of a large one
    table = catalog(moved, sigma=other)
    pairs = match_counterparts(candidates, Counterparts.from_catalog("known", table))
    assert list(pairs["counterpart"]) == [0]
    assert pairs["sigma"][0] == pytest.approx(4.8, rel=0.02)


@pytest.mark.parametrize("large", [(0.3, 0.05), (0.05, 0.3)])
def test_pairs_of_large_errors_are_found_among_many_of_small_ones(large):
    """The search reaches five standard deviations of the worst candidate and of the worst counterpart."""
    lon = 100 + 5 * np.arange(9.0)
    own, other = np.full(9, 0.01), np.full(9, 0.01)
    own[2], other[6] = large
    positions = SkyCoord(lon, 0 * lon, unit="deg")
    axes = np.stack([own, own / 10], -1) * u.deg
    candidates = Candidates.from_positions(
        positions, np.full(9, 0.9), axes * RADIUS_68, axes * RADIUS_95, 90 * u.deg
    )
    moved = positions.directional_offset_by(90 * u.deg, 4.9 * np.hypot(own, other) * u.deg)
    pairs = match_counterparts(candidates, Counterparts.from_catalog("known", catalog(moved, sigma=other)))
    assert sorted(pairs["candidate"]) == list(range(9))
    assert pairs["candidate"].tolist() == pairs["counterpart"].tolist()
    assert pairs["sigma"] == pytest.approx(4.9, rel=0.02)


@pytest.mark.parametrize("again", [1, 2, 4])
def test_entries_at_one_place_count_together(again):
    """As 4FGL lists pulsar and nebula: whether they are one or several, the candidate has its counterpart."""
    sky = random_sky(300, width=40)
    candidates = make_candidates(sky[:5], sigma=0.02)
    once = associate(candidates, {"A": catalog(sky, sigma=0.01)})
    entries = np.r_[np.arange(300), np.zeros(again, int)]
    several = associate(candidates, {"A": catalog(sky[entries], sigma=0.01)})
    own = several.table[0]["assoc_name"].split(", ")
    assert own == ["S0", *(f"S{300 + i}" for i in range(again))]
    assert list(several.table["assoc_name"][1:]) == list(once.table["assoc_name"][1:])
    np.testing.assert_allclose(several.table["assoc_prob"], once.table["assoc_prob"], rtol=1e-3)
    assert several.meta["association"]["catalogs"]["A"]["associations"] == 5
    assert several.table["assoc_prob"].max() <= 1


def test_entries_apart_do_not_count_together():
    """Two counterparts as near as each other, and farther apart than their errors: it is not known which."""
    centre = SkyCoord(100, 20, unit="deg", frame="galactic")
    two = centre.directional_offset_by([0, 180] * u.deg, 0.1 * u.deg)
    far = random_sky(100, seed=5)
    far = far[far.separation(centre).deg > 3]
    both = SkyCoord(np.r_[two.l, far.l], np.r_[two.b, far.b], frame="galactic")
    candidates = make_candidates(centre.reshape(1), sigma=0.1)
    result = associate(candidates, {"A": catalog(both, sigma=0.01)})
    assert result.table["assoc_name"][0] == ""
    # The same place, were their errors as large as their distance
    result = associate(candidates, {"A": catalog(both, sigma=0.1)})
    assert sorted(result.table["assoc_name"][0].split(", ")) == ["S0", "S1"]


def test_one_name_listed_twice_is_written_once():
    sky = random_sky(100)
    names = [f"S{i}" for i in range(100)] + ["S0"]
    result = associate(make_candidates(sky[:2]), {"A": catalog(sky[np.r_[:100, 0]], names, sigma=0.01)})
    assert list(result.table["assoc_name"]) == ["S0", "S1"]


def test_names_of_counterparts_are_written_and_read(tmp_path):
    sky = random_sky(50)
    names = np.array([f"S{i}" for i in range(50)], dtype="U80")
    names[:2] = "LS I +61°303", "A very long name of a supernova remnant with G184.6-5.8 in it"
    label = "Каталог без плоскости Галактики"
    result = associate(make_candidates(sky[:3]), {label: catalog(sky, names, sigma=0.01)})
    assert list(result.table["assoc_name"]) == list(names[:3])
    result.write(tmp_path / "candidates.fits")
    back = Candidates.read(tmp_path / "candidates.fits")
    assert list(back.table["assoc_name"]) == list(names[:3])
    assert set(back.table["assoc_catalog"]) == {label}
    assert back.meta == result.meta


@pytest.mark.parametrize(
    ("columns", "sigma"),
    [
        ({"Pos_Err_68": 0.06}, 0.06 / RADIUS_68),
        ({"pos_err": 0.06}, 0.06 / RADIUS_68),
        ({"r95": 0.06}, 0.06 / RADIUS_95),
        ({"Conf_68_SemiMajor": 0.06, "Conf_68_SemiMinor": 0.06, "Conf_68_PosAng": np.nan}, 0.06 / RADIUS_68),
        ({"e_RAJ2000": 0.02, "e_DEJ2000": 0.02}, 0.02),
        # The ellipse is not known, the radius is
        (
            {"Conf_95_SemiMajor": np.nan, "Conf_95_SemiMinor": 1.0, "Conf_95_PosAng": 0, "Pos_Err_95": 0.1},
            0.1 / RADIUS_95,
        ),
        ({"Pos_Err_68": -999.0}, 0.3 / RADIUS_68),
        ({"Pos_Err_68": np.inf}, 0.3 / RADIUS_68),
    ],
)
def test_errors_of_catalogues_are_theirs(columns, sigma):
    table = catalog(random_sky(2))
    for name, value in columns.items():
        table[name] = value
    counterparts = Counterparts.from_catalog("known", table, 0.3 * u.deg)
    np.testing.assert_allclose(
        counterparts.covariance, np.broadcast_to(np.eye(2) * sigma**2, (2, 2, 2)), atol=1e-12
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"catalogs": [Table()]}, TypeError, "by name"),
        ({"catalogs": {"A": "4fgl.fits"}}, TypeError, "'A' is no SourceCatalog or astropy Table, but str"),
        ({"catalogs": {1: Table()}}, TypeError, "have a name, got 1"),
        ({"catalogs": {"A": Table()}}, ValueError, "no columns ra and dec"),
        ({"threshold": "high"}, ValueError, "probability between 0 and 1"),
        ({"threshold": np.nan}, ValueError, "probability between 0 and 1"),
        ({"position_error": 0.1}, ValueError, "must be an angle above 0"),
        ({"position_error": 1 * u.s}, ValueError, "must be an angle above 0"),
        ({"position_error": 0 * u.deg}, ValueError, "must be an angle above 0"),
        ({"position_error": np.nan * u.deg}, ValueError, "must be an angle above 0"),
        ({"candidates": Table()}, TypeError, "candidates must be a Candidates, got Table"),
    ],
)
def test_arguments_are_checked(arguments, error, message):
    arguments = {"candidates": make_candidates(random_sky(3)), "catalogs": {}} | arguments
    with pytest.raises(error, match=message):
        associate(**arguments)
    with pytest.raises(ValueError, match="share between 0 and 1"):
        association_probability(None, 0, prior=1.5)


@pytest.mark.skipif("GAMMAPY_DATA" not in os.environ, reason="needs GAMMAPY_DATA")
def test_names_of_gamma_cat_are_its_own():
    known = SourceCatalogGammaCat()
    positions = known.positions[:20].icrs
    result = associate(make_candidates(positions, sigma=0.01), {"gamma-cat": known})
    names = [str(name).strip() for name in known.table["common_name"][:20]]
    assert (
        np.mean(
            [
                name in listed.split(", ")
                for name, listed in zip(names, result.table["assoc_name"], strict=True)
            ]
        )
        > 0.8
    )
    assert list(Counterparts.from_catalog("table", known.table).names[:20]) == names


@pytest.mark.skipif("GAMMAPY_DATA" not in os.environ, reason="needs GAMMAPY_DATA")
def test_3fhl_with_itself():
    known = SourceCatalog3FHL()
    positions = known.positions[::10]
    candidates = make_candidates(scattered(positions.icrs, 0.02), sigma=0.02)
    result = associate(candidates, {"3FHL": known})
    names = [known.table["Source_Name"][10 * i].strip() for i in range(len(positions))]
    assert np.mean(result.table["assoc_name"] == names) > 0.97
    assert result.meta["association"]["catalogs"]["3FHL"]["false_match_rate"] < 0.03
