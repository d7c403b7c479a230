# Licensed under a 3-clause BSD style license - see LICENSE
"""What the commands read: datasets with their known sky, lists of sources."""

from collections import Counter
from pathlib import Path

import click
from rich.markup import escape

from ..utils.files import is_fits, no_fits, regular_file
from ..utils.words import counted
from .common import MODELS, console, expanded

__all__ = [
    "files_argument",
    "fits_file",
    "input_file",
    "models_option",
    "read_datasets",
    "read_sources",
    "say_known_sky",
    "set_models",
    "sources_option",
]


class InputFile(click.Path):
    """File that exists, no device or pipe; ``~`` and variables of the environment are known.

    Parameters
    ----------
    fits : bool
        Whether it must be a FITS file.
    """

    def __init__(self, fits=False):
        super().__init__(exists=True, dir_okay=False)
        self.fits = fits

    def convert(self, value, param, ctx):
        path = super().convert(str(expanded(value)), param, ctx)
        try:
            regular_file(path)
            if self.fits and not is_fits(path):
                raise no_fits(path)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return path


input_file, fits_file = InputFile(), InputFile(fits=True)
files_argument = click.argument("files", nargs=-1, required=True, type=input_file)
sources_option = click.option(
    "--sources",
    required=True,
    type=input_file,
    help="Candidates or any table with columns ra and dec or glon and glat, or Gammapy models (YAML).",
)
models_option = click.option(
    "--models", type=input_file, help="Known sky: Gammapy models (YAML) of the datasets."
)


def read_datasets(files, models=None):
    """Datasets of files, FITS or the YAML of several, with their models.

    Models are those of the file `models`; without it those that a YAML of datasets has in it, or that lie
    beside it under its name (``models.yaml`` for ``datasets.yaml``).

    Parameters
    ----------
    files : sequence of str or path
        Files.
    models : str or path, optional
        File of Gammapy models.

    Returns
    -------
    datasets : `~gammapy.datasets.Datasets`
        Datasets.

    Raises
    ------
    ValueError
        If a file is given twice, holds something else, or a model is of a dataset that is not there.
    """
    from gammapy.datasets import Datasets

    from ..inputs.dataset_files import read_dataset, read_datasets_yaml

    files = [Path(file) for file in files]
    twice = [str(file) for file, n in Counter(file.resolve() for file in files).items() if n > 1]
    if twice:
        raise ValueError(f"{twice[0]} is given twice: its photons would count twice")
    read = []
    for file, name in zip(files, _names(files), strict=True):
        if file.suffix not in MODELS:
            read.append(read_dataset(file, name))
            continue
        own = read_datasets_yaml(file)
        beside = next((f for f in _models_beside(file) if f.is_file()), None)
        if models is None and beside is not None:
            set_models(own, beside)
        read.extend(own)
    datasets = Datasets(read)
    if models is not None:
        set_models(datasets, models)
    return datasets


def _names(files):
    """Names of files; where they are the same the folders tell them apart, at last the suffixes."""
    for last in (lambda file: file.name.split(".")[0], lambda file: file.name):
        parts = [(*file.resolve().parent.parts, last(file)) for file in files]
        if len(set(parts)) == len(parts):
            break
    return ["-".join(own[-_depth(own, parts) :]) for own in parts]


def _depth(own, parts):
    """Number of last parts of a path that no other path shares."""
    depths = range(1, len(own) + 1)
    return next(n for n in depths if sum(other[-n:] == own[-n:] for other in parts) == 1)


def _models_beside(file):
    from ..utils.plain_yaml import read_yaml

    if "components" in (read_yaml(file) or {}):
        yield file
    stem = file.stem.replace("datasets", "models")
    for name in dict.fromkeys((stem, f"{file.stem}_models", f"{file.stem}-models")):
        if name != file.stem:
            yield file.with_name(f"{name}{file.suffix}")


def set_models(datasets, file):
    """Give datasets the models of a file.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Datasets, changed in place.
    file : str or path
        Gammapy models (YAML).

    Raises
    ------
    ValueError
        If it holds something else, or a model is of a dataset that is not there.
    """
    from gammapy.modeling.models import Models

    models = _from_yaml(file, Models.read, "models")
    names = set(datasets.names)
    for model in models:
        wanted = model.datasets_names
        wanted = [wanted] if isinstance(wanted, str) else wanted
        if wanted is not None and not names & set(wanted):
            raise ValueError(
                f"The model {model.name} of {file} is for the dataset {', '.join(wanted)}, and the data are "
                f"{', '.join(datasets.names)}: name the file of the dataset so"
            )
    datasets.models = models
    console.print(f"Known sky: {counted(len(models), 'model')} of {escape(str(file))}", soft_wrap=True)


def _from_yaml(file, read, what):
    import yaml

    from ..utils.plain_yaml import read_yaml

    read_yaml(file)
    try:
        return read(file)
    except (KeyError, TypeError, AttributeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} holds no Gammapy {what} ({error})") from error


def say_known_sky(datasets):
    """Say where nothing is known of the sky.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Datasets.
    """
    unknown = [dataset.name for dataset in datasets if dataset.background is None and not dataset.models]
    if unknown:
        console.print(
            f"No known sky: {escape(', '.join(unknown))} without a background and models. All photons may be "
            "those of sources; give the diffuse emission with --models FILE",
            soft_wrap=True,
        )


def read_sources(file):
    """Models of a YAML file, or any list as candidates.

    Parameters
    ----------
    file : str or path
        File.

    Returns
    -------
    sources : `~gammapy.modeling.models.Models` or `~gammapy_asid.Candidates`
        Sources.
    """
    from gammapy.modeling.models import Models

    from ..catalog.candidates import Candidates

    if Path(file).suffix in MODELS:
        return _from_yaml(file, Models.read, "models")
    return Candidates.read(file)
