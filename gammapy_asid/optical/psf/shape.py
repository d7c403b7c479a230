# Licensed under a 3-clause BSD style license - see LICENSE
"""The shape that stars share: a Moffat profile and what differs from it, each held by a prior.

Both steps solve for the shape with the fluxes, positions and levels of the stars free: these are eliminated
from the normal equations star by star (Schur complement).
"""

from dataclasses import dataclass

import numpy as np

from ..batch import HALF, OVERSAMPLING
from .basis import Splines, radial_tables
from .evidence import is_sampled, most_probable
from .profile import Moffat, interpolation, sample, splines
from .psf import OFFSETS
from .stars import LEVEL_ERROR, MODEL_ERROR, local_terms, weights

__all__ = ["Shape", "fit_moffat", "fit_residual"]

#: Prior of the Moffat profile's parameters. Exponents are between 2 and 5 for telescopes on the ground
#: (Trujillo et al. 2001, MNRAS 328, 977), stars rounder than 0.2, and some light is in a halo.
MIDDLE = np.array([0.0, np.log(3.0), 0.0, 0.0, 0.0])
SPREAD = np.array([100.0, 0.4, 0.2, 0.2, 0.15])
#: The same for the halo in crowds, where the light of unresolved sources would be taken for one.
CROWDED_HALO = 0.005
#: Range of the parameters: beyond it the profile is none, or Gaussian.
LOWEST = np.array([np.log(0.3), np.log(1.3), -0.7, -0.7, 0.0])
HIGHEST = np.array([np.log(2.0 * HALF), np.log(30.0), 0.7, 0.7, 0.6])
#: Prior standard deviations of the change of the Moffat profile's parameters from the centre to an edge.
FIELD = np.array([0.05, 0.1, 0.03, 0.03])
#: Error of the sum of what differs from the profile, which is 0.
SUM_ERROR = 0.01
#: Error of a Moffat profile relative to its value: what the part that differs is expected to be.
MOFFAT_ERROR = 0.1


@dataclass(kw_only=True)
class Shape:
    """Shape of stars over the field.

    Parameters
    ----------
    parameters : `~numpy.ndarray`
        Of the Moffat profile.
    residual : `~numpy.ndarray`
        What differs from it, shape ``(SIDE, SIDE)``.
    field : `~numpy.ndarray`
        Change of the first four parameters with x and with y, shape ``(2, 4)``.
    """

    parameters: np.ndarray
    residual: np.ndarray
    field: np.ndarray

    @classmethod
    def start(cls, parameters):
        """A Moffat profile.

        Parameters
        ----------
        parameters : `~numpy.ndarray`
            Of the profile.

        Returns
        -------
        shape : `Shape`
            Without a residual and equal in the whole field.
        """
        side = len(OFFSETS)
        return cls(parameters=parameters, residual=np.zeros((side, side)), field=np.zeros((2, 4)))

    def terms(self):
        """Terms of a `PSF` of first degree: the middle, and the changes with x and y."""
        middle = Moffat.table(self.parameters) + self.residual
        changes = np.tensordot(self.field, Moffat.derivatives(self.parameters)[:4], 1)
        return np.stack([middle, *changes])


def star_coefficients(terms, position):
    """Splines of the PSF of each star.

    Parameters
    ----------
    terms : `~numpy.ndarray`
        From `Shape.terms`.
    position : `~numpy.ndarray`
        Positions in the field from -1 to 1, shape ``(n, 2)``.

    Returns
    -------
    coefficients : `~numpy.ndarray`
        Shape ``(n, SIDE, SIDE)``, or ``(SIDE, SIDE)`` where all are equal.
    """
    coefficients = splines(terms)
    if not np.any(terms[1:]):
        return coefficients[0]
    factors = np.column_stack([np.ones(len(position)), position]).astype(np.float32)
    return np.tensordot(factors, coefficients, 1)


def _eliminated(own, stars, precision):
    """Design of the nuisances of each star, whitened by the Cholesky factor of their own normal matrix."""
    n, flux = len(stars), stars.flux
    local = np.stack(
        [own[0], flux[:, None, None] * own[1], flux[:, None, None] * own[2], np.ones_like(own[0])], 1
    )
    weighted = local * precision[:, None]
    matrix = np.einsum("nlp,nmp->nlm", *(part.reshape(n, 4, -1) for part in (weighted, local)), optimize=True)
    matrix = matrix.astype(float)
    matrix[:, range(4), range(4)] *= 1 + 1e-5
    matrix[:, range(4), range(4)] += np.array([1e-9, 0, 0, LEVEL_ERROR**-2])
    matrix[:, (1, 2), (1, 2)] += stars.position_error[:, None] ** -2
    whitening = np.linalg.inv(np.linalg.cholesky(matrix))
    return np.einsum("nlm,nmij->nlij", whitening, weighted, optimize=True).astype(np.float32)


