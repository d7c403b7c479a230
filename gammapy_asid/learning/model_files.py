# Licensed under a 3-clause BSD style license - see LICENSE
"""Models by name, those that ship and those in a folder of the user's own, and models in files, by path."""

import json
import os
from pathlib import Path, PurePath

from gammapy.utils.scripts import make_path

__all__ = [
    "ENSEMBLES",
    "FOLDER_VARIABLE",
    "LARGEST_CARD",
    "card_task",
    "ensemble_path",
    "find_model",
    "list_models",
    "model_files",
    "named_models",
    "own_folder",
]

#: Folder of the models that ship with the package.
DATA = Path(__file__).parents[1] / "weights" / "data"

#: Environment variable that leads to a folder of models of the user's own.
FOLDER_VARIABLE = "GAMMAPY_ASID_MODELS"

#: Ensembles that belong to a detection model ``NAME``, in files ``NAME-position`` and ``NAME-flux``.
ENSEMBLES = ("position", "flux")

#: Largest card in bytes, far above those that ship: it is read into the memory.
LARGEST_CARD = 2**25


def list_models(task="detection"):
    """Names of the models that ship with the package or lie in the folder ``$GAMMAPY_ASID_MODELS``.

    Parameters
    ----------
    task : str
        What the models are for, see `~gammapy_asid.learning.task.Task`.

    Returns
    -------
    names : list of str
        Sorted names, each valid as the ``model`` of an estimator for this task. Ensembles have the name of
        the detection model that they belong to.
    """
    return sorted({name for name, its_task, _ in named_models() if its_task == task})


def own_folder():
    """Folder of models of the user's own, to which the environment variable ``GAMMAPY_ASID_MODELS`` leads.

    Returns
    -------
    folder : `~pathlib.Path` or None
        Folder, None if the variable is not set.

    Raises
    ------
    ValueError
        If the variable leads to no folder.
    """
    text = os.environ.get(FOLDER_VARIABLE)
    if not text:
        return None
    folder = make_path(text).expanduser()
    if not folder.is_dir():
        raise ValueError(f"{FOLDER_VARIABLE} is {text}, which is no folder: correct or unset the variable")
    return folder


def named_models():
    """Models that have a name: those that ship, then those in the folder of the user's own.

    Returns
    -------
    models : list of tuple of (str, str or None, `~pathlib.Path`)
        Name, which is that of the file; task, None if the weights have no card that can be read; weight file,
        whether it exists or not.
    """
    models, own = [], own_folder()
    for folder in [DATA] if own is None else [DATA, own]:
        files = (path for path in folder.iterdir() if path.suffix in (".json", ".safetensors"))
        for path in sorted({path.with_suffix(".safetensors") for path in files}):
            task = _read_task(path.with_suffix(".json"))
            if task or path.is_file():
                name = path.stem.removesuffix(f"-{task}") if task in ENSEMBLES else path.stem
                models.append((name, task, path))
    return models


def _read_task(path):
    """Task of a card, None if the file is none."""
    try:
        card = json.loads(path.read_bytes()) if path.stat().st_size <= LARGEST_CARD else {}
    except (OSError, ValueError):
        return None
    return card_task(card) if isinstance(card, dict) and "weights_sha256" in card else None


def card_task(card):
    """Task of a card as it was read: version 0.1 called it ``kind``, and left it out for detection.

    Parameters
    ----------
    card : dict
        Entries of a card.

    Returns
    -------
    task : str
        Name of the task.
    """
    return card.get("task", card.get("kind", "detection"))


def ensemble_path(name_or_path, kind):
    """Weight file of an ensemble of a model, whether it exists or not.

    Parameters
    ----------
    name_or_path : str or path
        Detection model, see `find_model`.
    kind : {"position", "flux"}
        Ensemble.

    Returns
    -------
    path : `~pathlib.Path`
        Weight file beside that of the detection model.
    """
    path = find_model(name_or_path)
    return path.with_name(f"{path.stem}-{kind}.safetensors")


def model_files(path):
    """Weight file and card of a model, whether they exist or not.

    Parameters
    ----------
    path : str or path
        Weight file.

    Returns
    -------
    paths : list of `~pathlib.Path`
        Both files.
    """
    path = make_path(path).expanduser()
    return [path, path.with_suffix(".json")]


def find_model(name_or_path, task=None, choices=()):
    """Weight file of a model.

    Parameters
    ----------
    name_or_path : str or path
        Name of a model that ships with the package or lies in the folder ``$GAMMAPY_ASID_MODELS``, or path of
        a ``.safetensors`` file.
    task : str, optional
        What the model is for; by default what it is by itself, no ensemble that belongs to it.
    choices : sequence of str
        Tasks whose models an error names; by default all.

    Returns
    -------
    path : `~pathlib.Path`
        Weight file; its card has the same name with the suffix ``.json``.

    Raises
    ------
    TypeError
        If it is no text or path.
    ValueError
        If the name is unknown, or two models have it.
    FileNotFoundError
        If the path does not exist.
    """
    if not isinstance(name_or_path, str | PurePath):
        raise TypeError(
            f"A model is the name of a known one or the path of its weights, got {name_or_path!r}"
        )
    path = make_path(name_or_path).expanduser()
    if path.suffix == ".safetensors":
        if not path.is_file():
            raise FileNotFoundError(f"No weight file {path}: check the path")
        return path
    # The file of a model has its name, that of an ensemble more; weights without a card may be for any task
    known = [
        (name, path)
        for name, its_task, path in named_models()
        if (path.stem == name if task is None else its_task in (task, None))
    ]
    found = [path for name, path in known if name == str(name_or_path)]
    if len(found) > 1:
        raise ValueError(
            f"Two models are called {str(name_or_path)!r}, {found[0]} and {found[1]}: rename the files "
            "of one, or give the path of its weights"
        )
    if not found:
        if choices:
            known = [(name, path) for name, its_task, path in named_models() if its_task in choices]
        raise ValueError(
            f"Unknown model {str(name_or_path)!r}: known are "
            f"{', '.join(sorted({name for name, _ in known})) or 'none'}; for weights of your own "
            "give the path of their .safetensors file, or put them with their card into the folder "
            f"${FOLDER_VARIABLE}"
        )
    return found[0]
