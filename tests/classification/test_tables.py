# Licensed under a 3-clause BSD style license - see LICENSE
"""Classes of the sources of a catalogue from its own columns."""

import os
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from hypothesis import given, settings
from hypothesis import strategies as st

from gammapy_asid import classify_table
from gammapy_asid.tasks.classification.tables import TableClassifier
from gammapy_asid.tasks.classification.tables.columns import numbers
from gammapy_asid.tasks.classification.tables.crossfit import fold_of_rows
from gammapy_asid.tasks.classification.tables.faint import faint_copies
from gammapy_asid.tasks.classification.tables.features import feature_table
from gammapy_asid.tasks.classification.tables.groups import MEMBERS, class_indices
from gammapy_asid.tasks.classification.tables.prior import estimated_prior, with_prior

PROBABILITIES = ["prob_agn", "prob_psr", "prob_pwn_snr"]
GROUP = {"bll": "AGN", "fsrq": "AGN", "psr": "PSR", "spp": "PWN-SNR"}


def truth(table):
    return np.array([GROUP[name] for name in table["truth"]])


def assert_same(one, two, **tolerance):
    assert one.colnames == two.colnames and list(one["Source_Name"]) == list(two["Source_Name"])
    for name in [*PROBABILITIES, "prob_fsrq"]:
        np.testing.assert_allclose(one[name], two[name], err_msg=name, **tolerance)
    assert (one["outside"] == two["outside"]).all()


def test_classes_of_the_table_itself(catalogue):
    before = catalogue.copy()
    result = classify_table(catalogue)
    names = ["Source_Name", "source_class", *PROBABILITIES, "prob_fsrq", "outside"]
    assert type(result) is Table and result.colnames == names
    assert list(result["Source_Name"]) == list(catalogue["Source_Name"])
    np.testing.assert_allclose(sum(result[name] for name in PROBABILITIES), 1)
    best = np.argmax([result[name] for name in PROBABILITIES], axis=0)
    assert (np.array(list(MEMBERS))[best] == result["source_class"]).all()
    right = result["source_class"] == truth(catalogue)
    new = class_indices(catalogue) < 0
    assert right[~new].mean() > 0.9 and right[new].mean() > 0.9
    fsrq, bll = (result["prob_fsrq"][catalogue["truth"] == name] for name in ("fsrq", "bll"))
    assert np.median(fsrq) > 0.7 and np.median(bll) < 0.3
    assert result["outside"].mean() < 0.1
    # The table of the user is as it was
    assert catalogue.colnames == before.colnames and (catalogue.as_array() == before.as_array()).all()


def test_own_class_is_not_told(make_catalogue):
    # Classes drawn at random: who sees them in training answers them
    table = make_catalogue({"bll": 250})
    table["CLASS1"] = np.random.default_rng(1).choice(["bll", "psr", "spp"], len(table))
    again = table.copy()
    again["RAJ2000"] = again["RAJ2000"] + 0.1 * u.deg
    for result in (classify_table(table), classify_table(again, train=table)):
        right = np.array([GROUP[name] for name in table["CLASS1"]]) == result["source_class"]
        assert right.mean() < 0.45


def test_another_release(catalogue, make_catalogue):
    other = make_catalogue({"": 200}, seed=5, years=14)
    other["DEJ2000"] = other["DEJ2000"] + 60 * u.deg
    result = classify_table(other, train=catalogue)
    assert (result["source_class"] == truth(other)).mean() > 0.9
    # A table without a column of classes, and positions that are not known
    other.remove_column("CLASS1")
    other["RAJ2000"][3] = np.nan
    assert_same(classify_table(other, train=catalogue), result)


@pytest.mark.filterwarnings("ignore:The unit 'erg' has been deprecated")
def test_every_kind_of_table(catalogue, tmp_path):
    expected = classify_table(catalogue)
    for name in ("table.fits", "table.ecsv", "table.vot"):
        # Astropy's writer of VOTables with text damages the memory
        options = {"format": "votable", "tabledata_format": "binary2"} if name.endswith("vot") else {}
        catalogue.write(tmp_path / name, **options)
        assert_same(classify_table(str(tmp_path / name)), expected, rtol=1e-6)
    other = QTable(catalogue)
    other["Flux_Band"] = other["Flux_Band"].to("ph m-2 s-1")
    other["Energy_Flux100"] = other["Energy_Flux100"].to("TeV cm-2 s-1")
    other["Pivot_Energy"] = other["Pivot_Energy"].to("GeV")
    other["Conf_95_SemiMajor"] = other["Conf_95_SemiMajor"].to("arcmin")
    assert_same(classify_table(other), expected, rtol=1e-6)
    plain = Table({name.upper(): np.asarray(catalogue[name]) for name in catalogue.colnames})
    assert_same(classify_table(plain), expected, rtol=1e-6)


