# Licensed under a 3-clause BSD style license - see LICENSE
"""Which sources are found."""
