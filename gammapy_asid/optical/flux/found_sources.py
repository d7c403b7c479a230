# Licensed under a 3-clause BSD style license - see LICENSE
"""The sources of simulated images that a detector would find, and where it would put them."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree

__all__ = ["FoundSources", "found_sources", "without_artefacts"]

#: Significance alone at which half of the sources are found, as an interval: detectors and thresholds differ.
HALF_FOUND = (3.0, 6.5)

#: Widths of a star within which a source of equal light merges with another one, as an interval, and the gain
#: for each factor of ten in light.
MERGED, MERGED_BRIGHTER = (0.4, 0.8), 0.3

#: Share in the light of its central pixel below which a source is lost in that of others, as an interval.
DROWNED = (0.1, 0.5)

#: False detections over true ones.
FALSE = 0.03

#: Error of a position over width and significance, in units of the smallest one that the noise allows, as
#: an interval, and the smallest error in pixels.
WORSE, FLOOR = (1.0, 2.0), 0.03


@dataclass
class FoundSources:
    """Positions as a detector gives them, arrays of shape ``(k,)``.

    Parameters
    ----------
    patch : `~numpy.ndarray`
        Number of the image.
    x, y : `~numpy.ndarray`
        Position in pixels.
    source : `~numpy.ndarray`
        Index of the true source, -1 for false ones.
    """

    patch: np.ndarray
    x: np.ndarray
    y: np.ndarray
    source: np.ndarray


def found_sources(simulated, rng):
    """Draw what a detector would find.

    Faint sources are lost, close pairs become one source in their middle, positions have errors, and some
    sources are false.

    Parameters
    ----------
    simulated : `~gammapy_asid.optical.simulator.SimulatedImages`
        Images with their truth.
    rng : `~numpy.random.Generator`
        Source of random numbers.

    Returns
    -------
    found : `FoundSources`
        True sources, then false ones.
    """
    patch, x, y, snr = (getattr(simulated, name).numpy() for name in ("patch", "x", "y", "snr"))
    n, (ny, nx) = len(simulated), simulated.batch.shape
    fwhm = simulated.batch.fwhm.numpy()
    threshold = np.exp(rng.uniform(*np.log(HALF_FOUND), n))[patch]
    there = rng.random(len(x)) < 1 / (1 + np.exp(-(snr - threshold) / 0.7))
    there &= simulated.share.numpy() > rng.uniform(*DROWNED, n)[patch]
    there, x, y = _merged(patch, x, y, snr, there, fwhm, rng.uniform(*MERGED, n))
    inside = (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)
    seen = np.flatnonzero(there & inside)
    error = 0.6 * fwhm[patch[seen]] / np.maximum(snr[seen], 2) * rng.uniform(*WORSE, n)[patch[seen]]
    dx, dy = rng.normal(size=(2, len(seen))) * np.hypot(error, FLOOR)
    false, fx, fy = _false(patch[seen], x[seen], y[seen], fwhm, (n, ny, nx), rng)
    return FoundSources(
        np.concatenate([patch[seen], false]),
        np.concatenate([x[seen] + dx, fx]).astype(np.float32),
        np.concatenate([y[seen] + dy, fy]).astype(np.float32),
        np.concatenate([seen, np.full(len(false), -1)]),
    )


def _merged(patch, x, y, snr, there, fwhm, reach):
    """Which sources stand alone, and positions drawn to what they swallow."""
    width = fwhm[patch]
    # In units of the width, images far apart
    points = np.column_stack([x / width, y / width, patch * 1e4])
    pairs = KDTree(points).query_pairs(1.5, output_type="ndarray")
    brighter = snr[pairs[:, 0]] >= snr[pairs[:, 1]]
    bright = np.where(brighter, pairs[:, 0], pairs[:, 1])
    faint = np.where(brighter, pairs[:, 1], pairs[:, 0])
    ratio = snr[faint] / snr[bright]
    distance = np.linalg.norm(points[bright, :2] - points[faint, :2], axis=1)
    lost = distance < reach[patch[bright]] - MERGED_BRIGHTER * np.log10(np.maximum(ratio, 1e-3))
    there = there.copy()
    there[faint[lost]] = False
    near = distance < MERGED[1]
    share = ratio[near] / (1 + ratio[near]) * ~there[faint[near]]
    moved = []
    for place in (x, y):
        shift = np.zeros(len(x))
        np.add.at(shift, bright[near], share * (place[faint[near]] - place[bright[near]]))
        moved.append(place + np.clip(shift, -0.5 * width, 0.5 * width))
    return there, *moved


def _false(patch, x, y, fwhm, shape, rng):
    """False detections: anywhere, and beside true ones."""
    n, ny, nx = shape
    beside = rng.integers(0, max(len(patch), 1), rng.poisson(FALSE / 2 * len(patch)))
    angle, radius = rng.uniform(0, 2 * np.pi, len(beside)), rng.uniform(0.8, 2, len(beside))
    radius = radius * fwhm[patch[beside]]
    anywhere = rng.integers(0, n, rng.poisson(FALSE / 2 * len(patch)))
    far_x, far_y = rng.uniform(0, nx - 1, len(anywhere)), rng.uniform(0, ny - 1, len(anywhere))
    return (
        np.concatenate([patch[beside], anywhere]),
        np.concatenate([np.clip(x[beside] + radius * np.cos(angle), 0, nx - 1), far_x]),
        np.concatenate([np.clip(y[beside] + radius * np.sin(angle), 0, ny - 1), far_y]),
    )


def without_artefacts(simulated, rng):
    """Images in half of which nine of ten pixels of cosmic rays and trails count as invalid.

    Parameters
    ----------
    simulated : `~gammapy_asid.optical.simulator.SimulatedImages`
        Images with their truth.
    rng : `~numpy.random.Generator`
        Source of random numbers.

    Returns
    -------
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        Images.
    """
    batch = simulated.batch.to("cpu")
    masked = simulated.cosmic | simulated.trail
    told = torch.from_numpy(rng.random(masked.shape) < 0.9)
    told &= torch.from_numpy(rng.random(len(batch)) < 0.5)[:, None, None]
    batch.valid = batch.valid & ~(masked & told)
    batch.saturated = batch.saturated & batch.valid
    batch.signal = torch.where(batch.valid, batch.signal, 0.0)
    return batch
