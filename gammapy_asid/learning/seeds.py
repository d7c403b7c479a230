# Licensed under a 3-clause BSD style license - see LICENSE
"""Seeds of the stages of a training: none meets another, whatever the seed of the recipe.

Batches of the training have the seeds ``(recipe.seed, number)`` with ``recipe.seed`` below 2**31. Within a
task all other draws have larger first numbers, so that what watches, calibrates and tests was never learned.
"""

from typing import NamedTuple

__all__ = ["CANDIDATES", "EXTENSION", "PATCHES", "SKY", "SOURCES", "VALIDATION", "StageSeeds"]


class StageSeeds(NamedTuple):
    """Seeds of what a model learns (None: that of the recipe), of its calibration and of its test."""

    train: int | None
    calibration: int
    test: int


#: The fixed simulated sky on which a training is watched.
VALIDATION = 2**31
#: Patches of sky for detection models.
PATCHES = StageSeeds(train=None, calibration=2**32, test=2**33)
#: Patches whose known sky the card of a detection model describes.
SKY = 2**34
#: Stamps for classifiers of extension, plus the number of the scene.
EXTENSION = StageSeeds(train=None, calibration=2**33, test=2**34)
#: Candidates for classifiers of sources.
CANDIDATES = StageSeeds(train=None, calibration=2**32, test=2**33)
#: Patches whose sources the ensembles see, plus the seed of the recipe.
SOURCES = StageSeeds(train=2**34, calibration=2**35, test=2**36)