def _normal(columns, own, stars, precision, residual):
    """Normal equations of dense columns ``(n, k, m, m)`` with the nuisances eliminated."""
    n, k = columns.shape[:2]
    nuisance = _eliminated(own, stars, precision)
    flat = columns.reshape(n, k, -1)
    weighted = flat * precision.reshape(n, 1, -1)
    cross = flat @ nuisance.reshape(n, 4, -1).transpose(0, 2, 1)
    right = nuisance.reshape(n, 4, -1) @ residual.reshape(n, -1, 1)
    matrix = (weighted @ flat.transpose(0, 2, 1) - cross @ cross.transpose(0, 2, 1)).sum(0)
    vector = (weighted @ residual.reshape(n, -1, 1) - cross @ right).sum(0)[:, 0]
    return matrix.astype(float), vector.astype(float)


def fit_moffat(stars, shape, damping=1.0):
    """One Gauss-Newton step of the Moffat profile's parameters.

    Parameters
    ----------
    stars : `Stars`
        Stars with fluxes and positions.
    shape : `Shape`
        Where it starts; only its profile is used.
    damping : float
        Part of the step that is made: where no Moffat profile fits, whole steps jump to and fro.

    Returns
    -------
    shape : `Shape`
        With new parameters.
    """
    own, near = local_terms(stars, splines(Moffat.table(shape.parameters))[0])
    precision, residual = weights(stars, own[0], near[0], MOFFAT_ERROR)
    # The level is found again with the prior on the whole of it
    residual = residual + stars.level[:, None, None].astype(np.float32)
    rows, columns = interpolation(stars.dy)[0], interpolation(stars.dx)[0]
    changes = [sample(table, rows, columns) for table in splines(Moffat.derivatives(shape.parameters))]
    prior = SPREAD**-2.0
    if stars.crowded:
        prior[4] = CROWDED_HALO**-2
    design = np.stack(changes, 1) * stars.flux[:, None, None, None].astype(np.float32)
    matrix, vector = _normal(design, own, stars, precision, residual)
    matrix[np.diag_indices(5)] += prior
    vector -= prior * (shape.parameters - MIDDLE)
    change = np.clip(damping * np.linalg.solve(matrix, vector), -0.25, 0.25)
    parameters = np.clip(shape.parameters + change, LOWEST, HIGHEST)
    return Shape.start(parameters)


def fit_residual(stars, shape, position, field, tolerance=MODEL_ERROR, damping=1.0):
    """One step of what differs from the Moffat profile, and of the change over the field.

    Parameters
    ----------
    stars : `Stars`
        Stars with fluxes and positions.
    shape : `Shape`
        Where it starts.
    position : `~numpy.ndarray`
        Positions in the field from -1 to 1, shape ``(n, 2)``.
    field : bool
        Whether the shape changes over the field.
    tolerance : float
        Error of the model at the start, relative to its value.
    damping : float
        Part of the step that is made.

    Returns
    -------
    shape : `Shape`
        With another residual and field.
    """
    own, near = local_terms(stars, star_coefficients(shape.terms(), position))
    precision, residual = weights(stars, own[0], near[0], tolerance)
    fwhm = np.exp(shape.parameters[0])
    basis = Splines(fwhm)
    rows, columns = interpolation(stars.dy)[0], interpolation(stars.dx)[0]
    # All that is not the profile is found again, so that the prior holds the whole of it
    profile = sample(splines(Moffat.table(shape.parameters))[0], rows, columns)
    residual = residual + stars.flux[:, None, None] * (own[0] - profile) + stars.level[:, None, None]
    residual = residual.astype(np.float32)
    radial, radius = radial_tables(fwhm)
    dense = [sample(table, rows, columns) for table in splines(radial)]
    if field:
        derivatives = splines(Moffat.derivatives(shape.parameters)[:4])
        modes = [sample(table, rows, columns) for table in derivatives]
        dense += [mode * along[:, None, None] for along in position.T.astype(np.float32) for mode in modes]
    dense = np.stack(dense, 1) * stars.flux[:, None, None, None].astype(np.float32)
    matrix, vector = _joint_normal(basis, dense, own, stars, precision, residual)
    # Fluxes are free, so that only this holds the sum: else the prior of the wings would draw it to zero
    share = basis.values(OFFSETS).sum(0)
    share = np.concatenate([np.outer(share, share)[basis.inside], radial.sum((1, 2))]) / OVERSAMPLING**2
    matrix[: len(share), : len(share)] += np.outer(share, share) / SUM_ERROR**2
    spread = _prior(basis, _prior_profile(shape.parameters), radius, field)
    kind = stars.crowded, is_sampled(basis.spacing, len(stars))
    solution = most_probable(matrix, vector, spread, basis.inside.sum(), len(radial), *kind)
    n, k = int(basis.inside.sum()), len(radial)
    residual = basis.table(solution[:n]) + np.tensordot(solution[n : n + k], radial, 1)
    slopes = solution[n + k :].reshape(2, 4) if field else np.zeros((2, 4))
    middle = Moffat.table(shape.parameters)
    total = middle + residual
    residual = total * (OVERSAMPLING**2 / total.sum()) - middle
    residual = shape.residual + damping * (residual - shape.residual)
    return Shape(parameters=shape.parameters, residual=residual, field=slopes)


