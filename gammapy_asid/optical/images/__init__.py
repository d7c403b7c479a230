# Licensed under a 3-clause BSD style license - see LICENSE
"""Images of any camera: read, checked and brought to units of the noise of their sky."""

from .image import OpticalImage
from .prepare import Cut, PreparedImage, Tile, prepare_image
from .read import read_image

__all__ = ["Cut", "OpticalImage", "PreparedImage", "Tile", "prepare_image", "read_image"]
