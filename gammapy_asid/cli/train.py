# Licensed under a 3-clause BSD style license - see LICENSE
"""Commands that make data and models: simulate, train and models."""

from pathlib import Path

import click
from rich.table import Table

from .common import console, expanded, overwrite_option, prepare, prepare_training, print_paths
from .extension import train_extension_model
from .inputs import input_file, read_datasets

__all__ = ["models", "simulate", "train"]


@click.command()
@click.option("--output", "-o", default="asid-simulation", show_default=True, help="Folder of the results.")
@click.option("--center", nargs=2, type=float, default=(75, 20), show_default=True, help="Galactic, deg.")
@click.option("--width", nargs=2, type=float, default=(20, 15), show_default=True, help="Width, deg.")
@click.option("--livetime", type=float, default=10, show_default=True, help="Length of the survey, years.")
@click.option("--pixel-size", type=float, default=0.1, show_default=True, help="Pixel size, deg.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of sky and counts.")
@overwrite_option
def simulate(output, center, width, livetime, pixel_size, seed, overwrite):
    """Simulate a Fermi-LAT field: dataset.fits.gz (MapDataset) and catalog.fits (its sources)."""
    from ..inputs.dataset_files import write_dataset
    from ..simulation.demo import simulated_field
    from ..utils.files import new_file

    folder = expanded(output)
    paths = prepare({"catalog": folder / "catalog.fits", "dataset": folder / "dataset.fits.gz"}, overwrite)
    with console.status("Simulating"):
        field, catalog = simulated_field(center, width, livetime, pixel_size, seed)
    catalog.write(paths["catalog"], overwrite=overwrite)
    with new_file(paths["dataset"], overwrite) as temporary:
        write_dataset(field.dataset, temporary)
    console.print(f"{field.dataset.counts.data.sum():.0f} photons, {len(catalog)} sources")
    print_paths(paths)


@click.command()
@click.argument("recipe", required=False)
@click.option(
    "--dataset",
    type=input_file,
    help="Train for the instrument of this dataset.",
)
@click.option(
    "--task",
    type=click.Choice(["detection", "extension"]),
    default="detection",
    show_default=True,
    help="What the model is for.",
)
@click.option("--output", "-o", default="runs", show_default=True, help="Folder of checkpoints and model.")
@click.option("--epochs", type=click.IntRange(1, 10**5), help="Epochs, in place of those of the recipe.")
@click.option(
    "--workers", type=click.IntRange(min=0), default=1, show_default=True, help="Processes that simulate."
)
@overwrite_option
def train(recipe, dataset, task, output, epochs, workers, overwrite):
    """Train a model from RECIPE, a YAML file or the name of one that ships; goes on if interrupted.

    For detection the detector first, then the ensembles for position and flux.

    For a dataset the default recipe is 'dataset', or 'extension' for that task.
    """
    from ..learning.recipe import model_name, read_recipe
    from ..learning.registry import ENSEMBLES, model_files
    from ..tasks.detection.calibrate import release
    from ..tasks.detection.model import DetectionModel
    from ..tasks.detection.simulator import build_simulator, dataset_simulator
    from ..tasks.detection.train import train as run_training
    from ..tasks.detection.train import training_folder
    from ..tasks.measurement.release import release_sources

    if recipe is None and dataset is None:
        raise ValueError("Nothing to train: give a recipe or --dataset FILE")
    if task == "extension":
        train_extension_model(recipe, dataset, output, epochs, workers, overwrite)
        return
    settings = read_recipe(recipe or "dataset")
    if recipe is None:
        settings = settings.model_copy(update={"name": model_name(dataset)})
    if epochs is not None:
        optimiser = settings.optimiser.model_copy(update={"epochs": epochs})
        settings = settings.model_copy(update={"optimiser": optimiser})
    detector = model_files(Path(output) / f"{settings.name}.safetensors")
    ensembles = [p for k in ENSEMBLES for p in model_files(Path(output) / f"{settings.name}-{k}.safetensors")]
    prepare_training([*detector, *ensembles], output, overwrite)
    with console.status("Preparing the simulation"):
        if dataset is None:
            simulator = build_simulator(settings)
        else:
            simulator = dataset_simulator(read_datasets([dataset]), settings)
    work = training_folder(settings, output, simulator, overwrite)
    work.claim([*detector, *ensembles])
    if not work.is_finished(detector):
        network = run_training(settings, output, simulator, num_workers=workers, overwrite=overwrite)
        with console.status("Calibrating"):
            release(
                network,
                settings,
                simulator,
                simulator.bank.responses,
                detector[0],
                n_patches=settings.calibration_patches,
                overwrite=True,
            )
        work.finish(detector)
    model = DetectionModel.load(detector[0])
    # What else the folder holds is of this training
    release_sources(model, detector[0], settings, simulator, output, overwrite=True)
    work.finish(ensembles)
    print_paths({path.name: path for path in (*detector, *ensembles)})


@click.command()
def models():
    """List the models that ship with the package."""
    from ..learning.io import load_card
    from ..learning.registry import list_models
    from ..tasks.extension.card import ExtensionCard

    table = Table("Model", "Version", "Energy (GeV)", "Pixels (deg)", "Purity", "Completeness", "SHA-256")
    for name in list_models():
        card = load_card(name)
        purity, completeness = card.expected(0.5, has_background=True)
        table.add_row(
            card.name,
            card.version,
            f"{card.bands.edges[0]:g}-{card.bands.edges[-1]:g}",
            f"{card.pixel_size[0]:.2g}-{card.pixel_size[1]:.2g}",
            f"{purity:.2f}",
            f"{completeness:.2f}",
            card.weights_sha256[:12],
        )
    console.print(table)
    console.print("Purity and completeness are those expected at a threshold of 0.5 with a background.")
    table = Table("Extension", "Version", "Energy (GeV)", "Edges (deg)", "Accuracy", "SHA-256")
    for name in list_models("extension"):
        card = load_card(name, ExtensionCard)
        table.add_row(
            card.name,
            card.version,
            f"{card.bands.edges[0]:g}-{card.bands.edges[-1]:g}",
            ", ".join(f"{edge:g}" for edge in card.edges),
            f"{next(iter(card.metrics.values()))['accuracy']:.2f}",
            card.weights_sha256[:12],
        )
    if table.row_count:
        console.print(table)
        console.print("Accuracy is that of isolated sources of all fluxes.")
