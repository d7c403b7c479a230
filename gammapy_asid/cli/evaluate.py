# Licensed under a 3-clause BSD style license - see LICENSE
"""Command that judges candidate lists: evaluate."""

from pathlib import Path

import click
from rich.markup import escape

from .command import command
from .common import console, expanded, prepare, print_paths
from .inputs import input_file, read_datasets
from .options import Number, device_option, overwrite_option, rising
from .progress import doing

__all__ = ["evaluate"]


@command(
    examples="""
    gammapy-asid evaluate catalog.fits candidates.fits -o report
    gammapy-asid evaluate catalog.fits network=a.fits "TS map=peaks.ecsv" --dataset field.fits.gz -o report
    gammapy-asid evaluate --model runs/mine.safetensors
    """
)
@click.argument("truth", type=input_file, required=False)
@click.argument("lists", nargs=-1, metavar="[NAME=]LIST...")
@click.option(
    "--model",
    help="In place of lists: a trained model, on simulations after its recipe that trained nothing.",
)
@click.option("--output", "-o", default="asid-evaluation", show_default=True, help="Folder of the page.")
@click.option(
    "--dataset",
    multiple=True,
    type=input_file,
    help="Data that were searched: only what lies on valid data counts. May be given several times.",
)
@click.option(
    "--radius",
    default=0.3,
    show_default=True,
    type=Number(above=0, below=90),
    help="Matching radius, deg.",
)
@click.option(
    "--purity",
    default=0.9,
    show_default=True,
    type=Number(0, 1),
    help="Lists are compared at the lowest threshold where this purity is reached; 0: whole lists.",
)
@click.option("--flux", help="Column of the true flux; by default flux, S1 or Flux1000.")
@click.option(
    "--energy-range",
    nargs=2,
    type=Number(above=0),
    callback=rising,
    help="Energy range of the true flux, GeV; by default that of columns e_min and e_max, else 1 to 100.",
)
@click.option(
    "--flux-min", default=0, type=Number(0), help="Flux below which true sources do not count, cm-2 s-1."
)
@click.option(
    "--faint",
    nargs=2,
    type=Number(0),
    callback=rising,
    help="Range of fluxes called faint, cm-2 s-1; by default below the threshold of 4FGL-DR4.",
)
@click.option(
    "--latitude",
    nargs=2,
    type=Number(0, 90),
    callback=rising,
    default=(0, 90),
    show_default=True,
    help="Range of |b| that counts, deg.",
)
@click.option("--score", multiple=True, help="Column of the score in lists that have none called score.")
@click.option("--group", help="Column of the field in all tables: matches stay within a field.")
@click.option("--title", default="Source detection, judged", show_default=True, help="Title of the page.")
@device_option
@overwrite_option
def evaluate(
    truth,
    lists,
    model,
    output,
    dataset,
    radius,
    purity,
    flux,
    energy_range,
    flux_min,
    faint,
    latitude,
    score,
    group,
    title,
    device,
    overwrite,
):
    """Judge candidate LISTS against the TRUTH: a page with purity, completeness, positions and fluxes.

    TRUTH is a table with positions and a flux, the catalog.fits of 'gammapy-asid simulate', or Gammapy models
    (YAML). LISTS are candidates or any tables with positions and a score. Classified candidates are judged
    twice, by their score and by the probability to be real that the classifier gives them.
    """
    if (model is None) != bool(truth and lists):
        raise click.UsageError("Missing argument: give TRUTH and LISTS, or --model alone")
    if model is not None:
        judge_model(model, dataset, device)
        return
    from ..evaluation.judge import evaluate_lists
    from ..evaluation.lists import read_candidate_lists
    from ..evaluation.report import report_paths, write_report
    from ..evaluation.truth import read_truth

    named = [_split(text) for text in lists]
    output = expanded(output)
    prepare(report_paths(output), overwrite, (truth, *(path for _, path in named), *dataset))
    _check_scores(score, named)
    true = read_truth(truth, flux, energy_range, group)
    read = [own for label, path in named for own in read_candidate_lists(path, label, score, group)]
    datasets = read_datasets(dataset) if dataset else None
    with doing("Judging"):
        evaluation = evaluate_lists(true, read, datasets, radius, purity, flux_min, faint, latitude)
        paths = write_report(evaluation, output, title, overwrite)
    for label, own in evaluation.metrics()["lists"].items():
        numbers = [
            own["average_precision"],
            *(own["working_threshold"][k] for k in ("purity", "completeness")),
        ]
        precision, pure, complete = ("-" if value is None else f"{value:.3f}" for value in numbers)
        console.print(
            f"{escape(label)}: average precision {precision}; at the working threshold purity {pure}, "
            f"completeness {complete}",
            soft_wrap=True,
        )
    print_paths({key: paths[key] for key in ("page", "numbers")})


def _check_scores(names, lists):
    """Refuse a column of the score that no list has."""
    from ..utils.table_columns import column_name
    from ..utils.table_files import read_any_table

    tables = [read_any_table(path) for _, path in lists] if names else []
    for name in names:
        if not any(column_name(table, (name,)) for table in tables):
            raise ValueError(f"None of the lists has a column {name!r}: --score names one that they have")


def judge_model(model, dataset, device):
    """Print the figures of a trained model for each task that it serves.

    Parameters
    ----------
    model : str
        Shipped model, or weight file.
    dataset : sequence of path
        Data whose instrument it was trained for; none if the recipe tells the instrument.
    device : str, optional
        Where it runs.
    """
    from ..learning.model_files import ensemble_path
    from ..learning.registry import followers
    from ..learning.run import evaluate_model
    from ..tasks import Task, get_task, load_card

    task = get_task(load_card(model).task)
    if isinstance(task, Task):
        with doing("Simulating"):
            figures = evaluate_model(model, task, read_datasets(dataset) if dataset else None, device)
        lists = {task: {key: f"{value:.4g}" for key, value in figures.items()}}
    else:
        lists = {task: task.summary(load_card(model))}
    for follower in followers(task):
        path = ensemble_path(model, follower.name)
        if path.is_file():
            lists[follower] = follower.summary(load_card(path))
    for own, figures in lists.items():
        text = ", ".join(f"{key} {value}" for key, value in figures.items())
        console.print(f"For {own.name}: {text}", soft_wrap=True)


def _split(text):
    """Label and path of a list: ``NAME=PATH``, or a path whose stem is the label."""
    label, equals, path = text.partition("=")
    if not equals or Path(text).is_file():
        label, path = Path(text).name.split(".")[0], text
    path = expanded(path)
    if not path.is_file():
        raise FileNotFoundError(f"No such file: {path}")
    return label, path
