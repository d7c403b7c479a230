# Licensed under a 3-clause BSD style license - see LICENSE
"""Whether stated uncertainties are true: pulls, coverage, recalibration."""

import numpy as np
from scipy.stats import chi2

__all__ = [
    "apply_quantiles",
    "coverage_curve",
    "fit_quantiles",
    "mahalanobis2",
    "probability_integral_transform",
]

# Shares of the sources, by increasing spread, at which the bins of a recalibration end.
CUTS = (1 / 128, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8)


def mahalanobis2(delta, covariance):
    """Squared deviations in units of their covariance.

    Parameters
    ----------
    delta : `~numpy.ndarray`
        Shape ``(n, k)``.
    covariance : `~numpy.ndarray`
        Shape ``(n, k, k)``.

    Returns
    -------
    distance2 : `~numpy.ndarray`
        Shape ``(n,)``.
    """
    return np.einsum("ni,ni->n", delta, np.linalg.solve(covariance, delta[..., None])[..., 0])


def probability_integral_transform(distance2, k):
    """Probability that a ``k``-dimensional Gaussian gives to less than a squared deviation.

    Uniform if the stated covariances are true (Dawid 1984, J. R. Stat. Soc. A 147, 278).

    Parameters
    ----------
    distance2 : `~numpy.ndarray`
        Result of `mahalanobis2`.
    k : int
        Number of dimensions.
    """
    return chi2.cdf(distance2, k)


def coverage_curve(pit, levels):
    """Share of truths inside the regions of given probability.

    Parameters
    ----------
    pit : `~numpy.ndarray`
        Result of `probability_integral_transform`.
    levels : array-like
        Probabilities.

    Returns
    -------
    fraction : `~numpy.ndarray`
        Shape of `levels`.
    """
    return np.searchsorted(np.sort(pit), np.asarray(levels), side="right") / max(1, len(pit))


def fit_quantiles(pull, spread, levels, weights=None, min_count=100):
    """Quantiles of deviations as a function of the predicted spread.

    Recalibration on data that trained nothing: in bins of the spread the quantiles replace those
    of a Gaussian (Kuleshov et al. 2018, ICML; Romano et al. 2019, NeurIPS). Bins become
    narrower towards small spreads, which few sources have.

    Parameters
    ----------
    pull : `~numpy.ndarray`
        Deviations in units of the predicted spread, shape ``(n,)``.
    spread : `~numpy.ndarray`
        Predicted spreads, shape ``(n,)``.
    levels : sequence of float
        Probabilities.
    weights : `~numpy.ndarray`, optional
        Weight of each deviation, by default equal.
    min_count : int
        Smallest number of deviations in a bin.

    Returns
    -------
    rows : `~numpy.ndarray`
        Logarithm of the median spread of each bin and the quantiles, shape ``(n_bins, 1 + n_levels)``.

    Raises
    ------
    ValueError
        If there are fewer than 20 deviations.
    """
    n = len(pull)
    if n < 20:
        raise ValueError(f"{n} sources are too few for a recalibration: simulate more patches")
    weights = np.ones(n) if weights is None else weights
    cuts = [cut for cut in CUTS if cut * n >= min_count and n >= 8 * min_count]
    parts = np.split(np.argsort(spread, kind="stable"), (np.array(cuts) * n).astype(int))
    rows = [
        [
            np.log(np.median(spread[part])),
            *np.quantile(pull[part], levels, weights=weights[part], method="inverted_cdf"),
        ]
        for part in parts
    ]
    return np.array(rows)


def apply_quantiles(rows, spread):
    """Quantiles at predicted spreads, interpolated between the bins of `fit_quantiles`.

    Parameters
    ----------
    rows : array-like
        Result of `fit_quantiles`.
    spread : `~numpy.ndarray`
        Predicted spreads, shape ``(n,)``.

    Returns
    -------
    quantiles : `~numpy.ndarray`
        Shape ``(n, n_levels)``, in units of the spread.
    """
    rows = np.asarray(rows, dtype=float)
    at = np.log(np.maximum(spread, 1e-30))
    return np.column_stack([np.interp(at, rows[:, 0], column) for column in rows[:, 1:].T])
