# Licensed under a 3-clause BSD style license - see LICENSE
"""Distances on the sphere by chords, as trees of neighbours need them."""

import numpy as np

__all__ = ["chord", "chord_angle", "unit_vectors"]


def unit_vectors(lon, lat):
    """Unit vectors of directions in deg, shape ``(..., 3)``."""
    lon, lat = np.radians(np.atleast_1d(lon)), np.radians(np.atleast_1d(lat))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def chord(angle):
    """Distance of the unit vectors of two directions from their angle in deg."""
    return 2 * np.sin(np.radians(angle) / 2)


def chord_angle(distance):
    """Angle in deg between two directions from the distance of their unit vectors."""
    return np.degrees(2 * np.arcsin(np.clip(np.asarray(distance) / 2, 0, 1)))
