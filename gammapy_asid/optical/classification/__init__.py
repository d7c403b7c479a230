# Licensed under a 3-clause BSD style license - see LICENSE
"""Star, galaxy or artefact: network, card, recipe, training and calibration."""
