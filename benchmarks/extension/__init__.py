# Licensed under a 3-clause BSD style license - see LICENSE
"""Extended sources: classes and sizes."""
