# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood tests of candidates, with Gammapy and with fermipy."""

from .gammapy import CandidateFitEstimator

__all__ = ["CandidateFitEstimator"]
