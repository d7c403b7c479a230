# Licensed under a 3-clause BSD style license - see LICENSE
"""Commands that make data and models: simulate and train."""

from pathlib import Path

import click

from ..utils.words import counted
from .command import command
from .common import console, expanded, prepare, prepare_training, print_paths
from .inputs import fits_file, input_file, read_datasets
from .options import Number, device_option, overwrite_option
from .progress import doing

__all__ = ["simulate", "train"]


def _position(context, parameter, value):
    if not -90 <= value[1] <= 90:
        raise click.BadParameter(f"the latitude {value[1]:g} is not from -90 to 90 deg", context, parameter)
    return value


#: Tasks that can be trained: folders with recipes, known without an import of what they need.
TASK_NAMES = sorted(
    [path.parent.name for path in (Path(__file__).parents[1] / "tasks").glob("*/recipes")]
    + ["optical", "optical-classification", "optical-flux"]
)


@command(
    examples="""
    gammapy-asid simulate -o simulation --seed 5
    gammapy-asid simulate -o simulation --center 0 0 --width 10 10 --livetime 12
    gammapy-asid simulate -o years --time-bins 10
    """
)
@click.option("--output", "-o", default="asid-simulation", show_default=True, help="Folder of the results.")
@click.option(
    "--center",
    nargs=2,
    type=Number(-360, 360),
    callback=_position,
    default=(75, 20),
    show_default=True,
    help="Galactic, deg.",
)
@click.option(
    "--width",
    nargs=2,
    type=Number(above=0, high=180),
    default=(20, 15),
    show_default=True,
    help="Width, deg.",
)
@click.option(
    "--livetime", type=Number(above=0), default=10, show_default=True, help="Length of the survey, years."
)
@click.option("--pixel-size", type=Number(above=0), default=0.1, show_default=True, help="Pixel size, deg.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Seed of sky and counts."
)
@click.option(
    "--time-bins",
    type=click.IntRange(2, 20),
    help="Bins of time; sources vary after their class. datasets.yaml and light_curves.fits then replace "
    "dataset.fits.gz.",
)
@overwrite_option
def simulate(output, center, width, livetime, pixel_size, seed, time_bins, overwrite):
    """Simulate a Fermi-LAT field: dataset.fits.gz (MapDataset) and catalog.fits (its sources)."""
    from ..inputs.dataset_files import write_dataset
    from ..simulation.demo import simulated_field
    from ..utils.files import new_file

    folder = expanded(output)
    if time_bins is not None:
        _simulate_time_bins(folder, overwrite, center, width, livetime, pixel_size, seed, time_bins)
        return
    paths = prepare({"catalog": folder / "catalog.fits", "dataset": folder / "dataset.fits.gz"}, overwrite)
    with doing("Simulating"):
        field, catalog = simulated_field(center, width, livetime, pixel_size, seed)
    catalog.write(paths["catalog"], overwrite=overwrite)
    with new_file(paths["dataset"], overwrite) as temporary:
        write_dataset(field.dataset, temporary)
    console.print(f"{field.dataset.counts.data.sum():.0f} photons, {counted(len(catalog), 'source')}")
    print_paths(paths)


def _simulate_time_bins(folder, overwrite, *settings):
    """Write a simulated field in bins of time."""
    from ..inputs.dataset_files import dataset_paths, write_datasets
    from ..simulation.demo import simulated_time_bins
    from ..simulation.lat_time_bins import bin_names
    from ..utils.files import new_file

    files = dataset_paths(bin_names("simulated", settings[-1]), folder / "datasets.yaml")
    files += [folder / "catalog.fits", folder / "light_curves.fits"]
    *_, catalog_file, curves_file = prepare({path.name: path for path in files}, overwrite).values()
    with doing("Simulating"):
        simulated = simulated_time_bins(*settings)
    write_datasets(simulated.datasets, folder / "datasets.yaml", overwrite)
    simulated.catalog.write(catalog_file, overwrite=overwrite)
    with new_file(curves_file, overwrite) as temporary:
        simulated.light_curves.write(temporary, format="fits")
    photons = sum(dataset.counts.data.sum() for dataset in simulated.datasets)
    console.print(f"{photons:.0f} photons, {counted(len(simulated.catalog), 'source')}")
    print_paths({path.name: path for path in files})


def _minutes(context, parameter, value):
    from ..learning.recipe import LONGEST_TIME

    # Not a range of click's: that lets pass what is no number
    if value is not None and not 0 < value <= LONGEST_TIME:
        raise click.BadParameter(f"{value:g} is no such time: give from above 0 to {LONGEST_TIME:g} minutes")
    return value


