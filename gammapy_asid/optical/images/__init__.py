# Licensed under a 3-clause BSD style license - see LICENSE
"""Images of any camera: read, checked and brought to units of the noise of their sky."""

from .image import OpticalImage
from .prepare import Cut, PreparedImage, prepare_image
from .read import read_image
from .tiles import Tile

__all__ = ["Cut", "OpticalImage", "PreparedImage", "Tile", "prepare_image", "read_image"]
