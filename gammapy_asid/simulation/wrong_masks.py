# Licensed under a 3-clause BSD style license - see LICENSE
"""Masks with edges and holes anywhere, and places just outside of them."""

import numpy as np
from scipy.ndimage import distance_transform_edt

__all__ = ["ragged_masks", "places_outside"]

# Kinds of masks and their shares: straight edges at any row and column, a round field, a strip, all of it.
KINDS = {"edges": 0.4, "round": 0.25, "strip": 0.15, "full": 0.2}
# Of all: share with holes, most of them and their radii in finest pixels; share with single pixels masked,
# like those of low exposure, and the largest share of these.
HOLES, N_HOLES, HOLE_RADIUS = 0.6, 6, (1.0, 8.0)
SPECKLES, SPECKLE_SHARE = 0.2, 0.08


def ragged_masks(rng, n, size):
    """Valid finest pixels.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of randomness.
    n, size : int
        Number of masks and their side in finest pixels.

    Returns
    -------
    mask : `~numpy.ndarray`
        1 where valid, float32 of shape ``(n, size, size)``; at least an eighth of each.
    """
    grid = np.arange(size)
    masks = np.ones((n, size, size), np.float32)
    for mask, kind in zip(masks, rng.choice(list(KINDS), n, p=list(KINDS.values())), strict=True):
        angle = rng.uniform(0, np.pi)
        along = (grid - size / 2) * np.cos(angle) + (grid[:, None] - size / 2) * np.sin(angle)
        if kind == "edges":
            low, high = rng.integers(0, size // 4, 2), rng.integers(size // 2, size + 1, 2)
            mask[(grid < low[0]) | (grid >= high[0])] = 0
            mask[:, (grid < low[1]) | (grid >= high[1])] = 0
        elif kind == "round":
            cx, cy = rng.uniform(0.3 * size, 0.7 * size, 2)
            radius = rng.uniform(0.3, 0.6) * size
            mask[np.hypot(grid[:, None] - cy, grid - cx) > radius] = 0
        elif kind == "strip":
            mask[np.abs(along) > rng.uniform(0.15, 0.4) * size] = 0
        if rng.random() < HOLES:
            for _ in range(rng.integers(1, N_HOLES + 1)):
                cx, cy = rng.uniform(0, size, 2)
                mask[np.hypot(grid[:, None] - cy, grid - cx) < rng.uniform(*HOLE_RADIUS)] = 0
        if rng.random() < SPECKLES:
            mask[rng.random((size, size)) < rng.uniform(0, SPECKLE_SHARE)] = 0
    return masks


def places_outside(rng, masks, number, distances):
    """Places outside of the valid pixels at some distance to them, within the patch or beyond its sides.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of randomness.
    masks : `~numpy.ndarray`
        Result of `ragged_masks`.
    number : int
        Number of places of each mask.
    distances : tuple of float
        Smallest and largest distance to the nearest valid pixel in finest pixels.

    Returns
    -------
    patch, x, y : `~numpy.ndarray`
        Mask and position in finest pixels of each.
    """
    low, high = distances
    border = int(np.ceil(high))
    places = []
    for patch, mask in enumerate(masks):
        distance = distance_transform_edt(np.pad(mask, border) == 0)
        row, column = np.nonzero((distance >= low) & (distance <= high))
        chosen = rng.integers(len(row), size=number)
        x, y = (v[chosen] - border + rng.uniform(-0.5, 0.5, number) for v in (column, row))
        places.append((np.full(number, patch), x, y))
    patch, x, y = np.concatenate(places, axis=1)
    return patch.astype(int), x, y
