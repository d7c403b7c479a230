# Licensed under a 3-clause BSD style license - see LICENSE
"""The package keeps its order: nothing imports upward, nothing grows too large to be read."""

from pathlib import Path

from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]


def test_imports(capsys):
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == 0, capsys.readouterr().out
