# Licensed under a 3-clause BSD style license - see LICENSE
"""Learned tasks of images: they enter the registry when their folders are imported."""

from .classification.task import OpticalClassTask
from .detection.task import OpticalTask
from .flux.task import OpticalFluxTask

__all__ = ["TASKS"]

#: Tasks in the order of their use.
TASKS = (OpticalTask, OpticalClassTask, OpticalFluxTask)
