# Licensed under a 3-clause BSD style license - see LICENSE
"""Light curves of simulated sources, by class.

The logarithm of the flux of a variable source is the sum of a slow and a fast Ornstein-Uhlenbeck process, red
noise of a standard deviation and a correlation time of the source's own; Sobolewska et al. 2014, ApJ 786, 143
describe blazars of the Fermi-LAT by a mixture of such processes. Fluxes are then log-normal, which gives
flares (Uttley, McHardy & Vaughan 2005, MNRAS 359, 345).
"""

from dataclasses import dataclass, fields

import numpy as np

__all__ = ["VARIABILITY", "Variability", "draw_light_curves"]

#: Longest step of the processes in years: half a month, a quarter of the shortest median correlation time.
STEP = 1 / 24
#: Photon flux from 1 to 100 GeV in 1 / (cm2 s) that half of the blazars of 4FGL-DR4 exceed, and the range in
#: which amplitudes grow with it: beyond they do not.
TYPICAL_FLUX, FLUX_RANGE = 5e-10, (1e-10, 1e-9)
#: Smallest standard deviation over its mean, where a normal distribution would reach below 0.
SMALLEST = 0.02
#: Kinds of sources; others are steady.
VARIES, ONCE = 1, 2
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
        Standard deviation of the natural logarithm of the flux over a very long time: mean of the sources,
        and the scatter among them over that mean, with a normal distribution.
    slow : float
        Share of the variance that belongs to the slow process, the rest is that of the fast one.
    tau_slow, tau_fast : float
        Median correlation times of the two processes in years.
    tau_scatter : float
        Scatter of the logarithm of the correlation times.
    gradient : float
        Exponent of the flux with which `sigma` grows, between 1e-10 and 1e-9 / (cm2 s); `sigma` is that at
        `TYPICAL_FLUX`.
    transients : float
        Share of the sources that shine once, fading with a time of `tau_fast`.
    """

    share: float
    sigma: tuple
    slow: float
    tau_slow: float
    tau_fast: float
    tau_scatter: float = 0.0
    gradient: float = 0.0
    transients: float = 0.0


# Blazars: fitted to 4FGL-DR4 (gll_psc_v35) and 4FGL (v20) by benchmarks/classification/variability.py; inside
# the noise of that fit, those that give the catalogue's shares of variable sources.
# Transients: of 3933 blazars of 4FGL-DR4, those of unknown type among them, 4 have more than 9/14 of their
# flux in one of 14 years. The few variable sources of the Galaxy (PSR J2021+4026, the transitional binary
# XSS J12270-4859, the Crab): amplitudes like theirs, and shares that give as many as the catalogue has.
VARIABILITY = {
    "bll": Variability(
        share=1.0,
        sigma=(0.59, 0.46),
        slow=0.54,
        tau_slow=4.1,
        tau_fast=0.17,
        tau_scatter=0.54,
        gradient=0.05,
        transients=0.001,
    ),
    "fsrq": Variability(
        share=1.0,
        sigma=(1.15, 0.33),
        slow=0.59,
        tau_slow=3.3,
        tau_fast=0.20,
        tau_scatter=0.40,
        gradient=0.18,
        transients=0.001,
    ),
    "psr": Variability(share=0.04, sigma=(0.35, 0.5), slow=0.64, tau_slow=2.9, tau_fast=0.18),
    "pwn": Variability(share=0.01, sigma=(0.35, 0.5), slow=0.5, tau_slow=2.9, tau_fast=0.18),
    "snr": Variability(share=0.01, sigma=(0.35, 0.5), slow=0.5, tau_slow=2.9, tau_fast=0.18),
}


def draw_light_curves(rng, source_class, edges, weights=None, variability=None, flux=None):
    """Draw light curves of sources.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Random numbers.
    source_class : array-like of str
        Class of each source, a name in `variability`, shape ``(n,)``.
    edges : array-like of float
        Edges of the time bins in years, rising, shape ``(n_bins + 1,)``.
    weights : array-like of float, optional
        Share of the exposure of each bin, shape ``(n_bins,)``; need not add up to 1. By default equal.
    variability : dict of `Variability`, optional
        How sources vary, by class. By default `VARIABILITY`.
    flux : array-like of float, optional
        Photon flux of each source from 1 to 100 GeV in 1 / (cm2 s), on which its amplitude depends; shape
        ``(n,)``. By default all are as sources of `TYPICAL_FLUX` are.

    Returns
    -------
    light_curves : `~numpy.ndarray`
        Flux in each bin over its mean, which is weighted by the exposure; shape ``(n, n_bins)``.

    Raises
    ------
    ValueError
        If a class is unknown, the edges do not rise, or weights or fluxes are no positive numbers.
    """
    names, code = np.unique(np.asarray(source_class, dtype=str), return_inverse=True)
    edges, weights = _check_bins(edges, weights)
    variability = VARIABILITY if variability is None else variability
    unknown = [str(name) for name in names if name not in variability]
    if unknown:
        raise ValueError(f"No variability is known of the classes {unknown}, only of {sorted(variability)}")
    if flux is not None:
        flux = np.asarray(flux, dtype=float)
        if flux.shape != code.shape or not np.all(flux >= 0):
            raise ValueError(f"The flux must be {len(code)} numbers, none below 0")
    light_curves = np.ones((len(code), len(edges) - 1))
    if len(edges) == 2 or not len(code):
        return light_curves

    drawn = _draw_sources(rng, [variability[str(name)] for name in names], code, flux)
    varies, once = drawn["kind"] == VARIES, drawn["kind"] == ONCE
    light_curves[once] = _draw_transients(rng, drawn["tau"][1, once], edges, weights)
    light_curves[varies] = _draw_red_noise(rng, drawn["sigma"][:, varies], drawn["tau"][:, varies], edges)
    return light_curves / (light_curves @ weights)[:, None]


def _draw_sources(rng, classes, code, flux):
    """Kind of each source, and standard deviation and correlation time of its slow and its fast process."""
    n = len(code)
    own = {
        field.name: np.array([getattr(one, field.name) for one in classes])[code]
        for field in fields(Variability)
    }
    chance = rng.random(n)
    kind = np.select(
        [chance < own["transients"], chance < own["transients"] + own["share"]], [ONCE, VARIES], 0
    )
    mean, scatter = own["sigma"].T
    sigma = mean * np.maximum(1 + scatter * rng.standard_normal(n), SMALLEST)
    if flux is not None:
        sigma *= (np.clip(flux, *FLUX_RANGE) / TYPICAL_FLUX) ** own["gradient"]
    tau = np.stack([own["tau_slow"], own["tau_fast"]])
    return {
        "kind": kind,
        "sigma": sigma * np.sqrt([own["slow"], 1 - own["slow"]]),
        "tau": tau * np.exp(own["tau_scatter"] * rng.standard_normal((2, n))),
    }


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
    """Mean in each bin of the exponential of a sum of Ornstein-Uhlenbeck processes.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Random numbers.
    sigma, tau : `~numpy.ndarray`
        Standard deviations and correlation times in years, shape ``(n_processes, n)``.
    edges : `~numpy.ndarray`
        Edges of the bins in years.

    Returns
    -------
    flux : `~numpy.ndarray`
        Shape ``(n, n_bins)``.
    """
    # Half the digits take half the time
    sigma, tau = sigma.astype(np.float32), tau.astype(np.float32)
    flux = np.empty((sigma.shape[1], len(edges) - 1))
    state = rng.standard_normal(sigma.shape, dtype=np.float32)
    before = 0.0
    for number, width in enumerate(np.diff(edges)):
        n_steps = max(MIN_STEPS, int(np.ceil(width / STEP)))
        step = width / n_steps
        total = np.zeros(sigma.shape[1], dtype=np.float32)
        # From the middle of the last step before the bin to that of its first one, then by whole steps
        for index, time in enumerate([(before + step) / 2] + [step] * (n_steps - 1)):
            if index < 2:
                memory = np.exp(-np.float32(time) / tau)
                novelty = np.sqrt(1 - memory**2)
            state = memory * state + novelty * rng.standard_normal(sigma.shape, dtype=np.float32)
            total += np.exp((sigma * state).sum(axis=0))
        flux[:, number] = total / n_steps
        before = step
    return flux


def _draw_transients(rng, tau, edges, weights):
    """Share of an exponential decay in each bin over the bin's length, ``(n, n_bins)``.

    It begins in a bin with exposure, so that it is seen.
    """
    first = rng.choice(len(weights), len(tau), p=weights)
    start = (edges[first] + rng.random(len(tau)) * np.diff(edges)[first])[:, None]
    faded = np.exp(-np.maximum(edges - start, 0) / tau[:, None])
    return (faded[:, :-1] - faded[:, 1:]) / np.diff(edges)
