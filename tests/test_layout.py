# Licensed under a 3-clause BSD style license - see LICENSE
"""Tests stand alone, in folders named like those of the package."""

import ast
from pathlib import Path

import gammapy_asid

TESTS = Path(__file__).parent
FILES = sorted([*TESTS.rglob("test_*.py"), *TESTS.rglob("conftest.py")])
PACKAGE = Path(gammapy_asid.__file__).parent


def test_imports_nothing_of_other_tests():
    own = {"tests", *(path.stem for path in FILES)}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0 and node.module.split(".")[0] not in own, path
            elif isinstance(node, ast.Import):
                assert own.isdisjoint(name.name.split(".")[0] for name in node.names), path


def test_folders_are_those_of_the_package():
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    tasks = {path.parent.name for path in PACKAGE.glob("tasks/*/__init__.py")}
    # What spans all of them is at the top, or in a folder of its own
    folders = {path.parent.relative_to(TESTS).as_posix() for path in FILES} - {".", "devices"}
    assert folders == rooms - {"tasks"} | tasks
