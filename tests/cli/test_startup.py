# Licensed under a 3-clause BSD style license - see LICENSE
"""The command line starts without the heavy libraries: they are imported by the commands that run."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "gammapy", "astropy", "numpy", "scipy", "pydantic", "matplotlib", "yaml", "lightning"}

RUN = """
import sys
from gammapy_asid.cli import main
try:
    main(sys.argv[1:], prog_name="gammapy-asid")
finally:
    print("loaded:", *sys.modules)
"""


@pytest.mark.parametrize(
    "arguments, status",
    [
        ("--version", 0),
        ("--help", 0),
        ("detect --help", 0),
        ("train --help", 0),
        ("nonsense", 2),
        ("detect", 2),
        ("detect missing.fits", 2),
        (f"detect {__file__} --threshold high", 2),
        ("train --task nonsense", 2),
    ],
)
def test_nothing_heavy_is_imported(arguments, status):
    done = subprocess.run([sys.executable, "-c", RUN, *arguments.split()], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    loaded = done.stdout.partition("loaded: ")[2].split()
    assert "click" in loaded
    assert not HEAVY & set(loaded)
