# Licensed under a 3-clause BSD style license - see LICENSE
"""Stars with their neighbours in small stamps: fluxes and positions for a given point spread function."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from ..batch import HALF
from .candidates import stamps_at
from .profile import interpolation, sample

__all__ = ["Stars", "collect_stars", "local_terms", "step"]

#: Neighbours of a star that are fitted with it: in a crowd of one source in 5 x 5 pixels as many are within
#: the stamp's inner half.
NEIGHBOURS = 16
#: Neighbours in a stamp, on average, from which on an image is crowded.
CROWDED = 3
#: Light of diffraction rings and spikes at `RINGS_AT` times the width over that in the middle of a star: that
#: of rings falls with the third power of the distance (Airy pattern; the first ring of a mirror with a hole
#: of a third has 4 %). Fainter peaks are parts of the star.
RINGS, RINGS_AT = 0.05, 1.2
#: Pixels from the star within which neighbours are fitted, 3 more than the stamp.
REACH = HALF + 3
#: Prior standard deviation of the level under a star, in units of the sky's noise: what a mesh of the
#: background leaves.
LEVEL_ERROR = 0.1
#: Error of the positions of the moments, in pixels, of stars without and with a neighbour nearer than
#: `ALONE` times their width: they hold the positions, which undersampled stars and the shape between their
#: pixels would otherwise leave to each other.
POSITION_ERRORS, ALONE = (0.02, 0.05), 2.5
#: Largest move of a star in one step, in pixels, so that a bad start does not lead away.
LARGEST_MOVE = 0.3
#: Error of any model of the PSF relative to its value: brighter pixels do not count more than this allows.
MODEL_ERROR = 0.02


@dataclass(kw_only=True)
class Stars:
    """Stamps around candidates, and what is known of the stars in them.

    Parameters
    ----------
    image, precision : `~numpy.ndarray`
        Signal and its inverse variance, 0 where not valid, shape ``(n, m, m)``.
    column, row : `~numpy.ndarray`
        Pixel in the middle, shape ``(n,)``.
    dx, dy, flux, level : `~numpy.ndarray`
        Position from the middle in pixels, flux and background, shape ``(n,)``.
    start_dx, start_dy, position_error : `~numpy.ndarray`
        Where they were at first and the error of that, shape ``(n,)``.
    near_dx, near_dy, near_flux : `~numpy.ndarray`
        The same of the neighbours, shape ``(n, NEIGHBOURS)``; a flux of 0 where there is none.
    near : `~numpy.ndarray`
        Where there are neighbours, bool of the same shape.
    """

    image: np.ndarray
    precision: np.ndarray
    column: np.ndarray
    row: np.ndarray
    dx: np.ndarray
    dy: np.ndarray
    start_dx: np.ndarray
    start_dy: np.ndarray
    position_error: np.ndarray
    flux: np.ndarray
    level: np.ndarray
    near_dx: np.ndarray
    near_dy: np.ndarray
    near_flux: np.ndarray
    near: np.ndarray

    def __len__(self):
        return len(self.dx)

    def __getitem__(self, chosen):
        return Stars(**{name: value[chosen] for name, value in vars(self).items()})

    @property
    def crowded(self):
        """Whether there are so many sources that more are expected below the noise."""
        return self.near.sum(1).mean() > CROWDED

    @property
    def x(self):
        """Columns in the image."""
        return self.column + self.dx

    @property
    def y(self):
        """Rows in the image."""
        return self.row + self.dy


def collect_stars(signal, variance, valid, x, y, flux, peaks, fwhm):
    """Cut stamps around candidates and list the peaks around them.

    Parameters
    ----------
    signal, variance, valid : `~numpy.ndarray`
        Image with a border of at least ``HALF`` pixels.
    x, y, flux : `~numpy.ndarray`
        Candidates.
    peaks : `~numpy.ndarray`
        Positions ``(x, y)`` of all peaks, shape ``(n, 2)``.
    fwhm : float
        Width of stars in pixels.

    Returns
    -------
    stars : `Stars`
        In the order of the candidates.
    """
    row, column = np.rint(y).astype(int), np.rint(x).astype(int)
    precision = stamps_at(valid, row, column, HALF) / stamps_at(variance, row, column, HALF)
    # Corners are as far as no other pixel and would count as much
    steps = np.arange(-HALF, HALF + 1)
    precision *= np.hypot(steps, steps[:, None]) <= HALF + 0.5
    distance, index = cKDTree(peaks).query(np.stack([x, y], 1), k=NEIGHBOURS + 1, distance_upper_bound=REACH)
    # The candidate's own peak is less than a pixel and a half away
    near = np.isfinite(distance) & (distance > 1.5)
    brightness = np.append(signal[peaks[:, 1].astype(int), peaks[:, 0].astype(int)], 0)
    rings = RINGS * np.maximum(1, distance / (RINGS_AT * fwhm)) ** -3
    near &= brightness[index] > rings * signal[row, column][:, None]
    beside = (near & (distance < ALONE * fwhm)).any(1)
    most = min(near.sum(1).max(), NEIGHBOURS)
    order = np.argsort(~near, axis=1, kind="stable")[:, :most]
    near, index = (np.take_along_axis(value, order, 1) for value in (near, index))
    offsets = np.vstack([peaks, [np.nan, np.nan]])[np.where(near, index, len(peaks))]
    return Stars(
        image=stamps_at(signal, row, column, HALF),
        precision=precision.astype(np.float32),
        column=column,
        row=row,
        dx=x - column,
        dy=y - row,
        start_dx=x - column,
        start_dy=y - row,
        position_error=np.where(beside, *POSITION_ERRORS[::-1]),
        flux=np.array(flux, dtype=float),
        level=np.zeros(len(x)),
        near_dx=np.where(near, offsets[..., 0] - column[:, None], 0),
        near_dy=np.where(near, offsets[..., 1] - row[:, None], 0),
        near_flux=np.zeros(near.shape),
        near=near,
    )


def local_terms(stars, coefficients, slopes=False):
    """Model of the stamps and its derivatives for a given PSF.

    Parameters
    ----------
    stars : `Stars`
        Stars.
    coefficients : `~numpy.ndarray`
        Splines of the PSF, shape ``(SIDE, SIDE)``, or one a star.
    slopes : bool
        Whether the derivatives are asked for of the neighbours too.

    Returns
    -------
    own : tuple of `~numpy.ndarray`
        PSF of the star and its derivatives by the star's x and y, shape ``(n, m, m)``.
    near : tuple of `~numpy.ndarray`
        The same of the neighbours, shape ``(n, NEIGHBOURS, m, m)``, or only their PSF.
    """
    rows, row_slopes = interpolation(stars.dy)
    columns, column_slopes = interpolation(stars.dx)
    own = (
        sample(coefficients, rows, columns),
        sample(coefficients, rows, column_slopes),
        sample(coefficients, row_slopes, columns),
    )
    which = np.nonzero(stars.near)
    rows, row_slopes = interpolation(stars.near_dy[which])
    columns, column_slopes = interpolation(stars.near_dx[which])
    if coefficients.ndim == 3:
        coefficients = coefficients[which[0]]
    near = []
    kinds = (rows, columns), (rows, column_slopes), (row_slopes, columns)
    for one, other in kinds if slopes else kinds[:1]:
        values = np.zeros((*stars.near.shape, *own[0].shape[1:]), dtype=np.float32)
        values[which] = sample(coefficients, one, other)
        near.append(values)
    return own, tuple(near)


def weights(stars, own, near, tolerance=MODEL_ERROR):
    """Inverse variances with the error of any model, and less of pixels that no model explains.

    Parameters
    ----------
    stars : `Stars`
        Stars.
    own, near : `~numpy.ndarray`
        PSF of the stars and of their neighbours.
    tolerance : float
        Error of the model relative to its value.

    Returns
    -------
    precision, residual : `~numpy.ndarray`
        Shape ``(n, m, m)``.
    """
    model = stars.flux[:, None, None] * own
    around = np.einsum("nk,nkij->nij", stars.near_flux, near)
    residual = stars.image - model - around - stars.level[:, None, None]
    # What a profile lacks is not in proportion to it in wings and rings: some of the maximum is added there
    wings = tolerance * stars.flux[:, None, None] * own.max((1, 2), keepdims=True)
    precision = stars.precision / (1 + stars.precision * tolerance**2 * (model**2 + 4 * around**2 + wings**2))
    pull = np.abs(residual) * np.sqrt(precision)
    # Huber's weights: linear beyond three standard deviations
    return precision * np.minimum(1, 3 / np.maximum(pull, 1e-3)), residual


def step(stars, coefficients, tolerance=MODEL_ERROR):
    """One Newton step of fluxes, positions and levels of stars and neighbours for a given PSF.

    Parameters
    ----------
    stars : `Stars`
        Stars; changed in place.
    coefficients : `~numpy.ndarray`
        Splines of the PSF.
    tolerance : float
        Error of the model relative to its value.
    """
    own, near = local_terms(stars, coefficients, slopes=True)
    precision, residual = weights(stars, own[0], near[0], tolerance)
    n, side = len(stars), own[0].shape[-1]
    design = np.concatenate([np.stack([*own, np.ones_like(own[0])], 1), near[0]], axis=1).reshape(
        n, -1, side**2
    )
    design[:, 1:3] *= stars.flux[:, None, None]
    weighted = design * precision.reshape(n, 1, -1)
    matrix = (weighted @ design.transpose(0, 2, 1)).astype(float)
    vector = (weighted @ residual.reshape(n, -1, 1))[..., 0].astype(float)
    diagonal = np.arange(design.shape[1])
    matrix[:, diagonal, diagonal] *= 1 + 1e-4
    matrix[:, diagonal, diagonal] += 1e-6
    matrix[:, 3, 3] += LEVEL_ERROR**-2
    vector[:, 3] -= stars.level * LEVEL_ERROR**-2
    held = stars.position_error[:, None] ** -2
    matrix[:, (1, 2), (1, 2)] += held
    vector[:, 1:3] -= held * np.column_stack([stars.dx - stars.start_dx, stars.dy - stars.start_dy])
    change = np.linalg.solve(matrix, vector[..., None])[..., 0]
    # The star's position is held near its start: 0.5 pixels
    stars.flux = np.maximum(stars.flux + change[:, 0], 1e-3)
    for name, move in (("dx", change[:, 1]), ("dy", change[:, 2])):
        move = np.clip(np.nan_to_num(move), -LARGEST_MOVE, LARGEST_MOVE)
        setattr(stars, name, np.clip(getattr(stars, name) + move, -1.5, 1.5))
    stars.level = stars.level + change[:, 3]
    stars.near_flux = np.where(stars.near, np.maximum(stars.near_flux + change[:, 4:], 0), 0)
    _move_neighbours(stars, near, precision, residual, change, own)


def _move_neighbours(stars, near, precision, residual, change, own):
    """Each neighbour moves by what the rest of the image along its slopes tells, with the others held."""
    residual = (
        residual - np.einsum("nk,nkij->nij", change[:, 4:], near[0]) - change[:, 0, None, None] * own[0]
    )
    for name, slopes in (("near_dx", near[1]), ("near_dy", near[2])):
        weighted = slopes * precision[:, None]
        curvature = (weighted * slopes).sum((2, 3)) * stars.near_flux
        move = np.einsum("nkij,nij->nk", weighted, residual) / np.maximum(curvature, 1e-6)
        # Half of the step: neighbours overlap
        move = np.where(
            stars.near & (stars.near_flux > 0), np.clip(0.5 * move, -LARGEST_MOVE, LARGEST_MOVE), 0
        )
        setattr(stars, name, getattr(stars, name) + move)
