# Licensed under a 3-clause BSD style license - see LICENSE
"""Weights and their cards on disk: safetensors and JSON, never pickles."""

import hashlib
import json

import pydantic
from gammapy.utils.scripts import make_path
from safetensors import SafetensorError
from safetensors.torch import load, save

from ..utils.files import new_file
from ..utils.validation import validation_text
from .model_files import LARGEST_CARD, card_task, find_model, list_models
from .registry import TASKS, get_task

__all__ = ["load_card", "load_state", "save_model"]


def load_card(name_or_path, kind=None):
    """Read the card of a model.

    Parameters
    ----------
    name_or_path : str or path
        Name of a model, see `~gammapy_asid.learning.model_files.find_model`, or path of a weight file.
    kind : type, optional
        Class of the card; by default that of the task which the card states.

    Returns
    -------
    card : `~gammapy_asid.learning.card.Card`
        Card.

    Raises
    ------
    ValueError
        If the name is unknown, or the card is not valid or of another kind.
    FileNotFoundError
        If weights or card do not exist.
    """
    tasks = [name for name, task in TASKS.items() if kind is not None and task.Card is kind]
    path = find_model(name_or_path, choices=tasks).with_suffix(".json")
    if not path.is_file():
        raise FileNotFoundError(
            f"No model card {path}: it belongs beside the weights, copy both files together"
        )
    if path.stat().st_size > LARGEST_CARD:
        raise ValueError(f"{path} is larger than {LARGEST_CARD >> 20} MiB, no model card")
    try:
        content = path.read_bytes()
        own = card_task(json.loads(content))
        if tasks and own not in tasks:
            raise _other_task(name_or_path, own, tasks)
        kind = get_task(own).Card if kind is None else kind
        return kind.model_validate_json(content)
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError) as error:
        raise ValueError(f"{path} is no model card ({error}): get weights and card again") from None
    except pydantic.ValidationError as error:
        raise ValueError(
            f"{path} is no valid model card ({validation_text(error)}): get weights and card again, "
            "or name a model for this task"
        ) from None


def _other_task(name_or_path, own, tasks):
    """Error where a model is for another task than one of those wanted."""
    names = sorted({name for task in tasks for name in list_models(task)})
    choices = f"choose {' or '.join(names)}, or give" if names else "give"
    return ValueError(
        f"Model {str(name_or_path)!r} is for {own}, not for {' or '.join(tasks)}: {choices} the path of "
        "weights of your own (.safetensors)"
    )


def load_state(name_or_path, kind=None):
    """Read the weights of a model, only if they are those that the card describes.

    Parameters
    ----------
    name_or_path : str or path
        Name of a model, see `~gammapy_asid.learning.model_files.find_model`, or path of a weight file.
    kind : type, optional
        Class of its card, see `load_card`.

    Returns
    -------
    state : dict of `~torch.Tensor`
        Weights for ``load_state_dict``.

    Raises
    ------
    ValueError
        If the SHA-256 of the file is not that of the card, the file is corrupt or the name unknown.
    FileNotFoundError
        If weights or card do not exist.
    """
    card, path = load_card(name_or_path, kind), find_model(name_or_path)
    if not path.is_file():
        raise FileNotFoundError(f"No weight file {path}, though its card exists: copy both files together")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != card.weights_sha256:
        raise ValueError(
            f"{path} differs from its card (SHA-256 disagrees): download the model again or train it anew"
        )
    try:
        return load(content)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is no safetensors file ({error}): download the model again or train it anew"
        ) from None


def save_model(path, state_dict, card, overwrite=False):
    """Write weights and their card.

    Parameters
    ----------
    path : str or path
        Weight file with the suffix ``.safetensors``; the card gets the suffix ``.json``.
    state_dict : dict of `~torch.Tensor`
        Weights.
    card : `~gammapy_asid.learning.card.Card`
        Card; the SHA-256 of the weights is filled in.
    overwrite : bool
        Replace existing files.

    Returns
    -------
    card : `~gammapy_asid.learning.card.Card`
        Card as written.

    Raises
    ------
    ValueError
        If the suffix is another one.
    FileExistsError
        If a file exists and `overwrite` is False.
    """
    path = make_path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"The weight file must end in .safetensors, got {path.name}")
    content = save({key: value.detach().cpu().contiguous() for key, value in state_dict.items()})
    card = card.model_copy(update={"weights_sha256": hashlib.sha256(content).hexdigest()})
    with new_file(path, overwrite) as weights, new_file(path.with_suffix(".json"), overwrite) as text:
        weights.write_bytes(content)
        text.write_text(card.model_dump_json(indent=1) + "\n")
    return card
