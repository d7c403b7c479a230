# Licensed under a 3-clause BSD style license - see LICENSE
"""Printed tables: in 80 columns nothing is cut, and what does not fit is named."""

import re

import astropy.units as u
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gammapy_asid.catalog.columns import CandidateFlag
from gammapy_asid.cli import candidates as cli_candidates
from gammapy_asid.cli import common, tables


@pytest.fixture(params=[80, 120, 60, 40])
def width(request, monkeypatch):
    for module in (common, tables, cli_candidates):
        monkeypatch.setattr(module.console, "width", request.param)
    return request.param


def printed(candidates, capsys):
    cli_candidates.print_candidates(candidates)
    return capsys.readouterr().out


def test_candidates_fit(gev_sky, width, capsys):
    """Value, error, unit, energies and flags of each source are read in any width."""
    candidates = gev_sky.candidates(gev_sky.positions[:2], [1.234e-9, 5.6e-12])
    table, meta = candidates.table, candidates.meta
    table["name"] = [table["name"][0], "a name of 38 characters, with [markup]"]
    table["flux_err"] = [1.2e-10, 3e-12] * u.Unit("cm-2 s-1")
    table["flags"] = [0, CandidateFlag.STRONG_DIFFUSE | CandidateFlag.NEAR_EDGE | CandidateFlag.UNTRAINED]
    meta |= {"threshold": 0.5, "expected_purity": 0.9, "expected_completeness": 0.5}
    output = printed(candidates, capsys)
    rows = [line for line in output.splitlines() if "─" not in line]
    assert "…" not in output
    assert max(len(line) for line in rows if "too narrow" not in line) <= width
    assert "(1.23 ± 0.12)e-09" in output and "(5.6 ± 3.0)e-12" in output
    assert re.search(r"Flux [0-9.]+-[0-9.]+ GeV", output) and "(cm-2 s-1)" in output
    legend = f"strong diffuse: {CandidateFlag.STRONG_DIFFUSE.meaning}"
    assert legend in " ".join(output.split())
    assert "untrained" in output
    assert ("the terminal is too narrow" in output) == (width < 80)


def test_one_and_none(gev_sky, capsys):
    candidates = gev_sky.candidates(gev_sky.positions[:1], [1e-9])
    candidates.meta |= {"threshold": 0.5, "expected_purity": 0.9, "expected_completeness": 0.5}
    output = printed(candidates, capsys)
    assert output.startswith("1 candidate with a score of 0.5 and more")
    assert "Flags" not in output
    assert printed(candidates[:0], capsys).startswith("0 candidates")


@settings(max_examples=30, deadline=None)
@given(
    width=st.integers(30, 140),
    names=st.lists(st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=40), min_size=1),
)
def test_any_text_in_any_width(width, names):
    from io import StringIO

    from rich.console import Console

    before, text = tables.console, StringIO()
    tables.console = Console(file=text, width=width)
    try:
        numbers = [f"{n}.00e-10" for n in range(len(names))]
        columns = [tables.Shown("Name", names, True), tables.Shown("Flux\n(cm-2 s-1)", numbers)]
        tables.print_table([*columns, tables.Shown("Prob.", numbers, dropped=1)])
        table = text.getvalue()
        tables.print_table(columns[:1])
    finally:
        tables.console = before
    assert "…" not in text.getvalue()
    # A name alone in its lines is read again, but for the blanks at which lines are broken
    alone = re.sub(r"\s", "", text.getvalue()[len(table) :])
    assert alone.endswith(re.sub(r"\s", "", "".join(names)))
    assert all(number in table for number in numbers)
    assert all(len(line) <= width for line in table.splitlines() if "too narrow" not in line)