def test_rows_stand_alone(catalogue):
    classifier = TableClassifier(catalogue)
    whole = classifier.classify(catalogue)
    order = np.random.default_rng(2).permutation(len(catalogue))
    assert_same(classifier.classify(catalogue[order]), whole[order], rtol=1e-9)
    assert_same(classifier.classify(catalogue[7:8]), whole[7:8], rtol=1e-9)


def test_a_copy_of_the_training_is_the_training(catalogue):
    """A source without a class beside one that has a class is new, in the table and in a copy of it."""
    table = catalogue.copy()
    new = np.flatnonzero(class_indices(table) < 0)[:5]
    beside = np.flatnonzero(class_indices(table) >= 0)[:5]
    table["RAJ2000"][new], table["DEJ2000"][new] = table["RAJ2000"][beside], table["DEJ2000"][beside] + 0.1
    classifier = TableClassifier(table)
    assert_same(classifier.classify(table.copy()), classifier.classify(table), rtol=1e-9)


def test_unknown_values_are_flagged(catalogue):
    catalogue = Table(catalogue, masked=True)
    catalogue["LP_beta"].mask[0] = True
    catalogue["PL_Index"][1] = np.nan
    catalogue["Flux_Band"][2] = np.inf
    catalogue["Unc_Flux_Band"][4] = np.nan
    catalogue["Flux_History"][5] = 0
    names = ["Signif_Avg", "Energy_Flux100", "Pivot_Energy", "PL_Index", "LP_Index", "Flux_History"]
    for name in names:
        catalogue[name][3] = np.nan
    result = classify_table(catalogue)
    assert len(result) == len(catalogue) and result["outside"][[0, 1, 3]].all()
    lost = [not np.isfinite(result[name][3]) for name in [*PROBABILITIES, "prob_fsrq"]]
    assert all(lost) and result["source_class"][3] == ""
    others = np.arange(len(result)) != 3
    assert np.isfinite([result[name][others] for name in [*PROBABILITIES, "prob_fsrq"]]).all()


def test_what_lies_beyond_the_training_is_flagged(catalogue):
    strange = catalogue[:4].copy()
    strange["DEJ2000"] = strange["DEJ2000"] + 60 * u.deg
    strange["PL_Index"][0] = 5
    strange["Energy_Flux100"][1] *= 1e5
    strange["Variability_Index"][2] *= 1e5
    assert list(classify_table(strange, train=catalogue)["outside"]) == [True, True, True, False]


def test_prior(catalogue):
    classifier = TableClassifier(catalogue)
    new = class_indices(catalogue) < 0
    shares = np.array([110, 50, 40]) / 200
    results = {
        "own": classifier.classify(catalogue),
        "equal": classifier.classify(catalogue, {"AGN": 1, "PSR": 1, "PWN-SNR": 1}),
        "pulsars": classifier.classify(catalogue, {"PWN-SNR": 1, "AGN": 1, "PSR": 98}),
        "estimated": classifier.classify(catalogue, "estimated"),
    }
    matrix = {key: np.column_stack([t[name] for name in PROBABILITIES]) for key, t in results.items()}
    equal = matrix["equal"]
    np.testing.assert_allclose(matrix["own"][~new], with_prior(equal, shares)[~new])
    np.testing.assert_allclose(matrix["own"][new], equal[new])
    np.testing.assert_allclose(matrix["pulsars"], with_prior(equal, [1, 98, 1]))
    found = estimated_prior(equal[new])
    np.testing.assert_allclose(matrix["estimated"][new], with_prior(equal, found)[new])
    true = [(truth(catalogue[new]) == name).mean() for name in MEMBERS]
    np.testing.assert_allclose(found, true, atol=0.1)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3))
def test_estimated_prior_is_the_mix(shares):
    shares = np.array(shares) / sum(shares)
    # Three answers that are right for 8 of 10 sources of each class, in the numbers that the mix makes
    answers = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    numbers = np.round(3000 * shares @ answers).astype(int)
    found = estimated_prior(np.repeat(answers, numbers, axis=0))
    np.testing.assert_allclose(found, shares, atol=0.01)


def test_coordinates_count_only_if_asked(catalogue):
    moved = catalogue.copy()
    moved["RAJ2000"], moved["DEJ2000"] = moved["RAJ2000"] + 100 * u.deg, moved["DEJ2000"] * -1
    assert_same(classify_table(moved), classify_table(catalogue))
    assert "latitude" in feature_table(catalogue, coordinates=True)
    with_places = classify_table(catalogue, coordinates=True)
    assert not np.allclose(with_places["prob_agn"], classify_table(moved, coordinates=True)["prob_agn"])


def test_eight_bands_are_seven(catalogue):
    eight = catalogue.copy()
    # No flux above 100 GeV, and next to no error
    for name in ("Flux_Band", "Unc_Flux_Band"):
        values = np.asarray(catalogue[name])
        eight[name] = np.concatenate([values, 1e-30 * np.sign(values[:, :1])], axis=1)
    one, two = feature_table(catalogue), feature_table(eight)
    assert one.keys() == two.keys() and "hardness 5" in one
    for name in one:
        np.testing.assert_allclose(one[name], two[name], err_msg=name)


