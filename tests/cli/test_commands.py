# Licensed under a 3-clause BSD style license - see LICENSE
"""What every command has: examples, a configuration, messages once, progress, completion."""

import logging
import os
import re
import shlex
import warnings
from io import StringIO

import click
import pytest
import yaml
from click.testing import CliRunner
from rich.console import Console

from gammapy_asid.cli import main
from gammapy_asid.cli import progress as progress_module
from gammapy_asid.cli.command import Command, command
from gammapy_asid.utils.progress import bar, steps


def commands(group=main, path=()):
    for name, own in group.commands.items():
        yield from commands(own, (*path, name)) if isinstance(own, click.Group) else [((*path, name), own)]


COMMANDS = dict(commands())


def run(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_examples_can_be_typed(path):
    """Each is a line of this command with options that it has, and stands in the help."""
    own = COMMANDS[path]
    assert isinstance(own, Command)
    lines = "\n".join(own.examples).replace("\\\n", " ").splitlines()
    start = " ".join(("gammapy-asid", *path))
    typed = [line[line.index(start) :] for line in lines if start in line]
    assert typed
    for line in typed:
        words = shlex.split(re.split(r'>|\)"', line)[0], comments=True)
        own.make_parser(click.Context(own)).parse_args(words[1 + len(path) :])
    shown = run(*path, "--help").output
    assert "Examples:" in shown and max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_configurations_are_read_as_they_are_printed(path, tmp_path):
    printed = run(*path, "--print-config")
    assert printed.exit_code == 0, printed.output
    settings = yaml.safe_load(printed.output) or {}
    assert len(settings) == sum(param.expose_value for param in COMMANDS[path].params)
    (tmp_path / "run.yaml").write_text(printed.output)
    assert run(*path, "--config", tmp_path / "run.yaml", "--print-config").output == printed.output


def test_the_command_line_goes_before_the_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.fits").write_text("a")
    text = "files: a.fits\nthreshold: 0.2\noutput_models: m.yaml\nclassify: true\n"
    (tmp_path / "run.yaml").write_text(text)
    printed = run("detect", "--config", "run.yaml", "--threshold", 0.7, "--print-config").output
    settings = yaml.safe_load(printed)
    assert settings["files"] == ["a.fits"] and settings["threshold"] == 0.7
    assert settings["output-models"] == "m.yaml" and settings["classify"] is True
    # What it needs may stand there, and is checked as on the command line
    result = run("detect", "--config", "run.yaml")
    assert result.exit_code == 2 and "a.fits is no FITS file" in result.output
    for text, message in (
        ("threshold: 2", "2 is no possible value"),
        ("threshold: [0.1, 0.2]", "threshold must be one value"),
        ("tresholds: 0.1", "did you mean 'threshold'?"),
        ("classify: often", "classify must be true or false"),
        ("- files", "holds no options by name"),
        ("files: [", "run.yaml is not a valid configuration: line 2"),
    ):
        (tmp_path / "run.yaml").write_text(text)
        result = run("detect", "a.fits", "--config", "run.yaml")
        assert result.exit_code == 2 and message in result.output and result.output.count("\n") == 1


@pytest.fixture
def talkative(monkeypatch):
    """Command that warns twice, with a warning of Python and one of a log."""

    @command("talk")
    @click.option("--bad", is_flag=True)
    def talk(bad):
        for _ in range(2):
            logging.getLogger("gammapy_asid").warning("one\n  warning")
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                warnings.warn("another warning", UserWarning, stacklevel=2)
        logging.getLogger("gammapy").info("what goes on")
        logging.getLogger("matplotlib").info("fonts")
        with bar("Long work", 3):
            progress_module.console.print("the result")
        if bad:
            raise ValueError("not so")

    monkeypatch.setitem(main.commands, "talk", talk)


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("", ["Warning: one warning", "Warning: another warning", "the result"]),
        (
            "-v",
            ["Warning: one warning", "Warning: another warning", "what goes on", "Long work", "the result"],
        ),
        ("-q", ["Warning: one warning", "Warning: another warning"]),
        ("-qq", []),
    ],
)
def test_messages_are_told_once(talkative, options, shown):
    result = run("talk", *options.split())
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == shown


def test_log_file(talkative, tmp_path):
    path = tmp_path / "run.log"
    assert run("talk", "-qq", "--log-file", path).exit_code == 0
    assert run("talk", "-qq", "--log-file", path, "--bad").exit_code == 2
    text = path.read_text()
    assert text.count("WARNING gammapy_asid: one") == 2 and text.count("another warning") == 2
    assert "what goes on" in text and "fonts" not in text
    assert text.rstrip().endswith("ValueError: not so")
    assert not logging.getLogger().handlers or path.name not in str(logging.getLogger().handlers)


def test_where_the_input_is_refused_only_that_is_told():
    @command("refuse")
    def refuse():
        logging.getLogger("gammapy_asid").warning("of the results there would be")
        raise ValueError("not\n so")

    result = CliRunner().invoke(refuse, [])
    assert (result.exit_code, result.output) == (2, "Error: not so\n")


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_in_a_terminal_only(monkeypatch, terminal):
    text = StringIO()
    console = Console(file=text, force_terminal=terminal, width=80)
    monkeypatch.setattr(progress_module, "console", console)
    begun = []
    with progress_module.progress(lambda: begun.append(1)):
        with progress_module.doing("Reading"):
            assert not begun
        assert list(steps([1, 2], "Fits")) == [1, 2]
    assert begun
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.getvalue())
    assert ("Reading" in shown and "Fits" in shown) == terminal
    assert terminal or not shown


def test_completion(monkeypatch):
    for shell in ("bash", "zsh", "fish"):
        monkeypatch.setenv("SHELL", f"/usr/bin/{shell}")
        script = run("completion").output
        assert script == run("completion", shell).output and "_GAMMAPY_ASID_COMPLETE" in script
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    result = run("completion")
    assert result.exit_code == 2 and "Your shell 'tcsh' is not one of bash, zsh, fish" in result.output


@pytest.mark.skipif(os.name == "nt", reason="pipes that end")
def test_a_pipe_that_ends_is_no_mistake():
    @command("pipe")
    def pipe():
        raise BrokenPipeError(32, "Broken pipe")

    result = CliRunner().invoke(pipe, [])
    assert "Broken pipe" not in result.output and result.exit_code == 1
