# Licensed under a 3-clause BSD style license - see LICENSE
"""How much a source varies, from its light curve with errors, for many sources at once."""

import astropy.units as u
import numpy as np

__all__ = ["fractional_variability", "variability_index"]


def variability_index(flux, error, systematic=0.0):
    r"""Chi-square of a constant flux: the variability index of light curves.

    .. math::
        \sum_i \frac{(F_i - \bar F)^2}{\sigma_i^2 + (f \bar F)^2}, \qquad
        \bar F = \frac{\sum_i F_i / \sigma_i^2}{\sum_i 1 / \sigma_i^2}

    This is the index of 4FGL (Abdollahi et al. 2020, ApJS 247, 33, equation 4) for parabolic likelihoods. A
    steady source has a chi-square distribution with one degree of freedom less than bins: 99 % of them lie
    below ``scipy.stats.chi2.ppf(0.99, n_bins - 1)``, 27.69 for 14 bins.

    Parameters
    ----------
    flux : array-like
        Flux in each time bin, shape ``(n, n_bins)``. Bins of NaN were not measured and are left out.
    error : array-like
        Its error in the same unit, same shape. Bins whose error is NaN, infinite or not above 0 are left out.
    systematic : float
        Systematic error of each bin as a share f of the mean flux. The indices of 4FGL-DR4 have none.

    Returns
    -------
    index : `~numpy.ndarray`
        Shape ``(n,)``. NaN with fewer than two bins measured.

    Raises
    ------
    ValueError
        If the arrays are not of one two-dimensional shape, or one has a unit and the other not.
    """
    flux, error, known = _checked(flux, error)
    weight = known / error**2
    total = weight.sum(axis=1)
    mean = (weight * flux).sum(axis=1) / np.where(total > 0, total, 1)
    variance = error**2 + (systematic * mean[:, None]) ** 2
    index = (known * (flux - mean[:, None]) ** 2 / variance).sum(axis=1)
    return np.where(known.sum(axis=1) > 1, index, np.nan)


def fractional_variability(flux, error):
    r"""Standard deviation of the flux beyond its errors, over the mean flux.

    .. math::
        F_\mathrm{var} = \sqrt{\frac{S^2 - \langle\sigma^2\rangle}{\langle F\rangle^2}}

    with the sample variance S², after Vaughan et al. 2003, MNRAS 345, 1271, equation 10, and its error,
    equation B2. Where the fluxes scatter less than their errors it is 0, and its error is the square root of
    that of the excess variance (their equation 11).

    Parameters
    ----------
    flux : array-like
        Flux in each time bin, shape ``(n, n_bins)``. Bins of NaN were not measured and are left out.
    error : array-like
        Its error in the same unit, same shape. Bins whose error is NaN, infinite or not above 0 are left out.

    Returns
    -------
    value, uncertainty : `~numpy.ndarray`
        Shape ``(n,)``. NaN with fewer than two bins measured or a mean flux that is not above 0.

    Raises
    ------
    ValueError
        If the arrays are not of one two-dimensional shape, or one has a unit and the other not.
    """
    flux, error, known = _checked(flux, error)
    number = known.sum(axis=1)
    enough = np.where(number > 1, number, 2)
    mean = (known * flux).sum(axis=1) / enough
    valid = (number > 1) & (mean > 0)
    mean = np.where(valid, mean, 1)
    scatter = (known * (flux - mean[:, None]) ** 2).sum(axis=1) / (enough - 1)
    noise = (known * error**2).sum(axis=1) / enough / mean**2
    value = np.sqrt(np.maximum(scatter / mean**2 - noise, 0))
    # Error of the excess variance, and of its square root where that has one
    excess = np.hypot(np.sqrt(2 / enough) * noise, 2 * np.sqrt(noise / enough) * value)
    uncertainty = np.where(value > 0, excess / (2 * np.where(value > 0, value, 1)), np.sqrt(excess))
    # Just above 0 the linear propagation exceeds all limits
    uncertainty = np.minimum(uncertainty, np.sqrt(excess))
    return np.where(valid, value, np.nan), np.where(valid, uncertainty, np.nan)


def _checked(flux, error):
    """Fluxes and errors as arrays, and which bins were measured; elsewhere flux 0 and error 1."""
    (flux, unit), (error, own) = _plain(flux), _plain(error)
    if flux.ndim != 2 or flux.shape != error.shape:
        raise ValueError(
            f"Flux and error must have one shape (n, n_bins), got {flux.shape} and {error.shape}"
        )
    if not own.is_equivalent(unit):
        raise ValueError(f"Flux and error must have units of one kind, got {unit or None} and {own or None}")
    error = error * own.to(unit)
    known = np.isfinite(flux) & np.isfinite(error) & (error > 0)
    return np.where(known, flux, 0), np.where(known, error, 1), known


def _plain(values):
    """Array, NaN where values are masked, and their unit."""
    unit = u.Unit(getattr(values, "unit", None) or "")
    values = np.asanyarray(values).astype(float)
    values = values.filled(np.nan) if hasattr(values, "filled") else values
    return np.asarray(getattr(values, "value", values)), unit