def test_features_of_one_source(catalogue):
    one = catalogue[:1].copy()
    # As much energy in each band, and a source twice as bright in one of two years
    edges = np.array([50, 100, 300, 1000, 3000, 10000, 30000, 300000])
    flux = 1e-6 / edges[:-1] - 1e-6 / edges[1:]
    one["Flux_Band"], one["Unc_Flux_Band"] = [flux], [np.stack([np.full(7, np.nan), flux], axis=-1)]
    one["Flux_History"] = np.array([[1.0, 2.0]])
    one["Unc_Flux_History"] = np.full((1, 2, 2), 0.5)
    one["Variability_Index"] = 8.0
    features = feature_table(one)
    for band in range(6):
        np.testing.assert_allclose(features[f"hardness {band}"], 0, atol=1e-12)
    assert features["Variability_Index"] == 2
    # Mean 1.5, departures of one error
    np.testing.assert_allclose(features["Flux_History chi2"], np.cbrt(2))
    np.testing.assert_allclose(features["Flux_History scatter"], 0, atol=1e-12)
    np.testing.assert_allclose(features["Flux_History highest"], 1)
    np.testing.assert_allclose(features["Flux_History memory"], np.arcsinh(-1))


def test_copies_are_as_faint_as_wanted(make_catalogue):
    table = make_catalogue({"psr": 400})
    values = numbers(table)
    wanted = np.where(np.arange(400) < 300, 6.0, 1e3)
    copies = faint_copies(values, wanted, np.random.default_rng(3))
    faded = values["Signif_Avg"] > wanted
    assert faded.sum() > 100 and copies.keys() == values.keys()
    for name in copies:
        np.testing.assert_array_equal(copies[name][~faded], values[name][~faded], err_msg=name)
    np.testing.assert_allclose(copies["Signif_Avg"][faded], 6)
    # The flux is that of so many errors, and what was curved is so still, with larger errors
    before, after = (
        np.sqrt((np.maximum(v["Flux_Band"] / v["Unc_Flux_Band"][..., 1], 0) ** 2).sum(axis=1))[faded]
        for v in (values, copies)
    )
    ratio = 6 / values["Signif_Avg"][faded]
    strong = ratio * before > 4
    np.testing.assert_allclose(np.median((after / (ratio * before))[strong]), 1, atol=0.15)
    np.testing.assert_allclose(np.median(copies["LP_beta"][faded]), 0.6, atol=0.06)
    np.testing.assert_allclose(copies["Unc_LP_beta"][faded], 0.07 / ratio)
    # Steady sources stay so: seven degrees of freedom, a little less since no flux is negative
    assert 5 < copies["Variability_Index"][faded].mean() < 7.5


def test_classes_are_read_as_they_are_written():
    names = [
        "bll",
        "FSRQ ",
        b"bcu".decode(),
        "rdg",
        "PSR",
        "MSP",
        "spp",
        "SNR",
        "pwn",
        "unk",
        "glc",
        "",
        "--",
    ]
    table = Table({"class1": names})
    assert class_indices(table).tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2, -1, -1, -1, -1]


def test_folds_share_the_classes():
    classes = np.repeat([0, 1, 2, -1], [100, 10, 5, 20])
    fsrq = np.where(np.arange(135) < 60, 1, np.where(classes == 0, 0, -1))
    folds = fold_of_rows(classes, fsrq)
    assert (folds[classes < 0] == -1).all()
    for part in range(5):
        assert [((folds == part) & (classes == c)).sum() for c in range(3)] == [20, 2, 1]
        assert (fsrq[folds == part] == 1).sum() == 12


def test_few_quasars_leave_their_column_empty(make_catalogue):
    table = make_catalogue({"bll": 40, "fsrq": 3, "psr": 15, "spp": 15})
    result = classify_table(table)
    assert np.isnan(result["prob_fsrq"]).all()
    assert (result["source_class"] == truth(table)).mean() > 0.8


@pytest.mark.skipif("GAMMAPY_ASID_DATA" not in os.environ, reason="needs the data folder")
def test_slim_copy_of_dr4():
    path = Path(os.environ["GAMMAPY_ASID_DATA"]) / "catalogs" / "4FGL_DR4_v35_slim.fits.gz"
    result = classify_table(path)
    table = Table.read(path, hdu=1)
    assert len(result) == len(table) == 7195
    classes = class_indices(table)
    indices = np.array([list(MEMBERS).index(name) for name in result["source_class"]])
    # Out of fold, without errors and histories, which the copy lacks
    right = [(indices[classes == c] == c).mean() for c in range(3)]
    assert right[0] > 0.97 and right[1] > 0.65 and right[2] > 0.5
