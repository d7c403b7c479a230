# Licensed under a 3-clause BSD style license - see LICENSE
"""Command extension, and the training of its models."""

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Column, Table

from .common import MODELS, console, overwrite_option, prepare, prepare_training, print_paths, write_models
from .inputs import files_argument, input_file, models_option, read_datasets, read_sources

__all__ = ["extension", "train_extension_model"]


@click.command()
@files_argument
@click.option(
    "--sources",
    required=True,
    type=input_file,
    help="Candidates or any table with columns ra and dec or glon and glat, or Gammapy models (YAML).",
)
@models_option
@click.option("--model", default="cta-extension", show_default=True, help="Model name or weight file.")
@click.option(
    "--output", "-o", default="extensions.fits", show_default=True, help="Table of extensions (FITS or ECSV)."
)
@click.option(
    "--output-models", type=click.Path(dir_okay=False), help="Points and Gaussians as Gammapy models (YAML)."
)
@overwrite_option
def extension(files, sources, models, model, output, output_models, overwrite):
    """Extended or point-like: sizes of known sources in FILES, datasets of one field."""
    from ..estimators.extension import DLExtensionClassifier
    from ..utils.files import new_file
    from ..utils.fits_tables import TABLE_SUFFIXES, write_table

    suffixes = {"output": TABLE_SUFFIXES, "models": MODELS}
    paths = prepare(
        {"output": output, "models": output_models}, overwrite, (*files, sources, models), suffixes
    )
    listed, datasets = read_sources(sources), read_datasets(files, models)
    with console.status("Classifying"):
        result = DLExtensionClassifier(model=model).run(datasets, listed)
    table = Table(
        Column("Name", no_wrap=True), "Class", "Probability", "Extended", "Sigma (deg)", "-", "+", "Flags"
    )
    for row in result.table[:20]:
        sigma = [f"{row[name].value:.3f}" for name in ("ext_sigma", "ext_sigma_errn", "ext_sigma_errp")]
        best = f"{max(row['extension_prob']):.2f}"
        extended = f"{row['extended_prob']:.2f}"
        table.add_row(escape(row["name"]), row["extension_class"], best, extended, *sigma, str(row["flags"]))
    edges = ", ".join(f"{edge:g}" for edge in result.meta["edges"])
    console.print(f"Classes of the Gaussian width, with edges at {edges} deg")
    console.print(table)
    if len(result) > 20:
        console.print(f"... and {len(result) - 20} more in the table")
    with new_file(paths["output"], overwrite) as temporary:
        write_table(result.table, temporary)
    if "models" in paths:
        with new_file(paths["models"], overwrite) as temporary:
            write_models(result.to_models(), temporary)
    print_paths(paths)


def train_extension_model(recipe, dataset, output, epochs, workers, overwrite):
    """Train a classifier of extension; the arguments are those of the command train."""
    from ..learning.io import load_card
    from ..learning.recipe import model_name, read_recipe
    from ..learning.registry import model_files
    from ..tasks.extension.calibrate import release_extension
    from ..tasks.extension.card import ExtensionCard
    from ..tasks.extension.recipe import ExtensionRecipe
    from ..tasks.extension.simulator import build_stamp_simulator, dataset_stamp_simulator
    from ..tasks.extension.training import extension_folder, train_extension

    settings = read_recipe(recipe or "extension", ExtensionRecipe)
    if recipe is None:
        settings = settings.model_copy(update={"name": f"{model_name(dataset)}-extension"})
    if epochs is not None:
        optimiser = settings.optimiser.model_copy(update={"epochs": epochs})
        settings = settings.model_copy(update={"optimiser": optimiser})
    paths = model_files(Path(output) / f"{settings.name}.safetensors")
    folder = Path(output) / settings.name
    prepare_training(paths, folder, overwrite)
    with console.status("Preparing the simulation"):
        if dataset is None:
            simulator = build_stamp_simulator(settings)
        else:
            simulator, settings = dataset_stamp_simulator(read_datasets([dataset]), settings)
    work = extension_folder(settings, folder, simulator, overwrite)
    work.claim(paths)
    if not work.is_finished(paths):
        network = train_extension(settings, folder, simulator, num_workers=workers, overwrite=overwrite)
        with console.status("Calibrating"):
            release_extension(network, settings, simulator, paths[0], overwrite=True)
        work.finish(paths)
    card = load_card(paths[0], ExtensionCard)
    for name, figures in card.metrics.items():
        console.print(f"{name}: " + ", ".join(f"{key} {value}" for key, value in figures.items()))
    print_paths({path.name: path for path in paths})