@command(
    examples="""
    gammapy-asid train lat -o runs                   # goes on if interrupted
    gammapy-asid train --dataset field.fits.gz --minutes 60 -o runs
    gammapy-asid train --task extension --dataset field.fits.gz -o runs
    gammapy-asid train --image image.fits --sources list.fits -o runs
    """
)
@click.argument("recipe", required=False)
@click.option(
    "--dataset",
    type=input_file,
    help="Train for the instrument of this dataset.",
)
@click.option(
    "--image",
    "images",
    type=fits_file,
    multiple=True,
    help="Go on from the model 'optical' with this image and its list of --sources; can be repeated.",
)
@click.option(
    "--sources",
    type=input_file,
    multiple=True,
    help="All sources of an --image: table with xcentroid and ycentroid, or ra and dec.",
)
@click.option(
    "--psf",
    type=fits_file,
    help="Point spread function of the images: FITS image or file of PSFEx; by default it is measured.",
)
@click.option(
    "--task",
    type=click.Choice(TASK_NAMES),
    metavar="TASK",
    help=f"What the model is for: {', '.join(TASK_NAMES)}; by default what the recipe says, or detection.",
)
@click.option("--output", "-o", default="runs", show_default=True, help="Folder of checkpoints and model.")
@click.option("--epochs", type=click.IntRange(1, 10**5), help="Epochs, in place of those of the recipe.")
@click.option(
    "--minutes",
    type=float,
    callback=_minutes,
    help="Wall time of the training of the network, if its epochs do not end before; calibration follows.",
)
@click.option(
    "--workers", type=click.IntRange(min=0), default=1, show_default=True, help="Processes that simulate."
)
@device_option
@overwrite_option
def train(recipe, dataset, images, sources, psf, task, output, epochs, minutes, workers, device, overwrite):
    """Train a model from RECIPE, a YAML file or the name of one that ships; goes on if interrupted.

    For detection the detector first, then the ensembles for position and flux.

    For a dataset the default recipe is the one that the task has for that, for own images it is optical-own.
    """
    from ..learning.recipe import model_name, read_recipe
    from ..learning.run import output_files, prepare_simulator, train_model
    from ..tasks import get_task

    if recipe is None and dataset is None and not images:
        raise ValueError(
            "Nothing to train: give a recipe or --dataset FILE, or --image FILE with --sources FILE"
        )
    if psf and not images:
        raise ValueError("The point spread function is that of own images: give them with --image")
    if images or sources:
        settings = _own_images(recipe, dataset, images, sources)
    elif recipe is None:
        wanted = get_task(task or "detection")
        if not wanted.dataset_recipe:
            raise ValueError(
                f"A model for {task} is not trained for a dataset: name a recipe, leave out --dataset"
            )
        settings = read_recipe(wanted.dataset_recipe, wanted.Recipe)
        settings = settings.model_copy(update={"name": model_name(dataset) + wanted.suffix})
    else:
        settings = read_recipe(recipe, get_task(task).Recipe if task else None)
    length = {name: v for name, v in {"epochs": epochs, "minutes": minutes}.items() if v is not None}
    if length:
        optimiser = settings.optimiser.model_copy(update=length)
        settings = settings.model_copy(update={"optimiser": optimiser})
    files = [path for own in output_files(settings, output).values() for path in own]
    prepare_training(files, get_task(settings.task).folder(settings, output), overwrite)
    datasets = None if dataset is None else read_datasets([dataset])
    with doing("Preparing the simulation"):
        if images:
            simulator = _image_simulator(settings, images, sources, psf, device)
        else:
            simulator, settings = prepare_simulator(settings, datasets)
    train_model(settings, output, simulator, workers, overwrite=overwrite, device=device, status=doing)
    print_paths({path.name: path for path in files})


def _own_images(recipe, dataset, images, sources):
    """Recipe of a training that goes on with own images."""
    from ..learning.recipe import model_name, read_recipe
    from ..tasks import get_task

    if len(images) != len(sources):
        raise ValueError(
            f"There are {len(images)} images and {len(sources)} lists: give --sources once for each --image"
        )
    if dataset is not None:
        raise ValueError("A model is trained for a dataset or for images: leave out one")
    wanted = get_task("optical").Recipe
    settings = read_recipe("optical-own" if recipe is None else recipe)
    if not isinstance(settings, wanted):
        raise ValueError(f"Own images train detection in images, but {recipe} is for {settings.task}")
    if recipe is None:
        settings = settings.model_copy(update={"name": model_name(images[0]) + "-optical"})
    return settings if settings.start else settings.model_copy(update={"start": "optical"})


def _image_simulator(settings, images, sources, psf, device):
    """Simulator of own images with their lists."""
    from ..optical.detection.model import OpticalDetectionModel
    from ..optical.images import prepare_image, read_image
    from ..optical.own_images import ImageSimulator, ListedImage
    from ..utils.table_files import read_any_table

    model = OpticalDetectionModel.load(settings.start, device)
    tables = [read_any_table(table) for table in sources]
    listed = [
        ListedImage.make(prepare_image(read_image(image, psf=psf)), table, model)
        for image, table in zip(images, tables, strict=True)
    ]
    return ImageSimulator(listed, settings.patch_size, seed=settings.seed)
