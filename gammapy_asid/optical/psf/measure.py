# Licensed under a 3-clause BSD style license - see LICENSE
"""The point spread function measured on the image's own stars."""

import warnings

import numpy as np

from ...utils.devices import one_thread
from ..batch import HALF
from .basis import Splines
from .candidates import find_candidates
from .evidence import is_sampled
from .profile import Moffat, interpolation, interpolation_at, sample, splines
from .psf import OFFSETS, PSF, full_width
from .shape import MOFFAT_ERROR, Shape, fit_moffat, fit_residual, star_coefficients
from .stars import MODEL_ERROR, collect_stars, local_terms, step, weights

__all__ = ["measure_psf"]

#: Stars below which the shape is not fitted for a change over the field: two slopes of a width with an
#: error of a few per cent need as many.
FIELD_STARS = 10
#: Stars used at most: more add less than the shape changes between them.
MOST_STARS = 60
#: Part of the step made, of the steps towards the Moffat profile, and the change at which they end: a fifth
#: of a per cent of the width.
PROFILE_STEPS, CONVERGED = (1, 1, 0.6, 0.6, 0.6), 0.002
#: Error of the model that weights assume and part of the step made, of the steps towards the final shape:
#: first with room for what the profile lacks.
RESIDUAL_STEPS = ((MOFFAT_ERROR, 1), (0.05, 0.7), (MODEL_ERROR, 0.6), (MODEL_ERROR, 0.6), (MODEL_ERROR, 0.6))
#: Spread of the widths of stars in a real image, relative: the change over the field and neighbours.
WIDTH_SPREAD = 0.03


@one_thread()
def measure_psf(signal, variance=None, valid=None, saturated=None):
    """Measure the point spread function on the image's own stars.

    Candidates are the bright peaks that have one shape as only stars do, their neighbours are fitted with
    them. A Moffat profile that all share is fitted first, then what differs from it, on splines with a prior
    whose width the stars choose: few or faint stars give the profile, many bright ones their own shape.

    Parameters
    ----------
    signal : `~numpy.ndarray`
        Light above the background over the noise of the sky, shape ``(ny, nx)``.
    variance : `~numpy.ndarray`, optional
        Variance of `signal`, 1 on the sky.
    valid, saturated : `~numpy.ndarray`, optional
        Pixels with data, and those at saturation.

    Returns
    -------
    psf : `PSF`
        Point spread function with its number of stars and the error of its width. Where no stars are certain,
        or too few for their width, there is a warning, `origin` begins with "uncertain" and no error is told.

    Raises
    ------
    ValueError
        Where the image has no star to measure it on.
    """
    signal, variance, valid, saturated, shape = _padded(signal, variance, valid, saturated)
    candidates, peaks, start, is_certain = find_candidates(signal, valid, saturated)
    if not len(candidates):
        raise ValueError("The image has no star to measure its PSF on: give a PSF")
    where = candidates.x, candidates.y, candidates.flux
    stars = collect_stars(signal, variance, valid, *where, peaks, np.exp(start[0]))
    fit = _profile(stars, Shape.start(start))
    position = _field_position(stars, shape)
    stars, position = _chosen(stars, fit, position, MOFFAT_ERROR)
    fit = _profile(stars, fit)
    for tolerance, damping in RESIDUAL_STEPS:
        step(stars, star_coefficients(fit.terms(), position), tolerance)
        fit = fit_residual(stars, fit, position, len(stars) >= FIELD_STARS, tolerance, damping)
        if damping == 1:
            stars, position = _chosen(stars, fit, position, tolerance)
    return _psf(fit, stars, position, shape, is_certain)


def _profile(stars, fit):
    """Moffat profile of the stars, and fluxes and positions with it."""
    for damping in PROFILE_STEPS:
        step(stars, splines(fit.terms()[0])[0], MOFFAT_ERROR)
        before, fit = fit, fit_moffat(stars, fit, damping)
        if np.abs(fit.parameters - before.parameters).max() < CONVERGED:
            break
    return fit


def _padded(signal, variance, valid, saturated):
    """Image with an invalid border, so that stamps of sources at the edges are within it."""
    signal = np.asarray(signal)
    if signal.ndim != 2:
        raise ValueError(f"An image has two dimensions, got {signal.shape}")
    finite = np.isfinite(signal)
    valid = finite if valid is None else valid & finite
    border = HALF + 2
    padded = np.pad(np.where(valid, signal, 0).astype(np.float32), border)
    variance = np.ones_like(padded) if variance is None else np.pad(variance, border, constant_values=1)
    saturated = np.zeros(padded.shape, dtype=bool) if saturated is None else np.pad(saturated, border)
    return padded, variance.astype(np.float32), np.pad(valid, border) & ~saturated, saturated, signal.shape


