# Licensed under a 3-clause BSD style license - see LICENSE
import re

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from hypothesis import given
from hypothesis import strategies as st

from gammapy_asid.catalog.columns import CandidateFlag
from gammapy_asid.display.numbers import MISSING, plain_tick, rounded
from gammapy_asid.display.tables import html_table, meta_lines, text_lines
from gammapy_asid.optical.flags import OpticalFlag

FLUX = u.Unit("cm-2 s-1")


@pytest.mark.parametrize(
    "value, error, text",
    [
        (1.23456e-10, 1.234e-11, "(1.23 ± 0.12)e-10"),
        (2.3141, 0.138, "2.31 ± 0.14"),
        # The error is rounded first: 0.0998 is 0.10
        (1.5, 0.0998, "1.50 ± 0.10"),
        (1e-12, 3e-11, "(0.1 ± 3.0)e-11"),
        (0.0, 1e-11, "(0.0 ± 1.0)e-11"),
        (-3.2e-12, 1e-12, "(-3.2 ± 1.0)e-12"),
        (12345, 234, "12340 ± 230"),
        (1.9996, None, "2.00"),
        (0.0123, None, "0.0123"),
        (1.474e-9, None, "1.47e-09"),
        (5.0, np.nan, "5.00"),
        (0, None, "0"),
        (np.nan, 1.0, MISSING),
    ],
)
def test_numbers_are_rounded_as_their_errors_allow(value, error, text):
    assert rounded(value, error) == text


@given(st.floats(1e-15, 1e6), st.floats(1e-3, 0.5))
def test_what_is_rounded_stays_what_it_is(value, share):
    text = rounded(value, value * share)
    power = float("1" + (text.split(")")[1] if ")" in text else "e0"))
    number, error = (float(own.strip("(")) * power for own in text.split(")")[0].split(" ± "))
    # Half of the second digit of the error
    assert abs(number - value) <= 0.051 * value * share
    assert abs(error - value * share) <= 0.051 * value * share


def test_ticks_are_plain():
    assert [plain_tick(value) for value in (0.001, 0.5, 1000.0, 0.0)] == ["0.001", "0.5", "1000", "0"]


@pytest.mark.parametrize("flags", [CandidateFlag, OpticalFlag])
def test_every_flag_says_what_it_means(flags):
    assert all(flag.meaning and flag.word == flag.name.lower().replace("_", " ") for flag in flags)
    assert [flag.value for flag in flags] == [1 << n for n in range(len(flags))]
    assert flags.words(5 | 1 << 20) == ["near edge", "outside", "bit 20"]
    assert flags.words(0) == [] and (flags.NEAR_EDGE | flags.OUTSIDE) == 5


@pytest.fixture
def table():
    table = QTable(
        {"name": ["ASID J0001.0+0000", "<b>"], "ra": [1.23456, 2] * u.deg, "dec": [0.0, 1] * u.deg}
    )
    table["score"], table["flags"] = [0.98765, np.nan], [0, 1 | 16]
    table["e_min"], table["e_max"] = [1, 1] * u.GeV, [100, 100] * u.GeV
    table["flux"], table["flux_err"] = [1.2345e-10, 2e-10] * FLUX, [1.2e-11, np.nan] * FLUX
    table["flux_band"], table["ts"] = np.ones((2, 3)) * FLUX, [np.nan, np.nan]
    return table


def test_a_table_as_text(table):
    lines = text_lines(table, CandidateFlag)
    assert lines[0].split() == ["name", "ra", "dec", "score", "flux", "1–100", "GeV", "flags"]
    assert "deg" in lines[1] and "1 / (s cm2)" in lines[1]
    assert lines[3].split() == [
        "ASID",
        "J0001.0+0000",
        "1.2346",
        "0.0000",
        "0.988",
        "(1.23",
        "±",
        "0.12)e-10",
    ]
    assert lines[4].endswith("2.00e-10 near edge, fit failed") and MISSING in lines[4]
    assert text_lines(table[:0], CandidateFlag) == ["no rows"]


def test_small_errors_are_not_nothing(table):
    table["pos_err_95"] = [4.321e-6, 0.0] * u.deg
    assert "4.3e-06" in text_lines(table, CandidateFlag)[3]
    assert "0.000" in text_lines(table, CandidateFlag)[4]
    table["pos_err_95"] = [0.04321, 0.0004] * u.deg
    assert "0.043" in text_lines(table, CandidateFlag)[3]


def test_ranges_that_differ_have_a_column(table):
    table["e_max"][1] = 1000 * u.GeV
    lines = text_lines(table, CandidateFlag)
    assert "flux range" in lines[0] and "1–100" in lines[3] and "1–1000" in lines[4]


def test_a_table_as_html(table):
    html = html_table(table, CandidateFlag, "2 <sources>")
    assert "<b>2 &lt;sources&gt;</b>" in html and "&lt;b&gt;" in html
    unit = re.search(r"<th>flux 1–100 GeV<small>(.*?)</small></th>", html)[1]
    assert set(unit.split()) == {"cm⁻²", "s⁻¹"}
    badges = re.findall(r"<span class='asid-flag( severe)?' title='(.*?)'>(.*?)</span>", html)
    assert [(severe, word) for severe, _, word in badges] == [("", "near edge"), (" severe", "fit failed")]
    assert badges[1][1] == CandidateFlag.FIT_FAILED.meaning
    assert "1 more row" in html_table(table, CandidateFlag, "", limit=1)
    # A page would have to load nothing
    assert "http" not in html and "src=" not in html


def test_provenance_in_lines():
    lines = meta_lines(
        {"model": "lat", "purity": 0.98712, "flux": {"a": 1}, "range": [0.3, 1000], "none": []}
    )
    assert [line.split(":")[1].strip() for line in lines] == ["lat", "0.987", "0.300, 1000"]
