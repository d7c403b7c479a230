# Licensed under a 3-clause BSD style license - see LICENSE
"""What the commands share: options, files and tables."""

import os
import re
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

__all__ = [
    "PRODUCTS",
    "MODELS",
    "PICTURES",
    "console",
    "expanded",
    "find_sources",
    "model_option",
    "overwrite_option",
    "prepare",
    "prepare_training",
    "print_candidates",
    "print_fits",
    "print_paths",
    "save_plot",
    "threshold_option",
    "write_models",
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


#: Ends of the names of files of models, and of datasets that are not FITS, and of pictures.
MODELS = (".yaml", ".yml")
PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg")

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace existing files.")
model_option = click.option("--model", default="lat", show_default=True, help="Model name or weight file.")
threshold_option = click.option(
    "--threshold", default=0.5, show_default=True, type=float, help="Smallest probability to be real."
)


def expanded(path):
    """Path with ``~`` and the variables of the environment.

    Parameters
    ----------
    path : str or path
        Path as it was given.

    Returns
    -------
    path : `~pathlib.Path`
        Path.

    Raises
    ------
    ValueError
        If a variable is not set.
    """
    text = os.path.expandvars(os.path.expanduser(str(path)))
    unset = re.search(r"\$\w+|\$\{[^}]*\}", text)
    if unset:
        raise ValueError(f"{path}: the variable {unset[0]} is not set")
    return Path(text)


def prepare(paths, overwrite, inputs=(), suffixes=None):
    """Paths that are wanted, in folders that exist; refused before any work is done.

    Parameters
    ----------
    paths : dict of str
        Paths by what they are, None for what is not wanted.
    overwrite : bool
        Whether existing files may be replaced.
    inputs : sequence of str
        Files that are read, which are never replaced.
    suffixes : dict of tuple of str, optional
        Ends that the names may have.

    Returns
    -------
    paths : dict of `~pathlib.Path`
        Those that are wanted.

    Raises
    ------
    ValueError
        If a path can't be written or would replace what is read.
    FileExistsError
        If a file exists and may not be replaced.
    """
    paths = {key: expanded(path) for key, path in paths.items() if path is not None}
    inputs = {Path(file).resolve() for file in inputs if file is not None}
    if len(set(paths.values())) < len(paths):
        raise ValueError("Two outputs have the same name: give each its own")
    for key, path in paths.items():
        if path.resolve() in inputs:
            raise ValueError(f"{path} is read: choose another name for the output")
        _check_new(path, overwrite, (suffixes or {}).get(key))
    for folder in {path.parent for path in paths.values()}:
        _check_folder(folder)
    return paths


def _check_new(path, overwrite, ends):
    """Refuse a path that is a folder, has another end than one of `ends`, or exists."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder: name a file in it")
    if ends and not path.name.lower().endswith(ends):
        raise ValueError(f"{path}: the name must end in {', '.join(ends)}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists: choose another name or add --overwrite")


def _check_folder(folder):
    """Make a folder, and refuse one that can't be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ValueError(f"Nothing can be written to {folder}: {error.strerror}") from None


def prepare_training(paths, folder, overwrite):
    """As `prepare`, for files of which a training that was interrupted may have left some.

    Parameters
    ----------
    paths : sequence of `~pathlib.Path`
        Files that the training makes.
    folder : str or path
        Folder of the training.
    overwrite : bool
        Whether existing files may be replaced.
    """
    interrupted = (Path(folder) / "training.jsonl").exists() and not all(path.exists() for path in paths)
    prepare({path.name: path for path in paths}, overwrite or interrupted)


def find_sources(detector, datasets):
    """Candidates with their fluxes.

    Parameters
    ----------
    detector : `~gammapy_asid.DLSourceDetector`
        Detector.
    datasets : `~gammapy.datasets.Datasets`
        Data of one field.

    Returns
    -------
    candidates : `~gammapy_asid.Candidates`
        Candidates.
    """
    from ..estimators.find import find_with_fluxes
    from ..estimators.flux import DLFluxEstimator

    return find_with_fluxes(detector, DLFluxEstimator(model=detector.model, device=detector.device), datasets)


def print_candidates(candidates, limit=20):
    """Print the first candidates, and what may be expected of all.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates with fluxes.
    limit : int
        Rows that are printed.
    """
    meta = candidates.meta
    expected = (
        "no purity is stated outside the training of the model"
        if meta.get("outside_training")
        else f"expected purity {meta['expected_purity']:.2f}, "
        f"completeness {meta['expected_completeness']:.2f}"
    )
    console.print(f"{len(candidates)} candidates with a score of {meta['threshold']:g} and more; {expected}")
    table = Table(
        Column("Name", no_wrap=True), "l (deg)", "b (deg)", "r68", "Score", "Flux", "Error", "Flags"
    )
    for row in candidates.table[:limit]:
        numbers = [f"{row[name].value:.3f}" for name in ("glon", "glat", "pos_err_68")]
        flux = [f"{row[name].value:.2e}" for name in ("flux", "flux_err")]
        table.add_row(escape(row["name"]), *numbers, f"{row['score']:.3f}", *flux, str(row["flags"]))
    console.print(table)
    if len(candidates) > limit:
        console.print(f"... and {len(candidates) - limit} more in the table")


def print_fits(candidates, ts=25.0, limit=20):
    """Print the first fits, and how many are significant.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates with fits.
    ts : float
        Test statistic from which a source is significant.
    limit : int
        Rows that are printed.
    """
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
            escape(row["name"]),
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
    """Write candidates as those of the `PRODUCTS` that are wanted.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.
    paths : dict of `~pathlib.Path`
        Paths by what they are, as `prepare` returns them.
    overwrite : bool
        Whether existing files may be replaced.
    dataset : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data that the plot shows.
    known : `~astropy.coordinates.SkyCoord`, optional
        Known sources that the plot shows.
    """
    from ..utils.files import new_file

    candidates.write(paths["output"], overwrite=overwrite)
    if "regions" in paths:
        with new_file(paths["regions"], overwrite) as temporary:
            candidates.to_regions().write(temporary, format="ds9")
    if "models" in paths:
        with new_file(paths["models"], overwrite) as temporary:
            write_models(candidates.to_models(), temporary)
    if "plot" in paths:
        save_plot("plot_field", paths["plot"], overwrite, candidates, dataset, catalog=known)
    print_paths(paths)


def write_models(models, path):
    """Write models to a file that can be read alone: it holds the errors of the parameters itself.

    Parameters
    ----------
    models : `~gammapy.modeling.models.Models`
        Models.
    path : `~pathlib.Path`
        YAML file.
    """
    models.write(path, write_covariance=False)


def save_plot(name, path, overwrite, *args, **kwargs):
    """Save a plot as a picture.

    Parameters
    ----------
    name : str
        Function of `gammapy_asid.plots`.
    path : `~pathlib.Path`
        Picture.
    overwrite : bool
        Whether an existing file may be replaced.
    *args, **kwargs
        Arguments of the function.
    """
    import matplotlib

    matplotlib.use("agg")
    from .. import plots
    from ..utils.files import new_file

    ax = getattr(plots, name)(*args, **kwargs)
    with new_file(path, overwrite) as temporary:
        ax.figure.savefig(temporary, dpi=150)
    matplotlib.pyplot.close(ax.figure)


def print_paths(paths):
    """Print which files were written.

    Parameters
    ----------
    paths : dict of `~pathlib.Path`
        Files by what they are.
    """
    for path in paths.values():
        console.print(f"[green]wrote[/] {escape(str(path))}", soft_wrap=True)
