# Licensed under a 3-clause BSD style license - see LICENSE
"""Training recipes: everything that determines the weights, as YAML."""

import hashlib
import inspect
import json
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ..utils.plain_yaml import read_yaml
from ..utils.validation import validation_text
from .registry import TASKS, get_task

__all__ = ["LONGEST_TIME", "OptimiserRecipe", "Recipe", "StrictRecipe", "model_name", "read_recipe"]


def _checked_name(name):
    """Name of a model, which names its files: one part of a path, of common characters."""
    if not re.fullmatch(r"\w([\w.+ -]*[\w+-])?", name) or len(name.encode()) > LONGEST_NAME:
        raise ValueError(
            f"a name has letters, digits, and inside . _ + - and blanks, at most {LONGEST_NAME} bytes, "
            f"got {name[:200]!r}"
        )
    return name


def model_name(path):
    """Name of a model for the instrument of a dataset.

    Parameters
    ----------
    path : str or path
        File of the dataset.
    """
    stem = re.sub(r"[^\w+-]+", "-", Path(path).name.lstrip(".").split(".")[0]).strip("-")
    # A task may add its suffix
    return stem.encode()[: LONGEST_NAME - 20].decode(errors="ignore") or "dataset"


def _rising(interval):
    if not 0 < interval[0] <= interval[1]:
        raise ValueError(f"an interval goes from a number above 0 to one that is not smaller, got {interval}")
    return interval


#: Longest name of a model in bytes, as its files have suffixes.
LONGEST_NAME = 100

#: Longest wall time of a training in minutes: ten weeks.
LONGEST_TIME = 1e5

Name = Annotated[str, AfterValidator(_checked_name)]

#: Seeds, to which those of calibrations are added.
Seed = Annotated[int, Field(ge=0, lt=2**31)]

#: Counts of what must fit into a memory, and of what takes time only.
Count = Annotated[int, Field(ge=1, le=10**5)]

LargeCount = Annotated[int, Field(ge=1, le=10**8)]

Positive = Annotated[float, Field(gt=0)]

Interval = Annotated[tuple[float, float], AfterValidator(_rising)]

#: Channels of a network on its levels.
Widths = Annotated[tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1, max_length=8)]


#: Entries that older recipes lack, with their defaults: without them a recipe keeps its hash.
LATER = {"simulator": None, "plane": None, "start": None, "reuse": 1, "others": None}

#: Of these the last, which folders of earlier trainings lack, too.
LATEST = {
    "minutes": None,
    "library": None,
    "profiled": False,
    "structure": None,
    "structure_share": 0.5,
    "far_levels": 0,
    "faults": 0,
    "real": None,
    "real_share": 0.1,
}


def _without(entries, defaults):
    """Entries but for those that have their default."""
    return {k: v for k, v in entries.items() if k not in defaults or v != defaults[k]}


class StrictRecipe(BaseModel):
    """Settings that admit no unknown entries, and no number that is none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    def sha256(self):
        """Hash of the recipe, which the model card states."""
        # The class tells the task
        settings = _without(self.model_dump(mode="json", exclude={"task"}), LATER | LATEST)
        if "optimiser" in settings:
            settings["optimiser"] = _without(settings["optimiser"], LATEST)
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def digested(self):
        """Name and entries by which folders of work know a recipe."""
        kind = type(self)
        return f"{kind.__module__}.{kind.__qualname__}", _without(vars(self), LATEST)


class OptimiserRecipe(StrictRecipe):
    """Length and step size of the training.

    Parameters
    ----------
    batch_size : int
        Patches in a batch.
    batches_per_epoch : int
        Batches between two validations.
    epochs : int
        Number of epochs.
    minutes : float, optional
        Wall time after which the training ends, if the epochs have not ended before. The learning rate then
        goes through its cycles as the time does, and is lowest at the end.
    learning_rate : float
        Largest learning rate; rises over the first 5 % of a cycle and falls as a cosine.
    restarts : tuple of int
        Epochs at which a new cycle of the learning rate begins (Loshchilov & Hutter 2017, ICLR).
    weight_decay : float
        Decoupled weight decay of AdamW.
    ema_decay : float
        Decay of the running mean of the weights; with `minutes` it rises to that, as the steps may be few.
    precision : str
        Number format in the network's convolutions.
    """

    batch_size: int = Field(32, ge=1, le=4096)
    batches_per_epoch: Count = 250
    epochs: Count = 40
    minutes: float | None = Field(None, gt=0, le=LONGEST_TIME)
    learning_rate: float = Field(2e-3, gt=0, le=10)
    restarts: Annotated[tuple[Count, ...], Field(max_length=1000)] = ()
    weight_decay: float = Field(1e-3, ge=0, le=10)
    ema_decay: float = Field(0.999, ge=0, lt=1)
    precision: Literal["32-true", "bf16-mixed"] = "bf16-mixed"


class Recipe(StrictRecipe):
    """What the recipes of all tasks have in common.

    Parameters
    ----------
    task : str
        Name of the `~gammapy_asid.learning.task.Task`.
    name : str
        Name of the model.
    seed : int
        Seed of the simulation and of the initial weights.
    simulator : str, optional
        Name of a simulator in place of that of the task, see
        `~gammapy_asid.learning.simulator.register_simulator`.
    start : str, optional
        Model, or path of its weights, that the training begins with.
    optimiser : `OptimiserRecipe`
        Length and step size.
    """

    task: str
    name: Name
    seed: Seed = 0
    simulator: str | None = None
    start: str | None = None
    optimiser: OptimiserRecipe = OptimiserRecipe()

    def for_datasets(self):
        """Recipe of a training whose instrument is that of datasets; by default as it is.

        Raises
        ------
        ValueError
            If it is not for the instrument of a dataset.
        """
        return self


def read_recipe(path, kind=None):
    """Read a recipe: a YAML file, or the name of one that comes with the package.

    Parameters
    ----------
    path : str or path
        File or name.
    kind : type, optional
        Class of the recipe; by default that of the task that the file names, detection if it names none.

    Returns
    -------
    recipe : `StrictRecipe`
        Validated recipe, of the kind asked for.

    Raises
    ------
    FileNotFoundError
        If there is no such file or shipped recipe.
    ValueError
        If the file is not a valid recipe.
    """
    shipped = _shipped(kind)
    # A folder of that name is what a training may have left
    if str(path) in shipped and not Path(path).is_file():
        path = shipped[str(path)]
    try:
        content = read_yaml(path, "recipe")
    except FileNotFoundError:
        raise FileNotFoundError(
            f"No recipe {str(path)!r}: give a YAML file or one of {', '.join(sorted(shipped))}"
        ) from None
    content = {} if content is None else content
    if not isinstance(content, dict):
        raise ValueError(f"{path} is not a valid recipe: it holds no settings by name, but {content!r:.60}")
    try:
        kind = kind or get_task(content.get("task", "detection")).Recipe
        return kind.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{path} is not a valid recipe: {validation_text(error, kind)}") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a valid recipe: {error}") from error


def _shipped(kind):
    """Recipes that ship, of one class or of all tasks, by their names."""
    kinds = [task.Recipe for task in TASKS.values()] if kind is None else [kind]
    folders = {Path(inspect.getfile(own)).parent / "recipes" for own in kinds}
    return {path.stem: path for folder in folders for path in folder.glob("*.yaml")}
