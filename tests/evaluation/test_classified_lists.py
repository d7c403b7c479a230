# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates judged with and without the classifier's view of what is real."""

import json

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table
from click.testing import CliRunner

from gammapy_asid import Candidates, SourceClasses
from gammapy_asid.catalog import CLASS_COLUMNS
from gammapy_asid.cli import main
from gammapy_asid.evaluation import CandidateList, read_candidate_lists

CLASS_NAMES = {column.name for column in CLASS_COLUMNS}
#: Three true sources and a fake between them by score, which the classifier knows.
LON, SCORE, REAL = [10.0, 11.0, 12.0, 13.0], [0.9, 0.8, 0.7, 0.6], [0.95, 0.05, 0.9, 0.85]


@pytest.fixture
def candidates():
    positions = SkyCoord(LON, [30.0] * 4, unit="deg", frame="galactic")
    axes = np.full((4, 2), 0.02) * u.deg
    found = Candidates.from_positions(positions, SCORE, axes, 1.6 * axes)
    probability = np.column_stack([np.tile([0.8, 0.1, 0.1, 0.5], (4, 1)), REAL])
    return found.with_classes(
        SourceClasses.from_probabilities(
            list(found.table["name"]), positions, probability, np.ones(4, bool), np.zeros(4, int), {}
        )
    )


def test_two_lists(candidates, tmp_path):
    candidates.write(tmp_path / "classified.fits")
    plain, classified = read_candidate_lists(tmp_path / "classified.fits", "own")
    assert [plain.label, classified.label] == ["own", "own, classified"]
    assert plain.score.tolist() == SCORE and classified.score.tolist() == REAL
    # A column that is named is the score, as of any table
    (named,) = read_candidate_lists(tmp_path / "classified.fits", "own", score=("real_prob",))
    assert named.score.tolist() == REAL
    Candidates(
        candidates.table[[c for c in candidates.table.colnames if "prob" not in c and c != "source_class"]]
    ).write(tmp_path / "plain.fits")
    assert len(read_candidate_lists(tmp_path / "plain.fits", "own")) == 1


def test_what_the_classifier_cannot_tell(candidates):
    candidates.table["real_prob"][1] = np.nan
    assert CandidateList.from_classified(candidates).score.tolist() == [0.95, 0.8, 0.9, 0.85]


def test_without_scores(candidates, tmp_path):
    candidates.table["score"] = np.nan
    candidates.write(tmp_path / "given.fits")
    (classified,) = read_candidate_lists(tmp_path / "given.fits", "own")
    assert classified.score.tolist() == REAL


def test_evaluate_with_and_without(candidates, tmp_path):
    candidates.write(tmp_path / "own.fits")
    truth = {"glon": [10.0, 12.0, 13.0], "glat": [30.0] * 3, "flux": [1e-9, 5e-10, 3e-10]}
    Table(truth).write(tmp_path / "truth.csv")
    words = [
        "evaluate",
        str(tmp_path / "truth.csv"),
        str(tmp_path / "own.fits"),
        "-o",
        str(tmp_path / "page"),
    ]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    (numbers,) = (tmp_path / "page").glob("*.json")
    lists = json.loads(numbers.read_text())["lists"]
    assert lists["own, classified"]["average_precision"] == 1 > lists["own"]["average_precision"]
    own, classified = (lists[label]["working_threshold"] for label in ("own", "own, classified"))
    # At a purity of 0.9 the fake costs two sources, which the classifier brings back
    assert own["completeness"] == pytest.approx(1 / 3) and classified["completeness"] == 1
