# Licensed under a 3-clause BSD style license - see LICENSE
"""What the commands share: options, files and tables."""

from pathlib import Path

import click
from rich.console import Console
from rich.table import Column, Table

__all__ = [
    "PRODUCTS",
    "console",
    "find_sources",
    "model_option",
    "overwrite_option",
    "prepare",
    "prepare_training",
    "print_candidates",
    "print_fits",
    "print_paths",
    "read_datasets",
    "read_sources",
    "threshold_option",
    "write_products",
]

console = Console()

#: Files that a folder of results holds.
PRODUCTS = {
    "output": "candidates.fits",
    "regions": "candidates.reg",
    "models": "candidates.yaml",
    "plot": "candidates.png",
}


overwrite_option = click.option("--overwrite", is_flag=True, help="Replace existing files.")
model_option = click.option("--model", default="lat", show_default=True, help="Model name or weight file.")
threshold_option = click.option(
    "--threshold", default=0.5, show_default=True, type=float, help="Smallest probability to be real."
)


def prepare(paths, overwrite):
    """Paths that are wanted, in folders that exist; refused before any work is done."""
    paths = {key: Path(path) for key, path in paths.items() if path is not None}
    for path in paths.values():
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists: choose another name or add --overwrite")
        path.parent.mkdir(parents=True, exist_ok=True)
    return paths


def prepare_training(paths, folder, overwrite):
    """As `prepare`, for files of which a training that was interrupted may have left some."""
    interrupted = (Path(folder) / "training.jsonl").exists() and not all(path.exists() for path in paths)
    prepare({path.name: path for path in paths}, overwrite or interrupted)


def find_sources(detector, datasets):
    """Candidates with their fluxes."""
    from ..estimators.flux import DLFluxEstimator
    from ..inputs.convert import to_band_cube

    cube = to_band_cube(datasets, detector.bands)
    candidates = detector.run(cube)
    return candidates.with_fluxes(DLFluxEstimator(model=detector.model).run(cube, candidates))


def read_datasets(files):
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


def read_sources(file):
    from astropy.table import Table as AstropyTable
    from gammapy.modeling.models import Models

    from ..candidates import Candidates
    from ..columns import table_positions

    if file.suffix in (".yaml", ".yml"):
        return Models.read(file)
    try:
        return Candidates.read(file)
    except ValueError:
        table = AstropyTable.read(file)
    return table_positions(table, str(file))


def print_candidates(candidates, limit=20):
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


def print_fits(candidates, ts=25.0, limit=20):
    import numpy as np

    table = candidates.table
    if len(table) == 0:
        return
    fitted = np.isfinite(table["fit_flux"])
    console.print(
        f"{(table['ts'] >= ts).sum()} of {fitted.sum()} fitted candidates have a TS of {ts:g} and more"
    )
    names = ("Name", "l (deg)", "b (deg)", "Score", "TS", "Flux", "Index", "Flags")
    shown = Table(*(Column(name, no_wrap=True) for name in names), padding=(0, 0))
    for row in table[fitted][:limit]:
        shown.add_row(
            row["name"],
            *(f"{row[name].value:.3f}" for name in ("glon", "glat")),
            f"{row['score']:.3f}",
            f"{row['ts']:.1f}",
            f"{row['fit_flux'].value:.2e}",
            f"{row['fit_index']:.2f}",
            str(row["flags"]),
        )
    console.print(shown)
    if fitted.sum() > limit:
        console.print(f"... and {fitted.sum() - limit} more in the table")


def write_products(candidates, paths, overwrite, dataset, known=None):
    from ..files import new_file

    candidates.write(paths["output"], overwrite=overwrite)
    if "regions" in paths:
        with new_file(paths["regions"], overwrite) as temporary:
            candidates.to_regions().write(temporary, format="ds9")
    if "models" in paths:
        with new_file(paths["models"], overwrite) as temporary:
            candidates.to_models().write(temporary)
    if "plot" in paths:
        _plot(candidates, paths["plot"], overwrite, dataset, known)
    print_paths(paths)


def _plot(candidates, path, overwrite, dataset, known):
    import matplotlib

    matplotlib.use("agg")
    from ..files import new_file
    from ..plots import plot_field

    ax = plot_field(candidates, dataset, catalog=known)
    with new_file(path, overwrite) as temporary:
        ax.figure.savefig(temporary, dpi=150)
    matplotlib.pyplot.close(ax.figure)


def print_paths(paths):
    for path in paths.values():
        console.print(f"[green]wrote[/] {path}", soft_wrap=True)
