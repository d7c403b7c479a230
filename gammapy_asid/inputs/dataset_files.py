# Licensed under a 3-clause BSD style license - see LICENSE
"""Files of datasets, which must be whole."""

import re
from pathlib import Path

from gammapy.datasets import Datasets, MapDataset
from gammapy.modeling.models import TemplateNPredModel
from gammapy.utils.scripts import to_yaml, write_yaml

from ..utils.files import new_file, regular_file
from ..utils.fits_files import open_fits, write_fits
from ..utils.plain_yaml import read_yaml

__all__ = [
    "dataset_paths",
    "read_dataset",
    "read_datasets_yaml",
    "write_dataset",
    "write_datasets",
    "write_templates",
]


def write_dataset(dataset, filename):
    """Write a dataset to FITS with a list of its maps, so that a lost one is missed.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Dataset.
    filename : str or path
        File, which must not exist.
    """
    write_fits(dataset.to_hdulist(), filename)


def write_datasets(datasets, filename, overwrite=False):
    """Write datasets to FITS files beside a YAML file that lists them, as Gammapy reads them.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Datasets of map datasets without models.
    filename : str or path
        YAML file.
    overwrite : bool
        Whether existing files may be replaced.

    Returns
    -------
    paths : list of `~pathlib.Path`
        The files, the YAML file last.
    """
    *paths, listing = dataset_paths(datasets.names, filename)
    entries = []
    for dataset, path in zip(datasets, paths, strict=True):
        with new_file(path, overwrite) as temporary:
            write_dataset(dataset, temporary)
        entries.append(dataset.to_dict() | {"filename": path.name})
    with new_file(listing, overwrite) as temporary:
        write_yaml(to_yaml({"datasets": entries}), temporary, checksum=True)
    return [*paths, listing]


def dataset_paths(names, filename):
    """Files of datasets that a YAML file lists.

    Parameters
    ----------
    names : sequence of str
        Names of the datasets.
    filename : str or path
        YAML file.

    Returns
    -------
    paths : list of `~pathlib.Path`
        FITS files, then the YAML file.
    """
    listing = Path(filename)
    return [*(listing.with_name(f"{name}.fits.gz") for name in names), listing]


def write_templates(models, folder, overwrite=False):
    """Write the maps of models of counts, so that the models can be written: the name of the file is set.

    Parameters
    ----------
    models : list of models
        Models, some of which may be `~gammapy.modeling.models.TemplateNPredModel`.
    folder : `~pathlib.Path`
        Folder.
    overwrite : bool
        Whether existing files may be replaced.
    """
    for model in models:
        if isinstance(model, TemplateNPredModel):
            name = re.sub(r"[^-.\w]+", "-", model.name)
            path = folder / f"{name}.fits.gz"
            with new_file(path, overwrite) as temporary:
                model.map.write(temporary)
            model.filename = str(path.resolve())


def read_dataset(filename, name=None):
    """Read a dataset from FITS.

    Parameters
    ----------
    filename : str or path
        File that Gammapy wrote.
    name : str, optional
        Name of the dataset.

    Returns
    -------
    dataset : `~gammapy.datasets.MapDataset`
        Dataset.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no map dataset, or is cut off.
    """
    with open_fits(filename) as hdulist:
        if "COUNTS" not in hdulist:
            raise ValueError(
                f"{filename} holds no Gammapy dataset (no HDU COUNTS){_instead(hdulist, filename)}"
            )
        if "COUNTS_OFF" in hdulist:
            raise ValueError(
                f"{filename} holds a MapDatasetOnOff: read it with MapDatasetOnOff.read and convert it with "
                "to_map_dataset()"
            )
        try:
            return MapDataset.from_hdulist(hdulist, name=name)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{filename} holds no whole Gammapy dataset ({error})") from error


def _instead(hdulist, filename):
    """What a file holds in place of a dataset, and what may be done with it."""
    names = {hdu.name for hdu in hdulist}
    axes = max((hdu.header.get("NAXIS", 0) for hdu in hdulist if hdu.is_image), default=0)
    if {"CANDIDATES", "CATALOG"} & names:
        return ", but sources: those belong to --sources, --candidates or an evaluation"
    if "EVENTS" in names or "SKYMAP" in names or axes > 2:
        what = "events" if "EVENTS" in names else "a cube without exposure and point spread function"
        run = f"'gammapy-asid catalog --counts {filename} --exposure FILE --psf FILE'"
        return f", but {what}: run {run}, or make a dataset with gammapy_asid.inputs.dataset_from_files"
    if axes == 2:
        return ", but an image without energies: 'gammapy-asid optical' is for those of cameras"
    return ": write one with MapDataset.write"


def read_datasets_yaml(filename):
    """Read the datasets of a YAML file of Gammapy.

    Parameters
    ----------
    filename : str or path
        File that `~gammapy.datasets.Datasets.write` made.

    Returns
    -------
    datasets : `~gammapy.datasets.Datasets`
        Datasets.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If one is of another kind, or cut off.
    """
    path = regular_file(filename)
    try:
        names = [entry["filename"] for entry in read_yaml(path)["datasets"]]
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{filename} holds no Gammapy datasets: give FITS files, or the YAML of Datasets.write"
        ) from error
    for name in names:
        beside = path.parent / name
        with open_fits(beside if beside.exists() else Path(name)):
            pass
    try:
        return Datasets.read(path, lazy=False)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{filename} holds no whole Gammapy datasets ({error})") from error
