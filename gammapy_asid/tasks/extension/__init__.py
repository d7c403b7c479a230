# Licensed under a 3-clause BSD style license - see LICENSE
"""Tell extended sources from points: network, card, recipe, training and calibration."""

from . import task

__all__ = ["task"]
