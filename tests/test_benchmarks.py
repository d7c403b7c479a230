# Licensed under a 3-clause BSD style license - see LICENSE
"""The programs of `benchmarks`: their list, and that the commands in the documentation fit them."""

import argparse
import ast
import importlib
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
listing = pytest.importorskip("benchmarks.__main__")
common = pytest.importorskip("benchmarks.common")

PROGRAMS = listing.programs()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
#: Modules of the package's dependencies that have another name.
RENAMED = {"pyyaml": "yaml", "scikit-image": "skimage", "scikit-learn": "sklearn"}
SOURCES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("*.rst"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("benchmarks/**/*.py"),
]
#: A command, in its own line or between back quotes.
COMMAND = re.compile(r"^python -m (benchmarks\b[^\n#]*)|`python -m (benchmarks\b[^`]*)`", re.MULTILINE)


def printed():
    """Commands that the texts print, as lists of words."""
    # A long command goes on in the next line
    texts = [re.sub(r"\s*\\\n\s*", " ", path.read_text()) for path in SOURCES]
    return sorted({a or b for text in texts for a, b in COMMAND.findall(text)})


def peers():
    """Packages that programs import anywhere and the package itself does not need."""
    needed = [re.match(r"[\w-]+", line)[0] for line in PYPROJECT["project"]["dependencies"]]
    known = {RENAMED.get(name, name) for name in needed} | {"benchmarks", "gammapy_asid"}
    # Matplotlib writes its pictures with it
    known.add("PIL")
    found = set()
    for path in (ROOT / "benchmarks").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Call) and getattr(node.func, "id", None) == "Peer":
                found.add(node.args[0].value)
    return found - known - sys.stdlib_module_names


@pytest.fixture(scope="module")
def no_peers():
    """No peer can be imported, and programs are imported anew."""
    with pytest.MonkeyPatch.context() as patch:
        for module in [module for module in sys.modules if module.startswith("benchmarks.")]:
            patch.delitem(sys.modules, module)
        for module in peers():
            patch.setitem(sys.modules, module, None)
        yield
        for module in [module for module in sys.modules if module.startswith("benchmarks.")]:
            del sys.modules[module]


def test_list_names_every_program():
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "benchmarks").rglob("*.py")
        if re.search(r"^def main\(", path.read_text(), re.MULTILINE) and path.name != "__main__.py"
    }
    assert files == set(PROGRAMS)
    assert all(line.endswith(".") and needs for line, needs in PROGRAMS.values())
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name, (line, needs) in PROGRAMS.items():
        assert f"python -m {name}\n    {line}\n    Needs: {needs}\n" in run.stdout


@pytest.mark.parametrize("command", printed())
def test_printed_command_fits_its_program(command, monkeypatch):
    monkeypatch.setenv("GAMMAPY_ASID_DATA", "data")
    name, *words = shlex.split(command)
    if name == "benchmarks":
        assert not words
        return
    assert name in PROGRAMS
    # Options that do not exist and arguments that lack end the program
    parser = importlib.import_module(name).parser()
    arguments = parser.parse_args(words)
    assert isinstance(arguments, argparse.Namespace)


def test_documentation_prints_commands():
    # The pattern finds them: with nothing found the test above would be silent
    assert len(printed()) > 30


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_without_peers(name, capsys, no_peers):
    with pytest.raises(SystemExit) as end:
        importlib.import_module(name).main(["--help"])
    assert end.value.code == 0
    # argparse breaks lines between words
    assert PROGRAMS[name][0].split()[0] in capsys.readouterr().out


def test_peers_are_imported_when_they_are_used():
    assert {"galsim", "sep", "astroscrappy", "crowdsource"} <= peers()
    assert common.Peer("json").loads("[1]") == [1]
    absent = common.Peer("no_such_package")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        absent.anything  # noqa: B018


def test_data_are_asked_for(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("GAMMAPY_ASID_DATA", raising=False)
    with pytest.raises(SystemExit):
        common.arguments("One.", "one", data=True).parse_args([])
    assert "--data" in capsys.readouterr().err
    assert common.arguments("One.", "one", data=False).parse_args([]).data is None
    assert common.arguments("One.", "one", data=True).parse_args(["--data", "d"]).data == Path("d")
    with pytest.raises(FileNotFoundError, match="--data"):
        common.data_folder()
    monkeypatch.setenv("GAMMAPY_ASID_DATA", str(tmp_path))
    assert common.arguments("One.", "one", data=True).parse_args([]).data == tmp_path


def test_run_goes_on(tmp_path):
    calls = []

    def measure(value):
        calls.append(value)
        return (value, 2 * value)

    parts = common.Parts(tmp_path / "own", model="lat", seeds=(1, 2))
    assert parts("1", lambda: measure(1)) == [1, 2]
    again = common.Parts(tmp_path / "own.json", model="lat", seeds=[1, 2])
    assert again("1", lambda: measure(1)) == [1, 2]
    assert again("2", lambda: measure(2)) == [2, 4]
    assert calls == [1, 2]
    with pytest.raises(ValueError, match="choose another --output"):
        common.Parts(tmp_path / "own", model="other", seeds=[1, 2])


def test_file_is_made_once(tmp_path):
    path = tmp_path / "value.txt"
    for value in ("first", "second"):
        assert common.kept(path, lambda v=value: v, lambda v, p: p.write_text(v), Path.read_text) == "first"


def test_results_are_written(tmp_path, capsys):
    from matplotlib.figure import Figure

    table = common.rows_to_markdown(["a", "b"], [["1", "2"]])
    assert table == "| a | b |\n| --- | --- |\n| 1 | 2 |\n"
    common.write(tmp_path / "own.md", {"a": 1}, table, {"": Figure(), "_more": Figure()})
    assert capsys.readouterr().out == table + "\n"
    assert json.loads((tmp_path / "own.json").read_text()) == {"a": 1}
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"own.json", "own.md", "own.png", "own_more.png"}
    # A point within a name is no suffix
    assert common.file_of("v0.1", ".json") == Path("v0.1.json")
    common.write(tmp_path / "plain", [1.5])
    assert json.loads(capsys.readouterr().out) == [1.5]
