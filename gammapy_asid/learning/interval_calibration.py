# Licensed under a 3-clause BSD style license - see LICENSE
"""Whether stated uncertainties are true: pulls, coverage, recalibration."""

import numpy as np
from scipy.stats import chi2

__all__ = [
    "apply_additive",
    "apply_quantiles",
    "coverage_curve",
    "fit_additive",
    "fit_quantiles",
    "mahalanobis2",
    "probability_integral_transform",
]

# Shares of the sources, by increasing spread, at which the bins of a recalibration end.
CUTS = (1 / 128, 1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 5 / 8, 3 / 4, 7 / 8)

# Those of variables that have few sources at both ends.
BOTH_ENDS = (*CUTS[:-1], 7 / 8, 15 / 16, 31 / 32, 63 / 64, 127 / 128)

# Turns in which the parts of an additive recalibration are fitted.
N_ROUNDS = 3


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


def fit_quantiles(pull, spread, levels, weights=None, min_count=100, cuts=CUTS):
    """Quantiles of deviations as a function of the predicted spread.

    Recalibration on data that trained nothing: in bins of the spread the quantiles replace those
    of a Gaussian (Kuleshov et al. 2018, ICML; Romano et al. 2019, NeurIPS). Bins become
    narrower towards small spreads, which few sources have.

    Parameters
    ----------
    pull : `~numpy.ndarray`
        Deviations in units of the predicted spread, shape ``(n,)``, or ``(n, n_levels)`` if each level
        has its own.
    spread : `~numpy.ndarray`
        Predicted spreads, shape ``(n,)``.
    levels : sequence of float
        Probabilities.
    weights : `~numpy.ndarray`, optional
        Weight of each deviation, by default equal.
    min_count : int
        Smallest number of deviations in a bin.
    cuts : sequence of float
        Shares of the deviations, by increasing spread, at which the bins end.

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
    pull = np.broadcast_to(pull if np.ndim(pull) > 1 else np.asarray(pull)[:, None], (n, len(levels)))
    # With too few for the bins of the whole range there is one
    cuts = [cut for cut in cuts if min(cut, 1 - cut) * n >= min_count and n >= 8 * min_count]
    parts = np.split(np.argsort(spread, kind="stable"), (np.array(cuts) * n).astype(int))
    rows = [
        [
            np.log(np.median(spread[part])),
            *(
                np.quantile(column, level, weights=weights[part], method="inverted_cdf")
                for column, level in zip(pull[part].T, levels, strict=True)
            ),
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


def fit_additive(pull, variables, levels, weights=None, min_count=100):
    """Quantiles of deviations as a sum of functions of several variables.

    A recalibration by the predicted spread alone is right on average over all sources of that spread;
    with other variables added it is right for bright and for faint ones too. Fitted by backfitting
    (Hastie & Tibshirani 1986, Stat. Sci. 1, 297): each function in turn to what the others leave.

    Parameters
    ----------
    pull : `~numpy.ndarray`
        Deviations in units of the predicted spread, shape ``(n,)``.
    variables : list of `~numpy.ndarray`
        The predicted spread and other positive variables, each of shape ``(n,)``.
    levels, weights, min_count
        See `fit_quantiles`.

    Returns
    -------
    parts : list of `~numpy.ndarray`
        Rows of each variable, see `fit_quantiles`.
    """
    parts = [np.array([[0.0, *np.zeros(len(levels))]]) for _ in variables]
    for _ in range(N_ROUNDS):
        for i, variable in enumerate(variables):
            others = [j for j in range(len(variables)) if j != i]
            rest = pull[:, None] - apply_additive([parts[j] for j in others], [variables[j] for j in others])
            cuts = BOTH_ENDS if i else CUTS
            parts[i] = fit_quantiles(rest, variable, levels, weights, min_count, cuts)
    return parts


def apply_additive(parts, variables):
    """Quantiles of `fit_additive`.

    Parameters
    ----------
    parts : list of array-like
        Result of `fit_additive`.
    variables : list of `~numpy.ndarray`
        Variables, each of shape ``(n,)``.

    Returns
    -------
    quantiles : `~numpy.ndarray`
        Shape ``(n, n_levels)``, 0 without any part.
    """
    return sum(
        (apply_quantiles(rows, variable) for rows, variable in zip(parts, variables, strict=True)), 0.0
    )
