# Licensed under a 3-clause BSD style license - see LICENSE
"""Maximum of a Poisson likelihood by Fisher scoring, with bounds."""

from dataclasses import dataclass

import numpy as np

__all__ = ["PoissonFit", "cash", "fisher_scoring"]

#: Expected counts below this are raised to it, as in Gammapy.
SMALLEST = 1e-25
#: The fit ends where a step would gain less than this in the statistic.
TOLERANCE = 1e-3
#: Iterations after which it has failed.
MAX_ITERATIONS = 100
#: Damping from which no shorter step can gain anything.
LARGEST_DAMPING = 1e6


@dataclass(frozen=True)
class PoissonFit:
    """Result of `fisher_scoring`.

    Parameters
    ----------
    stat : float
        Cash statistic.
    values : `~numpy.ndarray`
        Parameters, shape ``(n_par,)``.
    """

    stat: float
    values: np.ndarray


def cash(expected, counts):
    """Cash statistic, twice the negative logarithm of the likelihood (Cash 1979, ApJ 228, 939)."""
    seen = counts > 0
    return 2 * (expected.sum() - counts[seen] @ np.log(np.maximum(expected[seen], SMALLEST)))


def fisher_scoring(counts, expect, derive, start, lower, upper):
    """Minimise the Cash statistic.

    Newton's method with the expected information (Fisher scoring), damped as by Levenberg and
    Marquardt. It is exact in one step for the level of a source without background, and needs no
    second derivatives.

    Parameters
    ----------
    counts : `~numpy.ndarray`
        Observed counts, shape ``(n_pix,)``.
    expect : callable
        Expected counts of parameters.
    derive : callable
        Their derivatives, shape ``(n_par, n_pix)``.
    start, lower, upper : `~numpy.ndarray`
        First values and bounds, shape ``(n_par,)``.

    Returns
    -------
    fit : `PoissonFit`
        Result.

    Raises
    ------
    RuntimeError
        If the fit does not converge.
    """
    values = np.clip(np.asarray(start, dtype=float), lower, upper)
    expected = expect(values)
    stat, damping = cash(expected, counts), 0.0
    for _ in range(MAX_ITERATIONS):
        if not np.isfinite(stat):
            raise RuntimeError("the likelihood is not finite")
        derivatives, floored = derive(values), np.maximum(expected, SMALLEST)
        gradient = 2 * derivatives @ (1 - counts / floored)
        information = (derivatives / np.maximum(floored, 1e-12)) @ derivatives.T
        while True:
            step = _step(gradient, information, damping, values, lower, upper)
            gain = -(gradient @ step + step @ information @ step)
            if gain < TOLERANCE:
                return PoissonFit(float(stat), values)
            trial = expect(values + step)
            trial_stat = cash(trial, counts)
            if trial_stat < stat:
                break
            damping = max(4 * damping, 0.1)
            if damping > LARGEST_DAMPING:
                return PoissonFit(float(stat), values)
        values, expected, stat, damping = values + step, trial, trial_stat, damping / 8
    raise RuntimeError("the fit did not converge")


def _step(gradient, information, damping, values, lower, upper):
    """Step that stays within the bounds; what would leave them at once does not move."""
    held = ((values <= lower) & (gradient > 0)) | ((values >= upper) & (gradient < 0))
    move = ~held & (np.diag(information) > 0)
    step = np.zeros(len(values))
    if move.any():
        curvature = 2 * information[np.ix_(move, move)]
        scale = np.sqrt(np.diag(curvature))
        scaled = curvature / scale / scale[:, None] + (damping + 1e-10) * np.eye(len(scale))
        step[move] = -np.linalg.solve(scaled, gradient[move] / scale) / scale
    return np.clip(values + step, lower, upper) - values
