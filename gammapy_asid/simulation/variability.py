# Licensed under a 3-clause BSD style license - see LICENSE
"""Light curves of simulated sources, by class.

The logarithm of the flux of a variable source is an Ornstein-Uhlenbeck process: red noise of a standard
deviation and a correlation time of the source's own, and flares, because fluxes are log-normal (Uttley,
McHardy & Vaughan 2005, MNRAS 359, 345; Sobolewska et al. 2014, ApJ 786, 143 for blazars of the LAT).
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["VARIABILITY", "Variability", "draw_light_curves"]

#: Longest step of the process in years: half a month, well inside the shortest correlation times that matter
#: to bins of two months and more.
STEP = 1 / 24
#: Fewest steps in a bin.
MIN_STEPS = 4
#: Longest light curve in years: more are edges in days or seconds.
MAX_YEARS = 100.0


@dataclass(frozen=True)
class Variability:
    """How sources of one class vary.

    Parameters
    ----------
    share : float
        Share of the sources that vary; the others are steady.
    sigma : tuple of float
        Standard deviation of the natural logarithm of the flux over a very long time: median of the sources,
        and the scatter of its logarithm.
    tau : tuple of float
        Correlation time in years: median of the sources, and the scatter of its logarithm.
    transients : float
        Share of the sources that shine once, for the time `tau`, and not before and not after.
    """

    share: float
    sigma: tuple
    tau: tuple
    transients: float = 0.0


VARIABILITY = {
    "bll": Variability(share=1.0, sigma=(0.45, 0.6), tau=(0.6, 1.0), transients=0.005),
    "fsrq": Variability(share=1.0, sigma=(0.95, 0.45), tau=(0.6, 1.0), transients=0.005),
    "psr": Variability(share=0.03, sigma=(0.4, 0.5), tau=(1.0, 1.0)),
    "pwn": Variability(share=0.01, sigma=(0.4, 0.5), tau=(0.3, 1.0)),
    "snr": Variability(share=0.01, sigma=(0.4, 0.5), tau=(0.3, 1.0)),
}


def draw_light_curves(rng, source_class, edges, weights=None):
    """Draw light curves of sources.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Random numbers.
    source_class : array-like of str
        Class of each source, a name in `VARIABILITY`, shape ``(n,)``.
    edges : array-like of float
        Edges of the time bins in years, rising, shape ``(n_bins + 1,)``.
    weights : array-like of float, optional
        Share of the exposure of each bin, shape ``(n_bins,)``; need not add up to 1. By default equal.

    Returns
    -------
    light_curves : `~numpy.ndarray`
        Flux in each bin over its mean, which is weighted by the exposure; shape ``(n, n_bins)``.

    Raises
    ------
    ValueError
        If a class is unknown, the edges do not rise, or the weights are no shares.
    """
    names, code = np.unique(np.asarray(source_class, dtype=str), return_inverse=True)
    edges, weights = _check_bins(edges, weights)
    unknown = [str(name) for name in names if name not in VARIABILITY]
    if unknown:
        raise ValueError(f"No variability is known of the classes {unknown}, only of {sorted(VARIABILITY)}")
    light_curves = np.ones((len(code), len(edges) - 1))
    if len(edges) == 2 or not len(code):
        return light_curves

    shape = np.array([_numbers(VARIABILITY[name]) for name in names])[code]
    share, transients, sigma, sigma_scatter, tau, tau_scatter = shape.T
    kind = rng.random(len(code))
    sigma = sigma * np.exp(sigma_scatter * rng.standard_normal(len(code)))
    tau = tau * np.exp(tau_scatter * rng.standard_normal(len(code)))
    once = kind < transients
    varies = ~once & (kind < transients + share)
    light_curves[once] = _draw_transients(rng, tau[once], edges)
    light_curves[varies] = _draw_red_noise(rng, sigma[varies], tau[varies], edges)
    # The flux at which a transient falls out of the bins that have exposure is no flux: it counts as steady.
    mean = light_curves @ weights
    light_curves[mean <= 0] = 1
    return light_curves / np.where(mean > 0, mean, 1)[:, None]


def _numbers(variability):
    return variability.share, variability.transients, *variability.sigma, *variability.tau


def _check_bins(edges, weights):
    """Edges and normalised weights."""
    edges = np.asarray(edges, dtype=float)
    if edges.ndim != 1 or len(edges) < 2 or not np.all(np.isfinite(edges)) or not np.all(np.diff(edges) > 0):
        raise ValueError(f"The edges of time bins must rise and be two or more, got {edges}")
    if edges[-1] - edges[0] > MAX_YEARS:
        raise ValueError(f"The time bins span {edges[-1] - edges[0]:g} years: give their edges in years")
    n_bins = len(edges) - 1
    weights = np.full(n_bins, 1.0) if weights is None else np.asarray(weights, dtype=float)
    if weights.shape != (n_bins,) or not np.all(np.isfinite(weights)) or not np.all(weights >= 0):
        raise ValueError(f"The weights must be {n_bins} numbers, none below 0, got {weights}")
    if weights.sum() == 0:
        raise ValueError("The weights are all 0: no time bin has exposure")
    return edges, weights / weights.sum()


def _draw_red_noise(rng, sigma, tau, edges):
    """Mean of the exponential of an Ornstein-Uhlenbeck process in each bin, ``(n, n_bins)``."""
    flux = np.empty((len(sigma), len(edges) - 1))
    state = rng.standard_normal(len(sigma), dtype=np.float32)
    sigma = sigma.astype(np.float32)
    before = 0.0
    for number, width in enumerate(np.diff(edges)):
        n_steps = max(MIN_STEPS, int(np.ceil(width / STEP)))
        step = width / n_steps
        # From the middle of the last step of the bin before to that of the first one here
        first = (before + step) / 2
        total = np.zeros(len(sigma), dtype=np.float32)
        for index in range(n_steps):
            if index < 2:
                memory = np.exp(-(first if index == 0 else step) / tau).astype(np.float32)
                novelty = np.sqrt(1 - memory**2)
            state = memory * state + novelty * rng.standard_normal(len(sigma), dtype=np.float32)
            total += np.exp(sigma * state)
        flux[:, number] = total / n_steps
        before = step
    return flux


def _draw_transients(rng, tau, edges):
    """Share of an exponential decay in each bin over the bin's length, ``(n, n_bins)``."""
    start = rng.uniform(edges[0], edges[-1], (len(tau), 1))
    faded = np.exp(-np.maximum(edges - start, 0) / tau[:, None])
    return (faded[:, :-1] - faded[:, 1:]) / np.diff(edges)
