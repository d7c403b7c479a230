# Licensed under a 3-clause BSD style license - see LICENSE
"""Positions and fluxes of sources: ensembles, their training and calibration."""

from . import task

__all__ = ["task"]
