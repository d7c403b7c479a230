# Licensed under a 3-clause BSD style license - see LICENSE
"""Find sources: network, card, recipe, training and calibration."""

from . import generated_counts, task

__all__ = ["generated_counts", "task"]
