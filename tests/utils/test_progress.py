# Licensed under a 3-clause BSD style license - see LICENSE
"""Progress: one bar a step with its name, for whoever shows it, and none otherwise."""

from contextlib import contextmanager

import pytest
from gammapy.utils import pbar

from gammapy_asid.utils.parallel import Processes, run_tasks
from gammapy_asid.utils.progress import bar, shown_by, steps


@pytest.fixture
def record():
    """Names, totals and numbers of finished parts of the bars, in the order of their beginning."""
    bars = []

    @contextmanager
    def show(name, total):
        own = [name, total, 0]
        bars.append(own)

        def advance():
            own[2] += 1

        yield advance
        own.append("closed")

    with shown_by(show):
        yield bars


def test_steps_within_steps(record):
    for _ in steps(range(2), "Rounds"):
        assert run_tasks(abs, [(-1,), (2,), (-3,)], Processes(1), "Fits") == [1, 2, 3]
    fits = ["Fits", 3, 3, "closed"]
    assert record == [["Rounds", 2, 2, "closed"], fits, fits]


def test_an_outer_bar_counts_what_is_inside(record):
    with bar("Tiles", 2) as advance:
        run_tasks(abs, [(-1,), (2,)], Processes(1), advance=advance)
    assert record == [["Tiles", 2, 2, "closed"]]


def test_a_loop_may_be_left(record):
    for number in steps(range(5), "Rounds"):
        if number == 1:
            break
    assert record[0][:3] == ["Rounds", 5, 1]


def test_without_one_who_shows_them_they_are_those_of_gammapy(monkeypatch, capsys):
    assert list(steps("ab", "Rounds")) == ["a", "b"]
    with bar("Reading") as advance:
        advance()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(pbar, "SHOW_PROGRESS_BAR", True)
    assert list(steps("ab", "Rounds")) == ["a", "b"]
    assert "Rounds: 100%" in capsys.readouterr().err
