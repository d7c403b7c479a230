# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood without a network: significance, fits of sources, and the limits of the photons."""
