# Licensed under a 3-clause BSD style license - see LICENSE
"""Optical images beside SExtractor, sep, photutils and others."""
