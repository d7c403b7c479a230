# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood tests of candidates, with Gammapy and with fermipy."""

from .compare import disagreements
from .fermipy.handoff import write_fermipy
from .fermipy.results import read_fermipy
from .gammapy import CandidateFitEstimator
from .search import IterativeSearch

__all__ = ["CandidateFitEstimator", "IterativeSearch", "disagreements", "read_fermipy", "write_fermipy"]
