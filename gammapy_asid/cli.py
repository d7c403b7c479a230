# Licensed under a 3-clause BSD style license - see LICENSE
"""Command line of gammapy_asid.

Modules that need seconds to import are imported by the command that uses them.
"""

import logging
from pathlib import Path

import click
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Column, Table

__all__ = ["main"]

console = Console()

#: Files that a folder of results holds.
PRODUCTS = {
    "output": "candidates.fits",
    "regions": "candidates.reg",
    "models": "candidates.yaml",
    "plot": "candidates.png",
}


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
        except (ValueError, TypeError, OSError) as error:
            raise InputError(error) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gammapy-asid")
def main():
    """Gamma-ray source detection with deep learning."""
    handler = RichHandler(console=Console(stderr=True), show_time=False, show_path=False)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])


overwrite_option = click.option("--overwrite", is_flag=True, help="Replace existing files.")
model_option = click.option("--model", default="lat", show_default=True, help="Model name or weight file.")
threshold_option = click.option(
    "--threshold", default=0.5, show_default=True, type=float, help="Smallest probability to be real."
)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@model_option
@threshold_option
@click.option(
    "--output",
    "-o",
    default="candidates.fits",
    show_default=True,
    help="FITS table, or a folder for table, regions, models and plot together.",
)
@click.option("--regions", type=click.Path(dir_okay=False), help="DS9 region file of the error ellipses.")
@click.option("--models", type=click.Path(dir_okay=False), help="Gammapy models (YAML) to start a fit from.")
@click.option("--plot", type=click.Path(dir_okay=False), help="Picture of the field.")
@overwrite_option
def detect(files, model, threshold, output, regions, models, plot, overwrite):
    """Find the sources in FILES: datasets of one field, FITS or the YAML of several."""
    from .estimators.detector import DLSourceDetector

    paths = {"output": output, "regions": regions, "models": models, "plot": plot}
    if Path(output).is_dir() or not Path(output).suffix:
        paths = {key: paths[key] or Path(output) / name for key, name in PRODUCTS.items()} | {
            "output": Path(output) / PRODUCTS["output"]
        }
    paths = _prepare(paths, overwrite)
    datasets = _read_datasets(files)
    with console.status("Looking for sources"):
        candidates = _find_sources(DLSourceDetector(model=model, threshold=threshold), datasets)
    _print_candidates(candidates)
    _write(candidates, paths, overwrite, datasets)


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--sources",
    required=True,
    type=click.Path(exists=True, dir_okay=False),
    help="Candidates (FITS), Gammapy models (YAML), or a table with columns ra and dec or glon and glat.",
)
@model_option
@click.option("--e-min", type=float, help="Lower end of the energy range, GeV; by default of the data.")
@click.option("--e-max", type=float, help="Upper end of the energy range, GeV; by default of the data.")
@click.option(
    "--output", "-o", default="fluxes.fits", show_default=True, help="Table of fluxes (FITS or ECSV)."
)
@overwrite_option
def flux(files, sources, model, e_min, e_max, output, overwrite):
    """Fluxes of known sources in FILES: datasets of one field, FITS or the YAML of several."""
    import astropy.units as u

    from .estimators.flux import DLFluxEstimator
    from .files import new_file

    paths = _prepare({"output": output}, overwrite)
    listed, datasets = _read_sources(Path(sources)), _read_datasets(files)
    e_min, e_max = (None if e is None else e * u.GeV for e in (e_min, e_max))
    with console.status("Estimating fluxes"):
        result = DLFluxEstimator(model=model, e_min=e_min, e_max=e_max).run(datasets, listed)
    low, high = result.meta["energy_range"]
    table = Table(Column("Name", no_wrap=True), "Flux", "-", "+", "Upper limit", "Flags")
    for row in result.table[:20]:
        numbers = [f"{row[name].value:.3g}" for name in ("flux", "flux_errn", "flux_errp", "flux_ul")]
        table.add_row(row["name"], *numbers, str(row["flags"]))
    console.print(f"Photon fluxes {low:g}-{high:g} GeV in cm-2 s-1")
    console.print(table)
    if len(result) > 20:
        console.print(f"... and {len(result) - 20} more in the table")
    with new_file(paths["output"], overwrite) as temporary:
        result.table.write(temporary)
    _print_paths(paths)


