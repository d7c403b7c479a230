# Licensed under a 3-clause BSD style license - see LICENSE
"""What a simulator is, and simulators that a recipe can name in place of its task's own."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from ..inputs.bands import Bands

__all__ = ["SIMULATORS", "Simulator", "named_simulator", "register_simulator"]


@runtime_checkable
class Simulator(Protocol):
    """Anything that draws examples for a task, physical or generative."""

    @property
    def bands(self) -> Bands:
        """Bands of what it draws."""

    def draw(self, n: int, seed: Any) -> Any:
        """Draw examples, as the ``batch`` of the task takes them.

        Parameters
        ----------
        n : int
            Number of examples.
        seed : int or tuple of int
            Seed; equal seeds give equal examples.
        """


#: Functions that make a simulator of a recipe, by the name that the recipe gives.
SIMULATORS: dict[str, Callable[[Any], Simulator]] = {}


def register_simulator(name):
    """Decorator of a function that makes a `Simulator` of a recipe, for recipes that name it.

    Parameters
    ----------
    name : str
        Value of ``simulator`` in a recipe.
    """

    def register(build):
        SIMULATORS[name] = build
        return build

    return register


def named_simulator(recipe):
    """Simulator that a recipe names.

    Parameters
    ----------
    recipe : `~gammapy_asid.learning.recipe.Recipe`
        Recipe with a ``simulator``.

    Returns
    -------
    simulator : `Simulator`
        Simulator.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if recipe.simulator not in SIMULATORS:
        raise ValueError(
            f"Unknown simulator {recipe.simulator!r}: known are {', '.join(sorted(SIMULATORS)) or 'none'}; "
            "without this entry the recipe has that of its task"
        )
    return SIMULATORS[recipe.simulator](recipe)
