# Licensed under a 3-clause BSD style license - see LICENSE
"""Catalogues that can't be classified are refused with a reason."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table

from gammapy_asid import classify_table


def test_missing_columns_are_named(catalogue, tmp_path):
    catalogue.remove_columns(["LP_beta", "Pivot_Energy"])
    with pytest.raises(ValueError, match="The table lacks the columns Pivot_Energy, LP_beta: give"):
        classify_table(catalogue)
    catalogue.write(tmp_path / "short.ecsv")
    with pytest.raises(ValueError, match="The table lacks the columns Pivot_Energy, LP_beta: give"):
        classify_table(tmp_path / "short.ecsv")


@pytest.mark.parametrize("wrong", [None, 3, [1, 2], {"Source_Name": ["a"]}])
def test_no_table(wrong, catalogue):
    with pytest.raises(TypeError, match="The table must be a SourceCatalog4FGL, a Table or the path"):
        classify_table(wrong, train=catalogue)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        classify_table(tmp_path / "none.fits")
    (tmp_path / "junk.fits").write_bytes(b"junk" * 100)
    with pytest.raises(ValueError, match="is no table"):
        classify_table(tmp_path / "junk.fits")


def test_no_rows(catalogue):
    with pytest.raises(ValueError, match="The table has no rows"):
        classify_table(catalogue[:0])


def test_too_few_classes(catalogue, make_catalogue):
    one = make_catalogue({"bll": 30})
    with pytest.raises(ValueError, match="5 sources of each class, got 30 AGN, 0 PSR, 0 PWN-SNR: give train"):
        classify_table(one)
    none = make_catalogue({"": 30})
    with pytest.raises(ValueError, match="got 0 AGN, 0 PSR, 0 PWN-SNR"):
        classify_table(none)
    # Another catalogue helps
    assert len(classify_table(none, train=catalogue)) == 30
    none.remove_column("CLASS1")
    with pytest.raises(ValueError, match="The training table has no column CLASS1 or CLASS"):
        classify_table(none)


@pytest.mark.parametrize(
    ("name", "unit"), [("Energy_Flux100", "m"), ("Flux_Band", "erg"), ("Pivot_Energy", "cm-2 s-1")]
)
def test_units_of_another_kind(catalogue, name, unit):
    catalogue[name] = np.asarray(catalogue[name]) * u.Unit(unit)
    with pytest.raises(ValueError, match=f"The column {name} must be in .* got"):
        classify_table(catalogue)


def test_columns_of_another_shape(catalogue):
    whole = catalogue.copy()
    catalogue["Flux_Band"] = whole["Flux_Band"][:, :5]
    with pytest.raises(ValueError, match=r"The column Flux_Band must be as in 4FGL .* got \(5,\) a row"):
        classify_table(catalogue)
    catalogue["Flux_Band"] = whole["Flux_Band"]
    catalogue["Unc_Flux_History"] = whole["Unc_Flux_History"][:, :4]
    with pytest.raises(ValueError, match="Flux_History and Unc_Flux_History must have the same number"):
        classify_table(catalogue)
    catalogue["Unc_Flux_History"] = whole["Unc_Flux_History"]
    catalogue["Unc_Flux_Band"] = whole["Unc_Flux_Band"][..., ::-1]
    with pytest.raises(ValueError, match="Unc_Flux_Band must have the lower error first"):
        classify_table(catalogue)
    catalogue["Unc_Flux_Band"] = whole["Unc_Flux_Band"]
    catalogue["LP_beta"] = ["much"] * len(catalogue)
    with pytest.raises(ValueError, match="The column LP_beta holds no numbers"):
        classify_table(catalogue)


def test_positions_are_needed_for_two_catalogues(catalogue):
    bare = Table(catalogue)
    bare.remove_columns(["RAJ2000", "DEJ2000"])
    with pytest.raises(ValueError, match="Positions tell which sources are among those of the training"):
        classify_table(bare, train=catalogue)
    assert len(classify_table(bare)) == len(bare)


@pytest.mark.parametrize(
    ("prior", "error", "message"),
    [
        ("flat", TypeError, "prior must be .estimated. or a dict"),
        ([1, 1, 1], TypeError, "prior must be .estimated. or a dict"),
        ({"AGN": 1, "PSR": 1}, ValueError, "prior must have the classes AGN, PSR, PWN-SNR, got AGN, PSR"),
        ({"AGN": 1, "PSR": 0, "PWN-SNR": 1}, ValueError, "shares above 0"),
        ({"AGN": 1, "PSR": np.nan, "PWN-SNR": 1}, ValueError, "shares above 0"),
    ],
)
def test_prior_that_is_none(catalogue, prior, error, message):
    with pytest.raises(error, match=message):
        classify_table(catalogue, prior=prior)