def _field_position(stars, shape):
    """Positions in the field from -1 to 1."""
    border = HALF + 2
    middle = [(n - 1) / 2 for n in shape]
    return np.column_stack(
        [(stars.x - border - middle[1]) / (shape[1] / 2), (stars.y - border - middle[0]) / (shape[0] / 2)]
    )


def _widths(stars, fit, position, tolerance=MODEL_ERROR):
    """How much wider than the PSF each star is, relative, its error, and how badly the PSF describes it."""
    own, near = local_terms(stars, star_coefficients(fit.terms(), position))
    precision, residual = weights(stars, own[0], near[0], tolerance)
    rows, columns = interpolation(stars.dy)[0], interpolation(stars.dx)[0]
    wider = sample(splines(Moffat.derivatives(fit.parameters)[0])[0], rows, columns)
    own, wider = (image * stars.flux[:, None, None] for image in (own[0], wider))
    # The flux is free
    share = (precision * own * wider).sum((1, 2)) / (precision * own**2).sum((1, 2))
    wider = wider - share[:, None, None] * own
    information = (precision * wider**2).sum((1, 2))
    width = (precision * wider * residual).sum((1, 2)) / information
    core = own > 0.1 * own.max((1, 2), keepdims=True)
    chi2 = (core * precision * residual**2).sum((1, 2)) / (core * (precision > 0)).sum((1, 2)).clip(1)
    return width, 1 / np.sqrt(information), chi2


def _chosen(stars, fit, position, tolerance):
    """The stars that look like most, the best first."""
    width, error, chi2 = _widths(stars, fit, position, tolerance)
    error = np.hypot(error, WIDTH_SPREAD)
    # Where the widths are densest, each with its error
    near = np.exp(-0.5 * (width[:, None] - width) ** 2 / (error[:, None] ** 2 + error**2)) / error
    middle = width[np.argmax(near.sum(1))]
    good = (np.abs(width - middle) < 3 * error) & (chi2 < max(3, 2 * np.median(chi2)))
    if not good.any():
        good = np.arange(len(stars)) == np.argmin(np.abs(width - middle))
    around = (
        stars.near_flux
        / (1 + (stars.near_dx - stars.dx[:, None]) ** 2 + (stars.near_dy - stars.dy[:, None]) ** 2)
    ).sum(1)
    quality = np.where(good, stars.flux / (1 + 3 * around / stars.flux), -1)
    order = np.argsort(-quality, kind="stable")[: min(good.sum(), MOST_STARS)]
    return stars[order], position[order]


def _psf(fit, stars, position, shape, is_certain):
    """The result, centred, with its error."""
    terms = fit.terms()
    middle = terms[0]
    fwhm = full_width(middle)
    window = np.exp(-(OFFSETS**2 + OFFSETS[:, None] ** 2) / (2 * (fwhm / 2.3548) ** 2))
    for _ in range(3):
        light = window * terms[0]
        x, y = (2 * (light * at).sum() / light.sum() for at in (OFFSETS, OFFSETS[:, None]))
        rows, columns = (interpolation_at(OFFSETS[None] + shift)[0] for shift in (y, x))
        terms = np.stack([sample(table, rows, columns)[0] for table in splines(terms)])
    width, error, _ = _widths(stars, fit, position)
    scatter = 1.4826 * np.median(np.abs(width - np.median(width))) if len(stars) > 4 else np.median(error)
    n = len(stars)
    origin = f"measured on {n} star{'s' * (n != 1)}"
    if not is_certain:
        origin = f"uncertain: measured on {n} source{'s' * (n != 1)} that may be no stars"
    elif not is_sampled(Splines(fwhm).spacing, n):
        is_certain, origin = False, f"uncertain: {origin}, too few for one so narrow"
    if not is_certain:
        warnings.warn(f"The PSF is {origin}; give one if you know it", stacklevel=3)
    if not np.any(terms[1:]):
        terms = terms[:1]
    return PSF(
        terms=terms,
        center=((shape[1] - 1) / 2, (shape[0] - 1) / 2),
        scale=(shape[1] / 2, shape[0] / 2),
        origin=origin,
        n_stars=n,
        fwhm_err=float(fwhm * max(scatter, np.median(error)) / np.sqrt(n)) if is_certain else None,
    )
