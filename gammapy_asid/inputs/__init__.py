# Licensed under a 3-clause BSD style license - see LICENSE
"""From Gammapy datasets to what a network sees: the band cube, and tiles of it."""

from .bands import LAT_BANDS, BandCube, Bands, Response, cube_from_arrays
from .convert import to_band_cube
from .read_maps import dataset_from_files
from .tiles import Tile, Tiling

__all__ = [
    "BandCube",
    "Bands",
    "LAT_BANDS",
    "Response",
    "Tile",
    "Tiling",
    "cube_from_arrays",
    "dataset_from_files",
    "to_band_cube",
]
