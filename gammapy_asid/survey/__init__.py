# Licensed under a 3-clause BSD style license - see LICENSE
"""Detection and fits on the whole sky in overlapping tiles."""

from .sky_fits import SkyFitEstimator
from .sky_tiles import SkyTiles, TileCutter
from .survey import DLSkySurvey

__all__ = ["DLSkySurvey", "SkyFitEstimator", "SkyTiles", "TileCutter"]
