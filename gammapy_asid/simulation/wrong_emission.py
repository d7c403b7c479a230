# Licensed under a 3-clause BSD style license - see LICENSE
"""Predictions of the interstellar emission that are wrong on large scales."""

import numpy as np
import torch

from .extended import BORDER
from .patch_images import smoothed

__all__ = ["draw_edges", "wrong_prediction"]

# Shares of the wrong predictions that are smoothed, have another spectrum, another level, and are of another
# emission model: each is drawn on its own.
SHARES = {"smooth": 0.4, "tilt": 0.4, "level": 0.7, "model": 0.5}
# Ranges: width of the smoothing in deg, error of the photon index, error of the level.
SMOOTH, TILT, LEVEL = (0.3, 2.0), (0.05, 0.3), (0.05, 0.3)

# Radii of bubbles and arcs in deg, from that of a nearby superbubble to that of Loop I, over how many deg
# their edges fall, and how deep an arc is.
RADIUS, EDGE, DEPTH = (1.5, 30.0), (0.03, 0.5), (0.3, 3.0)


def wrong_prediction(rng, prediction, other, cell):
    """Predictions with errors of their level, spectrum and resolution, or of another model.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of randomness.
    prediction, other : `~torch.Tensor`
        Predicted intensity, and that of another model, shape ``(n, n_intervals, gy, gx)``.
    cell : `~torch.Tensor`
        Step of the grid in deg, shape ``(n,)``.

    Returns
    -------
    prediction : `~torch.Tensor`
        Wrong ones, same shape.
    """
    n, n_intervals = prediction.shape[:2]

    def drawn(name, low, high):
        """Logarithmically uniform values, zero where this kind of error is not made."""
        values = np.exp(rng.uniform(np.log(low), np.log(high), n)) * (rng.random(n) < SHARES[name])
        return torch.tensor(values, dtype=torch.float32)

    def signed(values):
        return values * torch.tensor(rng.choice([-1.0, 1.0], n), dtype=torch.float32)

    exchanged = torch.tensor(rng.random(n) < SHARES["model"])[:, None, None, None]
    prediction = torch.where(exchanged, other, prediction)
    prediction = smoothed(prediction, (drawn("smooth", *SMOOTH) / cell)[:, None])
    # The tilt pivots at the middle of the intervals, which are about half a decade wide.
    energy = np.log(10) / 2 * (torch.arange(n_intervals) - (n_intervals - 1) / 2)
    log_error = signed(drawn("tilt", *TILT))[:, None] * energy
    log_error = log_error + torch.log1p(signed(drawn("level", *LEVEL)))[:, None]
    return prediction * torch.exp(log_error)[:, :, None, None]


def draw_edges(rng, pixel_size, size):
    """Bubbles and arcs with sharp edges that run through patches.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Source of randomness.
    pixel_size : `~torch.Tensor`
        Of the finest pixels in deg, shape ``(n,)``.
    size : int
        Side of a patch in finest pixels.

    Returns
    -------
    images : `~torch.Tensor`
        From 0 outside to 1 inside, shape ``(n, side, side)`` with the border
        `~gammapy_asid.simulation.extended.BORDER`.
    """
    n = len(pixel_size)
    radius, edge, depth = (np.exp(rng.uniform(*np.log(v), n)) for v in (RADIUS, EDGE, DEPTH))
    # An arc is a shell; half of the structures are full.
    depth = np.where(rng.random(n) < 0.5, depth, np.inf)
    px, py = rng.uniform(0, size, (2, n))
    angle = rng.uniform(0, 2 * np.pi, n)
    values = (radius, edge, depth, px, py, np.cos(angle), np.sin(angle))
    radius, edge, depth, px, py, cos, sin = (
        torch.tensor(v, dtype=torch.float32)[:, None, None] for v in values
    )
    grid = torch.arange(-BORDER, size + BORDER).float()
    step = pixel_size[:, None, None]
    x, y = (grid - px) * step - radius * cos, (grid[:, None] - py) * step - radius * sin
    inside = radius - torch.hypot(x, y)
    return torch.sigmoid(inside / edge) * torch.sigmoid((depth - inside) / edge)