@main.command()
@click.option("--output", "-o", default="asid-demo", show_default=True, help="Folder of the results.")
@model_option
@threshold_option
@overwrite_option
def demo(output, model, threshold, overwrite):
    """Find sources in the Galactic centre ($GAMMAPY_DATA) or, without data, in a simulated field."""
    from .demo import demo_field
    from .estimators.detector import DLSourceDetector

    paths = _prepare({key: Path(output) / name for key, name in PRODUCTS.items()}, overwrite)
    detector = DLSourceDetector(model=model, threshold=threshold)
    with console.status("Preparing the field"):
        field = demo_field()
    console.print(f"[bold]{field.title}[/]")
    with console.status("Looking for sources"):
        candidates = _find_sources(detector, field.dataset)
    _print_candidates(candidates)
    found = 0
    if len(candidates) and len(field.known):
        found = int((field.known.match_to_catalog_sky(candidates.positions)[1].deg < 0.3).sum())
    console.print(f"{found} of {len(field.known)} {field.known_as} have a candidate within 0.3 deg.")
    _write(candidates, paths, overwrite, field.dataset, field.known)


@main.command()
@click.option("--output", "-o", default="asid-simulation", show_default=True, help="Folder of the results.")
@click.option("--center", nargs=2, type=float, default=(75, 20), show_default=True, help="Galactic, deg.")
@click.option("--width", nargs=2, type=float, default=(20, 15), show_default=True, help="Width, deg.")
@click.option("--livetime", type=float, default=10, show_default=True, help="Length of the survey, years.")
@click.option("--pixel-size", type=float, default=0.1, show_default=True, help="Pixel size, deg.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of sky and counts.")
@overwrite_option
def simulate(output, center, width, livetime, pixel_size, seed, overwrite):
    """Simulate a Fermi-LAT field: dataset.fits.gz (MapDataset) and catalog.fits (its sources)."""
    from .demo import simulated_field
    from .files import new_file

    paths = _prepare(
        {"catalog": Path(output) / "catalog.fits", "dataset": Path(output) / "dataset.fits.gz"}, overwrite
    )
    with console.status("Simulating"):
        field, catalog = simulated_field(center, width, livetime, pixel_size, seed)
    catalog.write(paths["catalog"], overwrite=overwrite)
    with new_file(paths["dataset"], overwrite) as temporary:
        field.dataset.write(temporary)
    console.print(f"{field.dataset.counts.data.sum():.0f} photons, {len(catalog)} sources")
    _print_paths(paths)


@main.command()
@click.argument("recipe", required=False)
@click.option(
    "--dataset",
    type=click.Path(exists=True, dir_okay=False),
    help="Train for the instrument of this dataset.",
)
@click.option("--output", "-o", default="runs", show_default=True, help="Folder of checkpoints and model.")
@click.option("--epochs", type=click.IntRange(min=1), help="Epochs, in place of those of the recipe.")
@click.option("--workers", type=int, default=1, show_default=True, help="Processes that simulate.")
@overwrite_option
def train(recipe, dataset, output, epochs, workers, overwrite):
    """Train a model from RECIPE, a YAML file or the name of one that ships; goes on if interrupted.

    Detection first, then the ensembles for position and flux.

    For a dataset the default recipe is 'dataset'.
    """
    from .networks.model import DetectionModel
    from .training.dataset import dataset_simulator
    from .training.recipe import read_recipe
    from .training.release import release
    from .training.release_sources import release_sources
    from .training.train import build_simulator
    from .training.train import train as run_training
    from .weights.registry import ENSEMBLES

    if recipe is None and dataset is None:
        raise ValueError("Nothing to train: give a recipe or --dataset FILE")
    settings = read_recipe(recipe or "dataset")
    if recipe is None:
        settings = settings.model_copy(update={"name": Path(dataset).name.split(".")[0]})
    if epochs is not None:
        optimiser = settings.optimiser.model_copy(update={"epochs": epochs})
        settings = settings.model_copy(update={"optimiser": optimiser})
    paths = {"weights": Path(output) / f"{settings.name}.safetensors"}
    paths["card"] = paths["weights"].with_suffix(".json")
    for kind in ENSEMBLES:
        weights = Path(output) / f"{settings.name}-{kind}.safetensors"
        paths |= {f"{kind} weights": weights, f"{kind} card": weights.with_suffix(".json")}
    paths = _prepare(paths, overwrite)
    with console.status("Preparing the simulation"):
        if dataset is None:
            simulator = build_simulator(settings)
        else:
            simulator = dataset_simulator(_read_datasets([dataset]), settings)
    network = run_training(settings, output, simulator, num_workers=workers)
    with console.status("Calibrating"):
        release(
            network,
            settings,
            simulator,
            simulator.bank.responses,
            paths["weights"],
            n_patches=settings.calibration_patches,
            overwrite=overwrite,
        )
    model = DetectionModel.load(paths["weights"])
    release_sources(model, paths["weights"], settings, simulator, output, overwrite=overwrite)
    _print_paths(paths)


