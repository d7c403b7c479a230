# Licensed under a 3-clause BSD style license - see LICENSE
"""Tell real sources from fakes, and their classes: network, card, recipe, training and calibration."""
