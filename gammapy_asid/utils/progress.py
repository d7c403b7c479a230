# Licensed under a 3-clause BSD style license - see LICENSE
"""Progress of long work: one bar a step, shown by whoever wants to."""

from contextlib import contextmanager
from contextvars import ContextVar

from gammapy.utils.pbar import progress_bar

__all__ = ["bar", "shown_by", "steps"]

#: What shows the bars; without one they are those of Gammapy, which are off by default.
SHOWN: ContextVar = ContextVar("shown", default=None)


@contextmanager
def shown_by(show):
    """Show progress in another way than Gammapy does.

    Parameters
    ----------
    show : callable
        Takes the name of a step and the number of its parts, None where that is not known, and gives a
        context with a function that is called when a part is done.
    """
    token = SHOWN.set(show)
    try:
        yield
    finally:
        SHOWN.reset(token)


@contextmanager
def bar(name, total=None):
    """Bar of one step.

    Parameters
    ----------
    name : str
        Name of the step.
    total : int, optional
        Number of its parts.

    Yields
    ------
    advance : callable
        Is called when a part is done.
    """
    show = SHOWN.get()
    if show is not None:
        with show(name, total) as advance:
            yield advance
    elif total is None:
        yield lambda: None
    else:
        parts = progress_bar(range(total), desc=name)
        try:
            yield parts.update
        finally:
            parts.close()


def steps(items, name):
    """Items one after the other, with a bar.

    Parameters
    ----------
    items : sequence
        Items.
    name : str
        Name of the step.

    Yields
    ------
    item : object
        Item.
    """
    with bar(name, len(items)) as advance:
        for item in items:
            yield item
            advance()
