# Licensed under a 3-clause BSD style license - see LICENSE
"""What the commands share: where they print, and the files that they write."""

import os
import re
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

__all__ = [
    "MODELS",
    "PICTURES",
    "REGIONS",
    "console",
    "expanded",
    "prepare",
    "prepare_training",
    "print_paths",
    "save_plot",
    "write_models",
]

console = Console()

#: Ends of the names of files of models, and of datasets that are not FITS, of regions, and of pictures.
MODELS = (".yaml", ".yml")
REGIONS = (".reg",)
PICTURES = (".png", ".pdf", ".svg", ".jpg", ".jpeg")


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
        If it is empty, or a variable is not set.
    """
    if not str(path).strip():
        raise ValueError("The name of a file is empty: give one")
    text = os.path.expandvars(os.path.expanduser(str(path)))
    unset = re.search(r"\$\w+|\$\{[^}]*\}", text)
    if unset:
        raise ValueError(f"{path}: the variable {unset[0]} is not set")
    return Path(text)


def prepare(paths, overwrite, inputs=(), suffixes=None):
    """Paths that are wanted, in folders that exist; refused before any work is done.

    Folders that are made for them and are still empty when the command ends, are removed again.

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
    new = [own for own in (folder, *folder.parents) if not own.exists()]
    context = click.get_current_context(silent=True)
    if new and context is not None:
        context.call_on_close(lambda: _remove_empty(new))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ValueError(f"Nothing can be written to {folder}: {error.strerror}") from None


def _remove_empty(folders):
    """Remove folders that are empty, the innermost first."""
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


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
