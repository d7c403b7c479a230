# Licensed under a 3-clause BSD style license - see LICENSE
"""The detection network, its inputs and what is read off its maps."""

from .features import FieldBatch, known_sky, network_inputs, significance_maps
from .fields import field_batch
from .model import DetectionModel
from .peaks import Peaks, find_centres, kmeans_centres
from .unet import MultiResolutionUNet, UNetConfig

__all__ = [
    "DetectionModel",
    "FieldBatch",
    "MultiResolutionUNet",
    "Peaks",
    "UNetConfig",
    "field_batch",
    "find_centres",
    "kmeans_centres",
    "known_sky",
    "network_inputs",
    "significance_maps",
]
