# Licensed under a 3-clause BSD style license - see LICENSE
"""Messages of a command: what the terminal shows of them, and their file."""

import logging
import sys
import warnings
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from .common import console, expanded

__all__ = ["log_options", "messages"]

#: Level of what is shown by -vv, -v, neither, -q and -qq.
LEVELS = {2: logging.DEBUG, 1: logging.INFO, 0: logging.WARNING, -1: logging.WARNING, -2: logging.ERROR}
#: Ends of the names of log files, which are appended to: data never are.
LOG_SUFFIXES = (".log", ".txt")
#: Loggers of which more than warnings is of interest.
OWN = ("gammapy", "py.warnings")


def log_options():
    """Options -v, -q and --log-file of a command, kept in the context.

    Returns
    -------
    options : list of `click.Option`
        Options.
    """

    def keep(ctx, param, value):
        ctx.meta[f"{__name__}.{param.name}"] = value

    kept = {"expose_value": False, "callback": keep}
    return [
        click.Option(["--verbose", "-v"], count=True, help="Say more of what goes on; -vv for all.", **kept),
        click.Option(
            ["--quiet", "-q"], count=True, help="Print no results; -qq: no warnings either.", **kept
        ),
        click.Option(["--log-file"], type=_LogFile(), help="Text file that gets all messages.", **kept),
    ]


class _LogFile(click.ParamType):
    name = "file"

    def convert(self, value, param, ctx):
        path = expanded(value)
        if not path.name.lower().endswith(LOG_SUFFIXES):
            self.fail(f"{path}: the name must end in {' or '.join(LOG_SUFFIXES)}")
        if not path.parent.is_dir():
            self.fail(f"the folder {path.parent} does not exist")
        return path


@contextmanager
def messages(ctx):
    """Messages of all libraries while a command runs: each once, in the terminal and in the file.

    Warnings wait until the long work begins, or the end: where the input is refused, only that is said.

    Parameters
    ----------
    ctx : `click.Context`
        Context of the command with its `log_options`.

    Yields
    ------
    terminal : `logging.Handler`
        Its ``show_held`` shows what waits.
    """
    more, less, file = (ctx.meta.get(f"{__name__}.{name}") for name in ("verbose", "quiet", "log_file"))
    level = max(-2, min(2, (more or 0) - (less or 0)))
    terminal = _Terminal(LEVELS[level])
    handlers = [terminal]
    if file is not None:
        handlers.append(_file_handler(file))
    with ExitStack() as stack:
        stack.enter_context(_only(handlers))
        stack.enter_context(_warnings_as_messages())
        stack.enter_context(_quiet(level < 0))
        command = " ".join(["gammapy-asid", *sys.argv[1:]])
        logging.getLogger(__name__).debug(f"gammapy-asid {version('gammapy-asid')}: {command}")
        try:
            yield terminal
        except click.ClickException:
            # The one line of the error is what is to be read
            terminal.held = None
            raise
        finally:
            terminal.show_held()


class _Terminal(logging.Handler):
    """Prints each message as one line to the standard error, from `show_held` on."""

    def __init__(self, level):
        super().__init__(level)
        self.addFilter(_Once())
        self.held = [] if level >= logging.WARNING else None

    def show_held(self):
        held, self.held = self.held, None
        for record in held or ():
            self.emit(record)

    def emit(self, record):
        if self.held is not None:
            self.held.append(record)
            return
        head, style = ("Warning: ", "yellow") if record.levelno >= logging.WARNING else ("", "dim")
        text = Text(head, style=style).append(" ".join(record.getMessage().split()), style="default")
        Console(stderr=True).print(text, soft_wrap=True)


class _Once(logging.Filter):
    """Passes a message once, and of other libraries warnings only."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def filter(self, record):
        text = record.getMessage()
        if record.levelno < logging.WARNING and not record.name.startswith(OWN):
            return False
        new = text not in self.seen or record.levelno < logging.WARNING
        self.seen.add(text)
        return new


def _file_handler(path):
    """Handler that appends to a file."""
    handler = logging.FileHandler(Path(path), encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.addFilter(_Once())
    return handler


@contextmanager
def _only(handlers):
    """These handlers for the messages of all libraries."""
    # Its own would print every message of Astropy twice
    from astropy import log as astropy_log

    root = logging.getLogger()
    level, others = root.level, list(astropy_log.handlers)
    root.setLevel(min(handler.level or logging.DEBUG for handler in handlers))
    for handler in others:
        astropy_log.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
        for handler in others:
            astropy_log.addHandler(handler)
        root.setLevel(level)


@contextmanager
def _warnings_as_messages():
    """Python's warnings as messages, without the line of the program that gave them."""

    def show(message, category, filename, lineno, file=None, line=None):
        logging.getLogger("py.warnings").warning(str(message))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


@contextmanager
def _quiet(wanted):
    """Print no results, if so wanted."""
    before, console.quiet = console.quiet, wanted or console.quiet
    try:
        yield
    finally:
        console.quiet = before
