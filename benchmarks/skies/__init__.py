# Licensed under a 3-clause BSD style license - see LICENSE
"""The skies and fields that the programs measure on."""
