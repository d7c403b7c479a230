# Licensed under a 3-clause BSD style license - see LICENSE
"""The design says what is true."""

import re
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1] / "gammapy_asid"


def rows(title):
    text = (HOUSE.parent / "docs" / "design.md").read_text()
    table = re.search(rf"### {title}.*?\n\n((?:[^|\n][^\n]*\n+)*)((?:\|.*\n)+)", text).group(2)
    return [row.split("|")[2] for row in table.splitlines()[2:]]


@pytest.mark.parametrize("title", ["A dataset through", "An image through", "A recipe through"])
def test_files_of_the_ways_are_there(title):
    own = rows(title)
    assert len(own) >= 10
    for row in own:
        folders = []
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", row):
            # A name without a folder is in one of those before it
            paths = [HOUSE / name] if "/" in name else [folder / name for folder in folders]
            assert any(path.exists() for path in paths), f"{name} in {row}"
            folders += [path.parent for path in paths]
