# Licensed under a 3-clause BSD style license - see LICENSE
"""Command line of gammapy_asid.

Modules that need seconds to import are imported by the command that uses them.
"""

import click

from .catalog import catalog
from .classify import classify
from .command import Commands
from .completion import completion
from .detect import demo, detect, flux
from .emission import emission
from .evaluate import evaluate
from .extension import extension
from .fermipy import fermipy
from .fit import fit
from .models import models
from .optical import optical
from .split_time import split_time
from .train import simulate, train
from .view import view

__all__ = ["main"]


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    examples="""
    gammapy-asid demo                                # a first source list
    gammapy-asid detect field.fits.gz -o results     # sources of your own data
    gammapy-asid detect --help                       # options and examples of a command
    """,
)
@click.version_option(package_name="gammapy-asid")
def main():
    """Gamma-ray source detection with deep learning."""


COMMANDS = (
    demo,
    detect,
    flux,
    extension,
    classify,
    optical,
    fit,
    catalog,
    evaluate,
    fermipy,
    split_time,
    simulate,
    train,
    emission,
    models,
    view,
    completion,
)
for command in COMMANDS:
    main.add_command(command)
