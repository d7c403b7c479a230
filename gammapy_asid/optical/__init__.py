# Licensed under a 3-clause BSD style license - see LICENSE
"""Optical and infrared images: find sources, tell stars from galaxies, measure."""
