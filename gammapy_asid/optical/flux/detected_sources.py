# Licensed under a 3-clause BSD style license - see LICENSE
"""The sources that a trained detector finds in a simulated image, and which true ones these are."""

import numpy as np

from ...evaluation.matching import match_optimal
from ..bands import ON_SPHERE

__all__ = ["detected_sources"]

#: Smallest scores of a list, as an interval: users choose them.
THRESHOLDS = (0.3, 0.7)

#: Significance alone from which a true source is one that a detection can stand for.
REAL = 3.0

#: Largest distance of a detection from its source: share of the full width at half maximum, and pixels.
RADIUS, LEAST_RADIUS = 0.25, 0.6


def detected_sources(detector, prepared, truth, rng):
    """Find sources, and match them with the truth one to one.

    Parameters
    ----------
    detector : `~gammapy_asid.optical.detection.model.OpticalDetectionModel`
        Detector.
    prepared : `~gammapy_asid.optical.images.PreparedImage`
        Image.
    truth : tuple of `~numpy.ndarray`
        Position in pixels and significance alone of the true sources, each of shape ``(m,)``.
    rng : `~numpy.random.Generator`
        Source of random numbers.

    Returns
    -------
    x, y : `~numpy.ndarray`
        Positions in pixels of what it finds above a score that is drawn, shape ``(k,)``.
    source : `~numpy.ndarray`
        Index of the true source of each, -1 for none.
    """
    found = detector.detect(prepared)
    keep = found.score >= rng.uniform(*THRESHOLDS)
    x, y, (true_x, true_y, snr) = found.x[keep], found.y[keep], truth
    real = np.flatnonzero(snr >= REAL)
    radius = max(RADIUS * prepared.psf.fwhm, LEAST_RADIUS)
    places = (np.asarray(v, float) * ON_SPHERE for v in (x, y, true_x[real], true_y[real]))
    matches = match_optimal(*places, radius=radius * ON_SPHERE)
    source = np.full(len(x), -1)
    source[matches.is_matched] = real[matches.true_index[matches.is_matched]]
    return x.astype(np.float32), y.astype(np.float32), source
