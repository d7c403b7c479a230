# Licensed under a 3-clause BSD style license - see LICENSE
import astropy.units as u
import matplotlib.pyplot as plt
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from gammapy_asid.catalog.candidates import Candidates
from gammapy_asid.catalog.columns import fit_columns
from gammapy_asid.plots import plot_training_history, plot_ts_against_score


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def fitted(score, ts):
    n = len(score)
    positions = SkyCoord(np.arange(n), np.zeros(n), unit="deg")
    axes = np.full((n, 2), 0.05) * u.deg
    candidates = Candidates.from_positions(positions, score, axes, 2 * axes)
    return candidates.with_columns(fit_columns([{"ts": value} for value in ts]))


def test_ts_against_score():
    # Two agree, two differ, one fit failed; a score of 1 and a TS of 0 have no place on the axes
    candidates = fitted([1.0, 0.2, 0.95, 0.1, 0.99], [3000.0, 0.0, 4.0, 400.0, np.nan])
    ax = plot_ts_against_score(candidates)
    agree, differ = ax.collections
    assert [own.get_label() for own in (agree, differ)] == ["both sure, or neither: 2", "they disagree: 2"]
    np.testing.assert_allclose(agree.get_offsets(), [[0.999, 3000], [0.2, 0.1]])
    assert ax.get_title() == "4 of 5 candidates with a fit"
    ax.figure.canvas.draw()
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    for x, y in np.vstack([agree.get_offsets(), differ.get_offsets()]):
        assert x0 < x < x1 and y0 < y < y1
    ticks = [text.get_text() for text in (*ax.get_xticklabels(), *ax.get_yticklabels())]
    assert "0.5" in ticks and "100" in ticks and not any("$" in text for text in ticks)
    names = {candidates.table["name"][i].removeprefix("ASID ") for i in (2, 3)}
    assert {text.get_text() for text in ax.texts} == names


def test_plot_training_history(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss,recall95_background\n0,2.0,0.1\n1,1.0,0.3\n")
    loss, validation = plot_training_history(path)
    assert loss.lines[0].get_ydata().tolist() == [2, 1]
    assert validation.lines[0].get_ydata().tolist() == [0.1, 0.3]
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="no training history"):
        plot_training_history(path)


def test_a_training_without_validation(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss\n0,2.0\n1,1.0\n")
    _, validation = plot_training_history(path)
    assert validation.texts[0].get_text() == "No figures of a validation"
