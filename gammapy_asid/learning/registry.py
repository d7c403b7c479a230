# Licensed under a 3-clause BSD style license - see LICENSE
"""The tasks that there are; one enters when its class is defined."""

__all__ = ["TASKS", "followers", "get_task"]

#: Classes of the tasks, see `~gammapy_asid.learning.task.BaseTask`, by their name.
TASKS: dict[str, type] = {}


def get_task(name):
    """Task of a name.

    Parameters
    ----------
    name : str
        Name.

    Returns
    -------
    task : `~gammapy_asid.learning.task.BaseTask`
        Task.

    Raises
    ------
    ValueError
        If there is none.
    """
    if not isinstance(name, str) or name not in TASKS:
        raise ValueError(f"Unknown task {name!r}: known are {', '.join(sorted(TASKS)) or 'none'}")
    return TASKS[name]()


def followers(task):
    """Tasks that follow a task, in the order of their definition.

    Parameters
    ----------
    task : `~gammapy_asid.learning.task.Task`
        Task.

    Returns
    -------
    tasks : list of `~gammapy_asid.learning.task.FollowingTask`
        Tasks.
    """
    return [kind() for kind in TASKS.values() if getattr(kind, "after", None) == task.name]
