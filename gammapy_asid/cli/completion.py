# Licensed under a 3-clause BSD style license - see LICENSE
"""Command completion."""

import os
from pathlib import Path

import click

from .command import command

__all__ = ["completion"]

SHELLS = ("bash", "zsh", "fish")


@command(
    examples="""
    eval "$(gammapy-asid completion bash)"                                      # for this terminal
    gammapy-asid completion bash >> ~/.bashrc                                   # for all
    gammapy-asid completion fish > ~/.config/fish/completions/gammapy-asid.fish
    """
)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def completion(shell):
    """Print what makes SHELL complete commands and options at the tab key; by default for your shell."""
    from click.shell_completion import get_completion_class

    own = Path(os.environ.get("SHELL", "")).name
    if shell is None and own not in SHELLS:
        raise click.UsageError(
            f"Your shell {own!r} is not one of {', '.join(SHELLS)}: name one".replace("''", "of no name")
        )
    root = click.get_current_context().find_root().command
    script = get_completion_class(shell or own)(root, {}, "gammapy-asid", "_GAMMAPY_ASID_COMPLETE")
    click.echo(script.source())
