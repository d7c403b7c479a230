# Licensed under a 3-clause BSD style license - see LICENSE
"""Which candidates hang on the level of the known sky."""

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

__all__ = ["stands_other_skies"]


def stands_other_skies(trained, cube, x, y, error, threshold, method="log"):
    """Whether sources are found as well where the known sky is brighter or fainter.

    Parameters
    ----------
    trained : `~gammapy_asid.tasks.detection.model.DetectionModel`
        Model.
    cube : `~gammapy_asid.inputs.BandCube`
        Field with a background.
    x, y : `~numpy.ndarray`
        Positions of the sources in finest pixels, shape ``(n,)``.
    error : float
        Relative change of the known sky, up and down.
    threshold : float
        Score from which something is found.
    method : {"log", "kmeans"}
        See `~gammapy_asid.learning.peaks.find_centres`.

    Returns
    -------
    stands : `~numpy.ndarray`
        Bool, shape ``(n,)``.
    """
    found = np.ones(len(x), dtype=bool)
    for factor in (1 - error, 1 + error):
        other = replace(cube, background=[factor * image for image in cube.background])
        again = trained.peaks(trained.output(other), other, method)
        again = again.select(again.score >= threshold)
        reach = cube.bands.match_radius / cube.response.pixel_size
        distance = np.full(len(x), np.inf)
        if len(again) and len(x):
            tree = KDTree(np.column_stack([again.x, again.y]))
            distance, _ = tree.query(np.column_stack([x, y]))
        found &= distance < reach
    return found
