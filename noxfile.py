# Licensed under a 3-clause BSD style license - see LICENSE
"""Sessions to run before a release: ``pip install 'nox[uv]'``, then ``nox`` or ``nox -s oldest``.

Arguments after ``--`` go to pytest: ``nox -s newest -- tests/stats``. With ``UV_TORCH_BACKEND=cpu`` PyTorch
comes without CUDA.
"""

import tarfile
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv"

#: Oldest and newest Python that the package supports.
PYTHONS = ["3.11", "3.12", "3.13"]
OLDEST, NEWEST = PYTHONS[0], PYTHONS[-1]


def run_tests(session, *options):
    """Run the tests in parallel, those of real data where the environment leads to them."""
    parallel = ("-n", "auto", "--dist", "loadfile") if not session.posargs else ()
    session.run("pytest", *parallel, *options, *session.posargs)


@nox.session(python=PYTHONS)
def tests(session):
    """Tests with the pinned dependencies, on each Python."""
    session.install("-c", "constraints.txt", "-e", ".[test]")
    run_tests(session)


@nox.session(python=OLDEST)
def oldest(session):
    """Tests with the oldest dependencies that pyproject.toml allows."""
    session.install("--resolution", "lowest-direct", "-e", ".[test]")
    # Old releases warn of what they or their own dependencies will change
    old = ("DeprecationWarning", "astropy.utils.exceptions.AstropyDeprecationWarning")
    # ... and Ray of files that it leaves open
    old += ("pytest.PytestUnraisableExceptionWarning",)
    run_tests(session, *(f"-Wignore::{category}" for category in old))


@nox.session(python=NEWEST)
def newest(session):
    """Tests with the newest dependencies that there are."""
    session.install("-e", ".[test]")
    run_tests(session)


@nox.session(python=NEWEST)
def sdist(session):
    """Tests from the source distribution alone, in a folder of its own."""
    session.install("build")
    folder = Path(session.create_tmp())
    session.run("python", "-m", "build", "--sdist", "--outdir", str(folder))
    archive = max(folder.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    session.chdir(folder / archive.name.removesuffix(".tar.gz"))
    session.install("-c", "constraints.txt", "-e", ".[test]")
    run_tests(session)


@nox.session(python=OLDEST)
def style(session):
    """Style, layers and types."""
    session.install("-c", "constraints.txt", "-e", ".[test]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    session.run("mypy")


@nox.session(python=OLDEST)
def docs(session):
    """Documentation; warnings are errors."""
    session.install("-c", "constraints.txt", "-e", ".[docs]")
    session.run("sphinx-build", "-W", "docs", "docs/_build")
