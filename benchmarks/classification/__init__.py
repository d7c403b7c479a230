# Licensed under a 3-clause BSD style license - see LICENSE
"""Classes of sources."""
