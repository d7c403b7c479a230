# Licensed under a 3-clause BSD style license - see LICENSE
"""Learned tasks, a folder each: what lies here enters the registry by itself."""

from importlib import import_module
from pkgutil import iter_modules

from ..learning.io import load_card, load_state
from ..learning.model_files import find_model, list_models
from ..learning.recipe import read_recipe
from ..learning.registry import TASKS, get_task
from ..learning.task import FollowingTask, Task
from ..optical.tasks import TASKS as OPTICAL_TASKS

__all__ = [
    "OPTICAL_TASKS",
    "TASKS",
    "FollowingTask",
    "Task",
    "find_model",
    "get_task",
    "list_models",
    "load_card",
    "load_state",
    "read_recipe",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