@main.command()
def models():
    """List the models that ship with the package."""
    from .weights import list_models, load_card

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


def _prepare(paths, overwrite):
    """Paths that are wanted, in folders that exist; refused before any work is done."""
    paths = {key: Path(path) for key, path in paths.items() if path is not None}
    for path in paths.values():
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists: choose another name or add --overwrite")
        path.parent.mkdir(parents=True, exist_ok=True)
    return paths


def _find_sources(detector, datasets):
    """Candidates with their fluxes."""
    from .estimators.flux import DLFluxEstimator

    candidates = detector.run(datasets)
    return candidates.with_fluxes(DLFluxEstimator(model=detector.model).run(datasets, candidates))


def _read_datasets(files):
    from gammapy.datasets import Datasets, MapDataset

    datasets = []
    for file in map(Path, files):
        try:
            if file.suffix in (".yaml", ".yml"):
                datasets.extend(Datasets.read(file))
            else:
                datasets.append(MapDataset.read(file, name=file.name.split(".")[0]))
        except KeyError as error:
            raise ValueError(f"{file} holds no Gammapy dataset ({error})") from error
    return Datasets(datasets)


def _read_sources(file):
    from astropy.coordinates import SkyCoord
    from astropy.table import Table as AstropyTable
    from gammapy.modeling.models import Models

    from .candidates import Candidates

    if file.suffix in (".yaml", ".yml"):
        return Models.read(file)
    try:
        return Candidates.read(file)
    except ValueError:
        table = AstropyTable.read(file)
    columns = {name.lower(): name for name in table.colnames}
    for frame, pairs in FRAMES.items():
        for pair in pairs:
            if set(pair) <= set(columns):
                lon, lat = (table[columns[name]] for name in pair)
                return SkyCoord(lon, lat, unit="deg", frame=frame)
    raise ValueError(f"{file} has no columns ra and dec, or glon and glat: name the positions so")


#: Names of the columns of positions in tables of others.
FRAMES = {"icrs": (("ra", "dec"), ("raj2000", "dej2000")), "galactic": (("glon", "glat"),)}


def _print_candidates(candidates, limit=20):
    meta = candidates.meta
    console.print(
        f"{len(candidates)} candidates with a score of {meta['threshold']:g} and more; "
        f"expected purity {meta['expected_purity']:.2f}, completeness {meta['expected_completeness']:.2f}"
    )
    table = Table(
        Column("Name", no_wrap=True), "l (deg)", "b (deg)", "r68", "Score", "Flux", "Error", "Flags"
    )
    for row in candidates.table[:limit]:
        numbers = [f"{row[name].value:.3f}" for name in ("glon", "glat", "pos_err_68")]
        flux = [f"{row[name].value:.2e}" for name in ("flux", "flux_err")]
        table.add_row(row["name"], *numbers, f"{row['score']:.3f}", *flux, str(row["flags"]))
    console.print(table)
    if len(candidates) > limit:
        console.print(f"... and {len(candidates) - limit} more in the table")


def _write(candidates, paths, overwrite, dataset, known=None):
    from .files import new_file

    candidates.write(paths["output"], overwrite=overwrite)
    if "regions" in paths:
        with new_file(paths["regions"], overwrite) as temporary:
            candidates.to_regions().write(temporary, format="ds9")
    if "models" in paths:
        with new_file(paths["models"], overwrite) as temporary:
            candidates.to_models().write(temporary)
    if "plot" in paths:
        _plot(candidates, paths["plot"], overwrite, dataset, known)
    _print_paths(paths)


def _plot(candidates, path, overwrite, dataset, known):
    import matplotlib

    matplotlib.use("agg")
    from .files import new_file
    from .plots import plot_field

    ax = plot_field(candidates, dataset, catalog=known)
    with new_file(path, overwrite) as temporary:
        ax.figure.savefig(temporary, dpi=150)
    matplotlib.pyplot.close(ax.figure)


def _print_paths(paths):
    for path in paths.values():
        console.print(f"[green]wrote[/] {path}", soft_wrap=True)
