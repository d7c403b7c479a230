# Licensed under a 3-clause BSD style license - see LICENSE
"""Command that makes bins of time: split-time."""

import click

from .command import command
from .common import expanded, prepare, print_paths, write_models
from .inputs import fits_file, input_file, models_option, read_datasets
from .options import overwrite_option
from .progress import doing
from .tables import Shown, print_table

__all__ = ["split_time"]


@command(
    "split-time",
    examples="""
    gammapy-asid split-time field.fits.gz events.fits --bins 10 -o years
    gammapy-asid split-time field.fits.gz events.fits --edges 2008-08-04,2012-08-04,2016-08-04 -o years
    gammapy-asid split-time runs.yaml --bins 5 -o nights
    """,
)
@click.argument("dataset", type=input_file)
@click.argument("events", nargs=-1, type=fits_file)
@models_option
@click.option(
    "--bins",
    default=10,
    show_default=True,
    type=click.IntRange(2, 20),
    help="Number of equally long bins, 2 to 20.",
)
@click.option(
    "--edges", help="Edges of the bins instead: dates or MJD, such as 2008-08-04,2012-08-04,2016-08-04."
)
@click.option(
    "--output", "-o", default="time-bins", show_default=True, help="Folder of datasets.yaml and the bins."
)
@overwrite_option
def split_time(dataset, events, models, bins, edges, output, overwrite):
    """Divide DATASET and its EVENTS in bins of time: a folder that other commands read as datasets.yaml.

    Without EVENTS the datasets of a YAML, such as those of many runs, are stacked to bins.
    """
    from ..inputs.dataset_files import dataset_paths, write_datasets, write_templates
    from ..inputs.time_split import split_in_time
    from ..inputs.time_stack import stack_in_time
    from ..utils.files import new_file

    folder = expanded(output)
    inputs = (dataset, *events, models)
    paths = prepare({"datasets": folder / "datasets.yaml"}, overwrite, inputs)
    wanted = bins if edges is None else _times(edges)
    datasets = read_datasets([dataset], models)
    if events and len(datasets) > 1:
        raise ValueError(
            f"{dataset} holds {len(datasets)} datasets: events are those of one, so name its file, and "
            "divide one after the other"
        )
    if not events and len(datasets) == 1:
        raise ValueError(f"{dataset} is one dataset: give its events, too, to divide it in time")
    with doing("Dividing"):
        parts = (
            split_in_time(datasets[0], list(events), wanted) if events else stack_in_time(datasets, wanted)
        )
    files = {path.name: path for path in dataset_paths(parts.names, paths["datasets"])}
    if parts.models:
        paths["models"] = files["models"] = folder / "models.yaml"
    # datasets.yaml was checked before
    prepare({name: path for name, path in files.items() if path != paths["datasets"]}, overwrite, inputs)
    if parts.models:
        write_templates(parts.models, folder, overwrite)
        with new_file(paths["models"], overwrite) as temporary:
            write_models(parts.models, temporary)
    write_datasets(parts, paths["datasets"], overwrite)
    _print(parts)
    print_paths(paths)


def _times(text):
    """Edges of dates or MJD."""
    from astropy.time import Time

    values = [part.strip() for part in text.split(",")]
    try:
        try:
            return Time([float(value) for value in values], format="mjd")
        except ValueError:
            return Time(values)
    except ValueError:
        raise ValueError(
            f"Edges are dates such as 2008-08-04, or MJD, with commas between: got {text}"
        ) from None


def _print(datasets):
    gtis = [part.gti for part in datasets]
    days = [gti.time_sum.to_value("d") for gti in gtis]
    counts = [float(part.counts.data.sum()) for part in datasets]
    print_table(
        [
            Shown("Bin", [part.name for part in datasets], is_text=True),
            Shown("Start", [gti.time_start.min().strftime("%Y-%m-%d") for gti in gtis]),
            Shown("Stop", [gti.time_stop.max().strftime("%Y-%m-%d") for gti in gtis]),
            Shown("Live\n(days)", [f"{value:.4g}" for value in days]),
            Shown("Counts", [f"{value:.0f}" for value in counts]),
        ]
    )
