# Licensed under a 3-clause BSD style license - see LICENSE
"""Command that lists the models that have a name, what they are for and where they come from."""

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from .command import command
from .common import console

__all__ = ["models"]


@command(
    examples="""
    gammapy-asid models
    GAMMAPY_ASID_MODELS=runs gammapy-asid models
    """
)
def models():
    """List the models, what they are for and where they come from.

    Models are those of the package and those in the folder $GAMMAPY_ASID_MODELS: weights (NAME.safetensors)
    with their cards (NAME.json). Weights are used only if their SHA-256 is that of their card.
    """
    from ..learning.model_files import FOLDER_VARIABLE, named_models, own_folder
    from ..tasks import TASKS, find_model, get_task, load_card, load_state

    cards, problems, own = {}, [], own_folder()
    files = Table("Model", "For", "Version", "From", "SHA-256", box=SIMPLE_HEAD, pad_edge=False)
    for name, task, path in named_models():
        try:
            card = load_card(path)
            load_state(path)
            find_model(name, task)
        except (ValueError, OSError) as error:
            problems.append(str(error))
            continue
        cards.setdefault(task, {})[name] = card
        origin = "own folder" if path.parent == own else "package"
        files.add_row(escape(name), task, card.version, origin, card.weights_sha256[:8])
    for task in (task for task in TASKS if task in cards):
        _print_figures(get_task(task), cards[task])
    console.print(files)
    if own is not None:
        console.print(f" Own folder: {escape(str(own))} ({FOLDER_VARIABLE})", soft_wrap=True)
    # Two models of one name have one problem
    for problem in dict.fromkeys(problems):
        console.print(f" [red]Not usable:[/] {escape(problem)}", soft_wrap=True)


def _print_figures(task, cards):
    """Table of the models for a task, with what was measured."""
    rows = {}
    for name, card in cards.items():
        rows[name] = {} if task.name.startswith("optical") else {"Energy (GeV)": _energies(card)}
        rows[name] |= task.summary(card)
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    table = Table(f"For {task.name}", *columns, box=SIMPLE_HEAD, pad_edge=False)
    for name, row in rows.items():
        table.add_row(escape(name), *(str(row.get(key, "")) for key in columns))
    console.print(table)
    console.print(Padding(task.summary_note, (0, 0, 1, 1)))


def _energies(card):
    return f"{card.bands.edges[0]:g}-{card.bands.edges[-1]:g}"