def _prior_profile(parameters):
    """Profile that the residual is relative to, as a function of the distance: with wings of a power law."""
    middle = HALF * OVERSAMPLING
    round_ = parameters * [1, 1, 0, 0, 1]
    wings = np.array([parameters[0], 0.5, 0, 0, 0])
    values = Moffat.table(round_)[middle, middle:] + 0.2 * Moffat.table(wings)[middle, middle:]
    return lambda radius: np.interp(radius, OFFSETS[middle:], values)


def _prior(basis, profile, radius, field):
    knots = np.hypot(basis.knots, basis.knots[:, None])[basis.inside]
    fields = np.tile(FIELD, 2) if field else []
    return np.concatenate([profile(knots), profile(radius), fields])


def _joint_normal(basis, dense, own, stars, precision, residual):
    """Normal equations of the splines (first) and the dense columns, nuisances eliminated.

    Splines on different axes are products, so the matrix is summed over rows first and columns then: a
    thousand times fewer operations than with the pixels' full design.
    """
    n, side = len(stars), own[0].shape[-1]
    steps = np.arange(-HALF, HALF + 1)
    y, x = (basis.values(steps - shift[:, None]) for shift in (stars.dy, stars.dx))
    flux = stars.flux.astype(np.float32)[:, None, None]
    nuisance = _eliminated(own, stars, precision)
    weight = (precision * flux**2).astype(np.float32)
    size, inside = len(basis.knots), basis.inside.ravel()
    matrix = _banded(y, x, weight, size)[np.ix_(inside, inside)]

    def project(images):
        """Sums of images with each spline, shape ``(n, k, splines)``."""
        return (y.transpose(0, 2, 1)[:, None] @ images @ x[:, None]).reshape(n, images.shape[1], -1)[
            ..., inside
        ]

    weighted = dense * precision[:, None]
    flat = dense.reshape(n, dense.shape[1], -1)
    spline_nuisance = project(nuisance * flux[:, None])
    dense_nuisance = nuisance.reshape(n, 4, -1) @ flat.transpose(0, 2, 1)
    cross = np.concatenate([spline_nuisance, dense_nuisance], axis=2).reshape(n * 4, -1)
    mixed = project(weighted * flux[:, None]).sum(0)
    square = (weighted.reshape(flat.shape) @ flat.transpose(0, 2, 1)).sum(0)
    full = np.block([[matrix, mixed.T], [mixed, square]]) - cross.T @ cross
    right = (nuisance.reshape(n, 4, -1) @ residual.reshape(n, side**2, 1)).reshape(n * 4)
    image = (precision * residual)[:, None]
    vector = np.concatenate(
        [project(image * flux[:, None]).sum((0, 1)), (weighted * residual[:, None]).sum((0, 2, 3))]
    )
    return full.astype(float), (vector - cross.T @ right).astype(float)


def _banded(y, x, weight, size):
    """Matrix of the splines' products: only splines less than four knots apart overlap."""
    apart = np.arange(-3, 4)
    first = np.repeat(np.arange(size), len(apart))
    second = first + np.tile(apart, size)
    kept = (second >= 0) & (second < size)
    first, second = first[kept], second[kept]
    by_rows = (y[..., first] * y[..., second]).transpose(0, 2, 1) @ weight
    products = (by_rows @ (x[..., first] * x[..., second])).sum(0)
    matrix = np.zeros((size,) * 4, dtype=np.float32)
    matrix[first[:, None], first[None, :], second[:, None], second[None, :]] = products
    return matrix.reshape(size**2, size**2)
