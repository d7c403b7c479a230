# Licensed under a 3-clause BSD style license - see LICENSE
"""Other data than those of the training, damaged files and killed runs."""
