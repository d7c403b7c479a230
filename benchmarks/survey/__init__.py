# Licensed under a 3-clause BSD style license - see LICENSE
"""Catalogues of the whole sky."""
