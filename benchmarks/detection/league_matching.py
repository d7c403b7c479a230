# Licensed under a 3-clause BSD style license - see LICENSE
"""The first candidates of a list against a catalogue, beside what chance alone matches."""

import numpy as np
from astropy.coordinates import SkyCoord

from gammapy_asid.evaluation import match_optimal

__all__ = ["NUMBERS", "matched_sources", "mirrored", "real_matches"]

#: Numbers of first candidates.
NUMBERS = (10, 20, 30, 40, 50)
#: Signs of the two axes of a field: the list itself, then mirrored in one, in the other, and in both.
MIRRORS = ((1, 1), (-1, 1), (1, -1), (-1, -1))


def mirrored(positions, image):
    """Positions and their mirror images about the middle of a field, along the axes of its pixels.

    Mirror images keep the distances between candidates, their place along the rim and, in a field along the
    Galactic plane, their latitudes up to the sign: only chance brings them near sources.

    Parameters
    ----------
    positions : `~astropy.coordinates.SkyCoord`
        Shape ``(n,)``.
    image : `~gammapy.maps.WcsGeom`
        Image of the field.

    Returns
    -------
    positions : list of `~astropy.coordinates.SkyCoord`
        The positions, then mirrored along the first axis, along the second and along both.
    """
    x, y = image.coord_to_pix(positions)
    ny, nx = image.data_shape
    return [
        SkyCoord.from_pixel(x if sx > 0 else nx - 1 - x, y if sy > 0 else ny - 1 - y, image.wcs).galactic
        for sx, sy in MIRRORS
    ]


def matched_sources(positions, sources, radius, numbers=NUMBERS):
    """Which sources the first candidates match one to one, as many as possible.

    Parameters
    ----------
    positions : `~astropy.coordinates.SkyCoord`
        Candidates in Galactic coordinates, the surest first.
    sources : `~astropy.coordinates.SkyCoord`
        Sources in Galactic coordinates.
    radius : float
        Largest separation in deg.
    numbers : sequence of int
        Numbers of first candidates.

    Returns
    -------
    matched : `~numpy.ndarray`
        Shape ``(n_numbers, n_sources)``.
    """
    rows = []
    for number in numbers:
        first = positions[:number]
        places = first.l.deg, first.b.deg, sources.l.deg, sources.b.deg
        rows.append(match_optimal(*places, radius).pred_index >= 0)
    return np.array(rows)


def real_matches(positions, image, sources, radius, numbers=NUMBERS):
    """Matches of a list less those of its mirror images, by source.

    Parameters
    ----------
    positions, sources, radius, numbers
        See `matched_sources`.
    image : `~gammapy.maps.WcsGeom`
        Image of the field.

    Returns
    -------
    matched, chance : `~numpy.ndarray`
        Whether each source is matched, and the share of the mirrored lists that match it, shape
        ``(n_numbers, n_sources)``.
    """
    own, *others = (matched_sources(p, sources, radius, numbers) for p in mirrored(positions, image))
    return own.astype(float), np.mean(others, axis=0)
