# Licensed under a 3-clause BSD style license - see LICENSE
"""Simulator ``generated-counts``, which a recipe can name: patches of a library of generated counts."""

from ...learning.simulator import register_simulator
from ...simulation.counts_library import CountsLibrary
from ...simulation.generated_counts import GeneratedCountsSimulator
from .simulator import build_simulator

__all__ = ["generated_counts"]


@register_simulator("generated-counts")
def generated_counts(recipe):
    """Simulator of a recipe that names a library.

    Parameters
    ----------
    recipe : `~gammapy_asid.tasks.detection.recipe.DetectionRecipe`
        Recipe with a ``library`` and the one instrument of that.

    Returns
    -------
    simulator : `~gammapy_asid.simulation.generated_counts.GeneratedCountsSimulator`
        Simulator.

    Raises
    ------
    ValueError
        If the recipe names no library, or one of another instrument.
    """
    if getattr(recipe, "library", None) is None or not recipe.instruments:
        raise ValueError(
            f"The simulator {recipe.simulator!r} is for detection, with a library of generated counts "
            "(entry library: FILE) and the instrument of that (instruments)"
        )
    library = CountsLibrary.load(recipe.library)
    return GeneratedCountsSimulator(library, **build_simulator(recipe).settings)
