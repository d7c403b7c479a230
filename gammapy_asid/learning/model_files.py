# Licensed under a 3-clause BSD style license - see LICENSE
"""Models that ship with the package, by name, and models in files, by path."""

import json
from pathlib import Path, PurePath

from gammapy.utils.scripts import make_path

__all__ = ["ENSEMBLES", "card_task", "ensemble_path", "find_model", "list_models", "model_files"]

#: Folder of the models that ship with the package.
DATA = Path(__file__).parents[1] / "weights" / "data"

#: Ensembles that belong to a detection model ``NAME``, in files ``NAME-position`` and ``NAME-flux``.
ENSEMBLES = ("position", "flux")


def list_models(task="detection"):
    """Names of the models that ship with the package.

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
    return sorted(name for name, its_task in _shipped() if its_task == task)


def _shipped():
    """Paths of the cards that ship, by name of the model and task."""
    cards = {}
    for path in DATA.glob("*.json"):
        card = json.loads(path.read_bytes())
        cards[card["name"], card_task(card)] = path
    return cards


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
    path = make_path(path)
    return [path, path.with_suffix(".json")]


def find_model(name_or_path, task=None):
    """Weight file of a model.

    Parameters
    ----------
    name_or_path : str or path
        Name of a model that ships with the package, or path of a ``.safetensors`` file.
    task : str, optional
        What the model is for; by default what it is by itself, no ensemble that belongs to it.

    Returns
    -------
    path : `~pathlib.Path`
        Weight file; its card has the same name with the suffix ``.json``.

    Raises
    ------
    TypeError
        If it is no text or path.
    ValueError
        If the name is unknown.
    FileNotFoundError
        If the path does not exist.
    """
    if not isinstance(name_or_path, str | PurePath):
        raise TypeError(
            f"A model is the name of a shipped one or the path of its weights, got {name_or_path!r}"
        )
    path = make_path(name_or_path)
    if path.suffix == ".safetensors":
        if not path.is_file():
            raise FileNotFoundError(f"No weight file {path}: check the path")
        return path
    # The file of a model has its name, that of an ensemble more
    known = {
        name: path
        for (name, its_task), path in _shipped().items()
        if its_task == task or (task is None and path.stem == name)
    }
    if str(name_or_path) not in known:
        raise ValueError(
            f"Unknown model {str(name_or_path)!r}: known are {', '.join(sorted(known)) or 'none'}; "
            "for weights of your own give the path of their .safetensors file"
        )
    return known[str(name_or_path)].with_suffix(".safetensors")
