# Licensed under a 3-clause BSD style license - see LICENSE
"""Progress of a command: bars in a terminal, nothing in a pipe."""

import logging
from contextlib import contextmanager

from .common import console

__all__ = ["doing", "progress"]

log = logging.getLogger(__name__)


@contextmanager
def progress(begin):
    """Show the steps of all libraries while a command runs.

    Parameters
    ----------
    begin : callable
        Called when a step begins of which the parts are counted: the input was in order.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from ..utils.progress import shown_by

    @contextmanager
    def hidden(name, total):
        log.info(name)
        if total is not None:
            begin()
        yield lambda: None

    if console.quiet or not console.is_terminal:
        with shown_by(hidden):
            yield
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as bars:

        @contextmanager
        def show(name, total):
            log.info(name)
            if total is not None:
                begin()
            task = bars.add_task(name, total=total)
            try:
                yield lambda: bars.advance(task)
            finally:
                bars.remove_task(task)

        with shown_by(show):
            yield


def doing(name):
    """Bar of a step of which the parts are not known.

    Parameters
    ----------
    name : str
        Name of the step.

    Returns
    -------
    context : context manager
        Shown while it lasts.
    """
    from ..utils.progress import bar

    return bar(name)
