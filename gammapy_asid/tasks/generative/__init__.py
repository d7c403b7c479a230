# Licensed under a 3-clause BSD style license - see LICENSE
"""Generate fine interstellar emission from coarse: network, card, recipe, training and model."""

from . import task

__all__ = ["task"]
