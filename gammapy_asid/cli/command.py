# Licensed under a 3-clause BSD style license - see LICENSE
"""What every command has: errors in one line, examples, messages, and a configuration."""

import inspect
import logging
import re
from contextlib import contextmanager
from textwrap import dedent, wrap

import click

from .config import config_option, print_config, print_config_option, reads_only
from .log import log_options, messages
from .progress import progress

__all__ = ["Command", "Commands", "InputError", "command"]

log = logging.getLogger(__name__)


class InputError(click.ClickException):
    """What the user can mend, told in one line."""

    exit_code = 2

    def __init__(self, error):
        super().__init__(" ".join(str(error).split()))


@contextmanager
def _one_line_errors():
    """Turn errors of the input into one line."""
    try:
        yield
    except (click.exceptions.NoArgsIsHelpError, BrokenPipeError):
        raise
    except click.UsageError as error:
        raise InputError(error.format_message()) from error
    except (ValueError, TypeError, OSError) as error:
        log.debug("The command ends here", exc_info=True)
        raise InputError(error) from error


def _wrapped(example, width=76):
    """Lines of an example: a comment goes before it and the rest is continued where it would be too long."""
    if len(example) <= width:
        return [example]
    code, _, remark = example.partition("  #")
    # An option stays with its value
    joined = re.sub(r"( --?[\w-]+) (?!-)", "\\1\0", code)
    broken = wrap(joined, width - 2, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    lines = [line.replace("\0", " ") for line in broken]
    comment = [f"#{remark}"] if remark else []
    return [*comment, *(f"{line} \\" for line in lines[:-1]), lines[-1]]


class _WithExamples:
    """Part of a command or group that shows examples below its options.

    Parameters
    ----------
    examples : str
        Command lines, one a line, with comments after ``#``.
    """

    def __init__(self, *args, examples="", **kwargs):
        super().__init__(*args, **kwargs)
        self.examples = [line for line in dedent(examples).splitlines() if line.strip()]

    def get_short_help_str(self, limit=45):
        # What comes after the first colon or semicolon is more than a list of commands needs
        first = inspect.cleandoc(self.help or "").split("\n\n")[0]
        return re.split("[:;]", " ".join(first.split()))[0].removesuffix(".")

    def format_epilog(self, ctx, formatter):
        if self.examples:
            with formatter.section("Examples"):
                for line in (part for example in self.examples for part in _wrapped(example)):
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")
        super().format_epilog(ctx, formatter)


class Command(_WithExamples, click.Command):
    """Command that says what goes on, and that a YAML file can configure.

    Parameters
    ----------
    *args, **kwargs
        Those of `click.Command`, and ``examples``.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.params += [config_option(), print_config_option(), *log_options()]

    def parse_args(self, ctx, args):
        with reads_only(self, args):
            return super().parse_args(ctx, args)

    def invoke(self, ctx):
        if print_config(ctx):
            return None
        # Errors, too, belong to the log
        with messages(ctx) as terminal, progress(terminal.show_held), _one_line_errors():
            return super().invoke(ctx)


class Commands(_WithExamples, click.Group):
    """Group of commands, errors of which are one line."""

    command_class = Command

    def list_commands(self, ctx):
        return list(self.commands)

    def make_context(self, *args, **kwargs):
        with _one_line_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx):
        with _one_line_errors():
            return super().invoke(ctx)


def command(*args, **kwargs):
    """Decorator that makes a `Command` of a function.

    Parameters
    ----------
    *args, **kwargs
        Those of `click.command`, and ``examples``: command lines, one a line.

    Returns
    -------
    decorator : callable
        Decorator.
    """
    return click.command(*args, cls=Command, **kwargs)
