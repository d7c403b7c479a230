# Licensed under a 3-clause BSD style license - see LICENSE
"""The point spread function on the pixels around sources, at any position within a pixel."""

import numpy as np
import torch

from ..batch import HALF, OVERSAMPLING

__all__ = ["Profiles", "nearest_pixels"]

#: Samples by which a place within a pixel, and the four values of a spline, move the point spread function.
_BORDER = OVERSAMPLING // 2 + 2

_SHIFTS = 2 * _BORDER + 1


def nearest_pixels(x, y):
    """Pixels in which positions lie, wherever that is.

    Parameters
    ----------
    x, y : `~torch.Tensor`
        Positions in pixels, shape ``(k,)``; a pixel ends half a pixel from its centre.

    Returns
    -------
    column, row : `~torch.Tensor`
        Integers, shape ``(k,)``.
    """
    return torch.floor(x + 0.5).long(), torch.floor(y + 0.5).long()


def _spline_matrix(n):
    """Values of a cubic B-spline at its knots, as the matrix from coefficients to samples."""
    return np.diag(np.full(n, 2 / 3)) + np.diag(np.full(n - 1, 1 / 6), 1) + np.diag(np.full(n - 1, 1 / 6), -1)


#: Cubic polynomials, rising powers of the fraction of a sample, of the four B-splines around it.
_BASIS = (
    torch.tensor(
        [[1, -3, 3, -1], [4, 0, -6, 3], [1, 3, 3, -3], [0, 0, 0, 1]],
        dtype=torch.float64,
    )
    / 6
)


class Profiles:
    """Share of the light of a star in each pixel around it.

    The samples of the effective point spread function are interpolated by cubic B-splines (Unser 1999, IEEE
    Signal Processing Magazine 16, 22), which also give the slopes.

    Parameters
    ----------
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        Images with their point spread functions.
    half : int
        Pixels on either side of the pixel of the star, at most `~gammapy_asid.optical.batch.HALF`.
    """

    def __init__(self, batch, half=HALF):
        self.half, self.batch = half, batch
        psf = batch.psf
        n, m = psf.shape[:2]
        inverse = torch.from_numpy(np.linalg.inv(_spline_matrix(m)))
        coefficients = torch.nn.functional.pad(inverse @ psf.double() @ inverse.T, [_BORDER] * 4)
        # One image of pixels for each shift by whole samples
        start = m // 2 - OVERSAMPLING * half
        places = start + torch.arange(_SHIFTS)[:, None] + OVERSAMPLING * torch.arange(2 * half + 1)
        tables = coefficients[:, places[:, None, :, None], places[None, :, None, :]]
        self._tables = tables.reshape(n, _SHIFTS**2, -1).float()

    def __call__(self, image, x, y, slopes=False):
        """Profiles of stars around their pixels.

        Parameters
        ----------
        image : `~torch.Tensor`
            Number of the point spread function of each star, shape ``(k,)``.
        x, y : `~torch.Tensor`
            Positions in pixels, shape ``(k,)``; the middle of a profile is `nearest_pixels`.
        slopes : bool
            Also the derivatives with respect to `x` and `y`.

        Returns
        -------
        profiles : `~torch.Tensor`
            Shape ``(k, 2 * half + 1, 2 * half + 1)``, or ``(k, 3, 2 * half + 1, 2 * half + 1)`` with slopes.
        """
        column, row = nearest_pixels(x, y)
        weights_x, weights_y = _weights(x - column), _weights(y - row)
        orders = [(0, 0), (0, 1), (1, 0)] if slopes else [(0, 0)]
        weights = torch.stack(
            [weights_y[i][:, :, None] * weights_x[j][:, None, :] for i, j in orders], 1
        ).flatten(2)
        size = 2 * self.half + 1
        if len(self._tables) == 1:
            result = weights.flatten(0, 1) @ self._tables[0]
        else:
            result = torch.empty(len(x), len(orders), size**2)
            for i in torch.unique(image).tolist():
                own = torch.nonzero(image == i)[:, 0]
                result[own] = weights[own] @ self._tables[i]
        result = result.view(len(x), len(orders), size, size)
        return result if slopes else result[:, 0]


def _weights(offset):
    """Weights of the shifts for stars off the middle of their pixel, and derivatives, ``(k, shifts)``."""
    # A star to the right moves the samples to the left
    place = -OVERSAMPLING * offset.double()
    whole = torch.floor(place)
    fraction = place - whole
    powers = torch.stack([fraction**i for i in range(4)], -1)
    slopes = torch.stack([i * fraction ** max(i - 1, 0) for i in range(4)], -1)
    # The first of the four splines lies one sample before
    first = (whole.long() + _BORDER - 1).clamp(0, _SHIFTS - 4)
    index = first[:, None] + torch.arange(4)
    empty = torch.zeros(len(offset), _SHIFTS, dtype=torch.float64)
    return tuple(
        empty.scatter(1, index, values).float()
        for values in (powers @ _BASIS.T, slopes @ _BASIS.T * -OVERSAMPLING)
    )
