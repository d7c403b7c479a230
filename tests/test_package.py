# Licensed under a 3-clause BSD style license - see LICENSE
"""What is given to others: the source distribution, the wheel, the recipes and who says which version."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import jinja2
import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import gammapy_asid

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: What lies in an unpacked source distribution and is made from the rest.
MADE = (
    ".*_cache",
    ".hypothesis",
    ".nox",
    ".venv",
    "*.egg-info",
    "*.pyc",
    "__pycache__",
    "asid-demo",
    "build",
)
MADE += ("dist", "PKG-INFO", "setup.cfg")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Copy of the source, the source distribution made of it, and the wheel made of that alone."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("package")
    copy_source(folder / "source")
    sdist = build("sdist", folder / "source", folder)
    with tarfile.open(sdist) as file:
        # Python 3.11.0 to 3.11.3 know no filter
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        file.extractall(folder / "unpacked", **safely)
    wheel = build("wheel", folder / "unpacked" / sdist.name.removesuffix(".tar.gz"), folder)
    return folder / "source", sdist, wheel


def copy_source(folder):
    """Copy what belongs to the source: what git knows of a checkout, all of a source distribution."""
    if not (ROOT / ".git").exists():
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*MADE))
        return
    known = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, known.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def build(what, source, folder):
    """File of a distribution, made without network in a process of its own."""
    code = f"from setuptools import build_meta; print(build_meta.build_{what}({str(folder)!r}))"
    run = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return folder / run.stdout.split()[-1]


def names(archive):
    """Files in the folder of a source distribution, or in a wheel."""
    if archive.suffix == ".whl":
        return set(zipfile.ZipFile(archive).namelist())
    with tarfile.open(archive) as file:
        return {member.name.partition("/")[2] for member in file if member.isfile()}


def test_source_distribution_has_all(built):
    source, sdist, _ = built
    files = {p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_file()}
    files = {name for name in files if not re.search(r"\.egg-info/|^build/|^dist/", name)}
    assert {"constraints.txt", "torch-cpu.txt", "noxfile.py", "tests/conftest.py", "docs/conf.py"} <= files
    assert files - names(sdist) == set()
    # Nothing that was made, nor anything from elsewhere
    extra = {name for name in names(sdist) - files if ".egg-info/" not in name}
    assert extra <= {"PKG-INFO", "setup.cfg"}
    assert sdist.stat().st_size < 60e6


def test_wheel_has_package_and_weights(built):
    source, _, wheel = built
    kinds = (".py", ".yaml", ".safetensors", ".json", ".typed")
    package = {
        p.relative_to(source).as_posix()
        for p in (source / "gammapy_asid").rglob("*")
        if p.is_file() and p.suffix in kinds
    }
    assert "gammapy_asid/weights/data/lat.safetensors" in package and "gammapy_asid/py.typed" in package
    inside = {name for name in names(wheel) if ".dist-info/" not in name}
    assert package - inside == set()
    assert {name.partition("/")[0] for name in inside} == {"gammapy_asid"}
    # The limit of the package index
    assert wheel.stat().st_size < 100e6


def test_everything_says_the_same_version_and_address():
    text = {
        path: (ROOT / path).read_text() for path in ("CITATION.cff", "docs/citation.md", "recipe/meta.yaml")
    }
    citation = yaml.safe_load(text["CITATION.cff"])
    assert citation["version"] == PROJECT["version"]
    assert f"version {PROJECT['version']}" in text["docs/citation.md"]
    assert f"{{{PROJECT['version']}}}" in text["docs/citation.md"]
    assert citation["repository-code"] == PROJECT["urls"]["Source"]
    for content in text.values():
        assert PROJECT["urls"]["Documentation"] in content
    # The page has the papers of the file
    papers = [reference["doi"] for reference in citation["references"]]
    assert len(papers) == 5
    for doi in papers:
        assert text["docs/citation.md"].count(doi) == 2
    versions = json.loads((ROOT / "docs" / "_static" / "versions.json").read_text())
    assert [entry["version"] for entry in versions if entry.get("preferred")] == ["latest"]


def requirements(lines):
    """Bounds of the versions by name, as the names are in the index of Python."""
    other = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
    pairs = (re.fullmatch(r"([\w-]+) ?>=([\w.,<]+)", line).groups() for line in lines)
    return {other.get(name, name): bounds for name, bounds in pairs}


def test_conda_recipe():
    recipe = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(
        (ROOT / "recipe" / "meta.yaml").read_text()
    )
    recipe = yaml.safe_load(recipe.render(PYTHON="python"))
    assert recipe["package"] == {"name": PROJECT["name"], "version": PROJECT["version"]}
    run = requirements(recipe["requirements"]["run"])
    assert f">={run.pop('python')}" == PROJECT["requires-python"]
    assert run == requirements(PROJECT["dependencies"])
    scripts = [f"{name} = {target}" for name, target in PROJECT["scripts"].items()]
    assert recipe["build"]["entry_points"] == scripts
    assert recipe["about"]["license"] == PROJECT["license"]
    assert (ROOT / recipe["about"]["license_file"]).is_file()


def test_pins_are_inside_the_bounds():
    pins = re.findall(r"^([\w-]+)==([\w.]+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    bounds = requirements(PROJECT["dependencies"])
    pinned = {name: pin for name, pin in pins if name in bounds}
    assert {"astropy", "gammapy", "numpy", "regions", "torch"} <= set(pinned)
    for name, pin in pinned.items():
        assert Version(pin) in SpecifierSet(f">={bounds[name]}"), name
    # What one extra alone cannot take is a bound of that extra
    assert [name for name, bound in bounds.items() if "<" in bound] == ["regions"]
    assert any(line.startswith("astropy<") for line in PROJECT["optional-dependencies"]["fermi"])


def test_pythons():
    classified = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    tested = re.search(r"PYTHONS = \[(.*)\]", (ROOT / "noxfile.py").read_text())[1]
    assert re.findall(r"3\.\d+", tested) == classified
    assert PROJECT["requires-python"] == f">={classified[0]}"


def test_types_are_told():
    assert (Path(gammapy_asid.__file__).parent / "py.typed").is_file()
