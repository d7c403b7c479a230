# Licensed under a 3-clause BSD style license - see LICENSE
"""Command line of gammapy_asid.

Modules that need seconds to import are imported by the command that uses them.
"""

import logging

import click
from rich.console import Console
from rich.logging import RichHandler

from .classify import classify
from .detect import demo, detect, flux
from .emission import emission
from .evaluate import evaluate
from .extension import extension
from .fermipy import fermipy
from .likelihood import catalog, fit
from .models import models
from .optical import optical
from .split_time import split_time
from .train import simulate, train
from .view import view

__all__ = ["main"]


class InputError(click.ClickException):
    """What the user can mend, told in one line."""

    exit_code = 2

    def __init__(self, error):
        super().__init__(" ".join(str(error).split()))


class Commands(click.Group):
    """Group that turns errors of the input into one line."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            raise InputError(error.format_message()) from error
        except (ValueError, TypeError, OSError) as error:
            raise InputError(error) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gammapy-asid")
def main():
    """Gamma-ray source detection with deep learning."""
    handler = RichHandler(console=Console(stderr=True), show_time=False, show_path=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])


COMMANDS = (
    detect,
    flux,
    extension,
    classify,
    optical,
    fit,
    catalog,
    demo,
    evaluate,
    fermipy,
    split_time,
    simulate,
    train,
    emission,
    models,
    view,
)
for command in COMMANDS:
    main.add_command(command)
