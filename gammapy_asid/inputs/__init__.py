# Licensed under a 3-clause BSD style license - see LICENSE
"""From Gammapy datasets to what a network sees: the band cube, and tiles of it."""

from .bands import LAT_BANDS, BandCube, Bands, Response, cube_from_arrays
from .convert import to_band_cube
from .read_maps import dataset_from_files
from .tiles import Tile, Tiling
from .time_bins import TimeBins, TimeCounts, find_time_bins, time_counts
from .time_split import split_in_time
from .time_stack import stack_in_time

__all__ = [
    "BandCube",
    "Bands",
    "LAT_BANDS",
    "Response",
    "Tile",
    "Tiling",
    "TimeBins",
    "TimeCounts",
    "cube_from_arrays",
    "dataset_from_files",
    "find_time_bins",
    "split_in_time",
    "stack_in_time",
    "time_counts",
    "to_band_cube",
]
