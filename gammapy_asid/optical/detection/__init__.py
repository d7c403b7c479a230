# Licensed under a 3-clause BSD style license - see LICENSE
"""Find sources, cosmic rays and trails: network, card, recipe, training and calibration."""

from . import task

__all__ = ["task"]
