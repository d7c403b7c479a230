# Licensed under a 3-clause BSD style license - see LICENSE
"""Measurements on published benchmarks and on the real sky: ``python -m benchmarks`` lists them."""
