# Licensed under a 3-clause BSD style license - see LICENSE
"""Maximum of a Poisson likelihood by Fisher scoring, with bounds."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear

__all__ = ["PoissonFit", "cash", "fisher_scoring"]

#: Expected counts below this are raised to it, as in Gammapy.
SMALLEST = 1e-25
#: Expected counts of a pixel that are as good as none.
NOTHING = 1e-6
#: Expected counts below this are raised to it in second derivatives, whose squares must not overflow.
LEAST_EXPECTED = 1e-12
#: The fit ends where a step would gain less than this in the statistic, a hundredth of what is read from one.
TOLERANCE = 1e-3
#: Iterations after which it has failed; most fits need fewer than ten.
MAX_ITERATIONS = 100
#: Damping, relative to the curvature: the first that is tried, how it grows where a step gains nothing and
#: falls where one does, and that from which no shorter step can gain anything.
FIRST_DAMPING, MORE_DAMPING, LESS_DAMPING, LARGEST_DAMPING = 0.1, 4, 8, 1e6
#: Part of the curvature that is added, so that parameters that do the same can be told apart.
RIDGE = 1e-10


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
    """Cash statistic, twice the negative logarithm of the likelihood (Cash 1979, ApJ 228, 939).

    Parameters
    ----------
    expected, counts : `~numpy.ndarray`
        Expected and observed counts, shape ``(n_pix,)``.

    Returns
    -------
    stat : float
        Statistic.
    """
    hit = counts > 0
    return 2 * (expected.sum() - counts[hit] @ np.log(np.maximum(expected[hit], SMALLEST)))


def fisher_scoring(counts, expect, derive, start, lower, upper):
    """Minimise the Cash statistic.

    Newton's method with the expected information (Fisher scoring), damped as by Levenberg and
    Marquardt. It is exact in one step for the level of a source without background, and needs no
    second derivatives. Each step is the best one within the bounds, so that it gains nothing only where
    no parameter can move downhill.

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
        Result, never worse than the start.

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
        # No counts where nothing is expected: the statistic is a straight line there
        weight = np.where((counts == 0) & (expected < NOTHING), 0, 1 / np.maximum(floored, LEAST_EXPECTED))
        information = (derivatives * weight) @ derivatives.T
        room = (lower - values, upper - values)
        if _gain(_step(gradient, information, 0.0, *room), gradient, information) < TOLERANCE:
            return PoissonFit(float(stat), values)
        while True:
            trial_values = np.clip(values + _step(gradient, information, damping, *room), lower, upper)
            trial = expect(trial_values)
            gained = stat - cash(trial, counts)
            if gained > 0:
                break
            damping = max(MORE_DAMPING * damping, FIRST_DAMPING)
            if damping > LARGEST_DAMPING:
                break
        if gained > 0:
            values, expected, stat = trial_values, trial, stat - gained
        if damping >= 1 and gained < TOLERANCE:
            # At a kink no step goes far
            return PoissonFit(float(stat), values)
        damping /= LESS_DAMPING
    raise RuntimeError("the fit did not converge")


def _gain(step, gradient, information):
    """What a step would gain in the statistic if that were a parabola."""
    return -(gradient @ step + step @ information @ step)


def _step(gradient, information, damping, lower, upper):
    """Step to the minimum of the damped parabola between bounds; parameters without effect stay."""
    step, move = np.zeros(len(gradient)), np.diag(information) > 0
    if not move.any():
        return step
    curvature = 2 * information[np.ix_(move, move)]
    scale = np.sqrt(np.diag(curvature))
    scaled = curvature / scale / scale[:, None] + (damping + RIDGE) * np.eye(len(scale))
    slope, low, high = gradient[move] / scale, lower[move] * scale, upper[move] * scale
    best = -np.linalg.solve(scaled, slope)
    if np.any(best < low) or np.any(best > high):
        root = np.linalg.cholesky(scaled)
        best = lsq_linear(root.T, -np.linalg.solve(root, slope), (low, high), method="bvls").x
    step[move] = best / scale
    return step
