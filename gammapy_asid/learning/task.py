# Licensed under a 3-clause BSD style license - see LICENSE
"""What a learned task is, and the tasks that there are."""

__all__ = ["TASKS", "Task", "get_task"]

#: Tasks by their name; a task enters when its class is made.
TASKS = {}


class Task:
    """A learned task."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "name" in vars(cls):
            TASKS[cls.name] = cls


def get_task(name):
    """Task of a name.

    Parameters
    ----------
    name : str
        Name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in TASKS:
        raise ValueError(f"Unknown task {name!r}: known are {', '.join(sorted(TASKS)) or 'none'}")
    return TASKS[name]()
