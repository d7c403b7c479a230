# Licensed under a 3-clause BSD style license - see LICENSE
"""Fit of the source populations to the 4FGL catalogue (`2020ApJS..247...33A`_, 2023arXiv230712546B).

The extragalactic classes are measured at high latitude and taken as isotropic.
What they don't explain of the sky at low latitude is Galactic. Sources without
a class count with the probability of each class, so that the total number of
sources above a flux is that of the catalogue.

.. _2020ApJS..247...33A: https://ui.adsabs.harvard.edu/abs/2020ApJS..247...33A
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax
from scipy.stats import norm

from .populations import ISOTROPIC, Population

__all__ = ["fit_populations"]

# Photon fluxes 1-100 GeV in 1 / (cm2 s): the catalogue is complete above TURN at
# high and above COMPLETE at low latitude.
FAINTEST, TURN, COMPLETE, BRIGHT = 5e-12, 1.5e-10, 5e-10, 2e-9
# Constant dN/dS below TURN: what is fainter still belongs to the isotropic emission.
FAINT_SLOPE = 0.0
# Equal numbers per flux decade where Galactic sources drown in the interstellar emission.
GALACTIC_SLOPE = 1.0

HIGH_LATITUDE, DISK_LATITUDE = 20.0, 10.0
MEMBERS = {
    "bll": ("bll",),
    "fsrq": ("fsrq",),
    "psr": ("psr", "msp"),
    "pwn": ("pwn", "spp"),
    "snr": ("snr",),
}
GALACTIC = ("psr", "pwn", "snr")
PULSAR_ALPHA = 2 / 3
# Where the fits of (lat_scale, lon_scale) start, in deg: thin disk, thick disk and, for
# millisecond pulsars, the surroundings of the Sun.
STARTS = {
    "psr": ((0.5, 50.0), (5.0, 50.0), (20.0, np.inf)),
    "pwn": ((0.5, np.inf), (5.0, np.inf)),
    "snr": ((0.5, np.inf), (5.0, np.inf)),
}


def fit_populations(catalog_table):
    """Fit all source populations.

    Parameters
    ----------
    catalog_table : `~astropy.table.Table`
        Sources of 4FGL-DR3 or later, as in the first extension of its FITS file
        ``gll_psc_v*.fit``.

    Returns
    -------
    populations : dict of `~gammapy_asid.simulation.Population`
        By source class, rounded to three digits.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    sources = _columns(catalog_table)
    weights = _class_weights(sources)
    populations = {}
    for name in MEMBERS:
        weight = np.where(sources["flux"] > (COMPLETE if name in GALACTIC else TURN), weights[name], 0)
        knots, slopes, number = _fit_fluxes(sources["flux"], weight, name in GALACTIC)
        mean, covariance, gradient = _fit_shapes(sources, name)
        populations[name] = Population(
            name=name,
            number=_rounded(number),
            flux_knots=_rounded(knots),
            flux_slopes=_rounded(slopes),
            shape_mean=_rounded(mean),
            shape_cov=tuple(_rounded(row) for row in covariance),
            index_gradient=_rounded(gradient),
            alpha=PULSAR_ALPHA if name == "psr" else None,
            components=tuple(_rounded(row) for row in _fit_components(sources, weight, name)),
        )
    return populations


def _rounded(value):
    """Floats of three significant digits."""
    if np.ndim(value) == 0:
        return float(f"{value:.3g}")
    return tuple(float(f"{v:.3g}") for v in value)


def _columns(table):
    """The columns used, as plain arrays of shape ``(n,)``."""
    names = {
        "flux": "Flux1000",
        "lon": "GLON",
        "lat": "GLAT",
        "pivot": "Pivot_Energy",
        "pl_index": "PL_Index",
    }
    names |= {"lp_index": "LP_Index", "lp_beta": "LP_beta"}
    names |= {"ec_index": "PLEC_IndexS", "ec_factor": "PLEC_ExpfactorS"}
    missing = [v for v in (*names.values(), "CLASS1") if v not in table.colnames]
    if missing:
        raise ValueError(
            f"Columns {missing} are missing: pass the first extension of a 4FGL-DR3 or later file"
        )
    sources = {k: np.ma.filled(np.ma.asarray(table[v]).astype(float), np.nan) for k, v in names.items()}
    sources["lon"] = np.abs((sources["lon"] + 180) % 360 - 180)
    sources["lat"] = np.abs(sources["lat"])
    labels = np.ma.filled(np.ma.asarray(table["CLASS1"]).astype(str), "")
    # Firm identifications are in capitals.
    sources["label"] = np.char.lower(np.char.strip(labels))
    return sources


def _class_weights(sources):
    """Probability of each class for each source, ``(n,)`` arrays by class."""
    weights = {k: np.isin(sources["label"], v).astype(float) for k, v in MEMBERS.items()}
    free = sum(weights.values()) == 0
    lat, bright = sources["lat"], sources["flux"] > COMPLETE
    high, disk = lat > HIGH_LATITUDE, lat < DISK_LATITUDE

    hard = _hard_probability(sources["pl_index"], *(weights[k] > 0 for k in ("bll", "fsrq")), high & free)
    for name, probability in (("bll", hard), ("fsrq", 1 - hard)):
        weights[name] = np.where(high & free, probability, weights[name])
    extragalactic = weights["bll"] + weights["fsrq"]
    density = extragalactic[high & bright].sum() / (1 - np.sin(np.radians(HIGH_LATITUDE)))

    associated = {k: weights[k][disk].sum() for k in GALACTIC}
    edges = np.sin(np.radians((0, DISK_LATITUDE, HIGH_LATITUDE)))
    blazar_like = free & (sources["label"] == "bcu")
    zones = (disk, associated), (~disk & ~high, {"psr": 1.0})
    for (zone, shares), low, up in zip(zones, edges[:-1], edges[1:], strict=True):
        blazars = (extragalactic + blazar_like)[zone & bright].sum()
        other = zone & free & ~blazar_like
        galactic = 1 - (density * (up - low) - blazars) / (other & bright).sum()
        for name, share in shares.items():
            share = np.clip(galactic, 0, 1) * share / sum(shares.values())
            weights[name] = np.where(other, share, weights[name])
    for name in ("bll", "fsrq"):
        weights[name] = np.where(high, weights[name], 0)
    return weights


def _hard_probability(index, bll, fsrq, unknown):
    """Probability that a blazar of a power-law index is a BL Lac.

    Two Gaussian classes of known mean and width; their numbers among the
    unknown sources are iterated to convergence.
    """
    densities = [norm.pdf(index, np.nanmedian(index[m]), np.nanstd(index[m])) for m in (bll, fsrq)]
    fraction = 0.5
    for _ in range(100):
        probability = fraction * densities[0] / (fraction * densities[0] + (1 - fraction) * densities[1])
        fraction = np.nanmean(probability[unknown])
    return np.nan_to_num(probability, nan=0.5)


def _fit_fluxes(flux, weight, galactic):
    """Maximum-likelihood piecewise power law: knots, slopes, number on the whole sky."""
    first = COMPLETE if galactic else TURN
    used = weight > 0
    top = 1.1 * flux[used].max()
    fitted = (COMPLETE, BRIGHT, top) if galactic else (TURN, COMPLETE, BRIGHT, top)
    assumed = (FAINT_SLOPE, GALACTIC_SLOPE) if galactic else (FAINT_SLOPE,)

    def minus_log_likelihood(slopes):
        density = _trial(fitted, slopes).density(flux[used])
        return -np.sum(weight[used] * np.log(density)) / weight.sum()

    slopes = minimize(minus_log_likelihood, np.full(len(fitted) - 1, 2.0), tol=1e-8).x
    knots = (FAINTEST, TURN, COMPLETE, BRIGHT, top)
    slopes = (*assumed, *slopes)
    number = weight.sum() / _trial(knots, slopes).number_above(first)
    if not galactic:
        number /= 1 - np.sin(np.radians(HIGH_LATITUDE))
    return knots, slopes, number


def _trial(knots, slopes):
    """Population of one source with a given flux distribution."""
    return Population("", 1.0, knots, tuple(slopes), (0.0, 0.0), ((0.0, 0.0), (0.0, 0.0)))


def _fit_shapes(sources, name):
    """Mean and covariance of (index, curvature), and change of the index per flux decade."""
    if name == "psr":
        # Gammapy's cutoff power law of the same index and curvature at the pivot energy.
        index = sources["ec_index"] - sources["ec_factor"] / PULSAR_ALPHA
        factor = np.where(sources["ec_factor"] > 0.05, sources["ec_factor"], np.nan) / PULSAR_ALPHA**2
        curvature = np.log10(sources["pivot"] / 1e3) - np.log10(factor) / PULSAR_ALPHA
    else:
        curvature = sources["lp_beta"]
        index = sources["lp_index"] - 2 * curvature * np.log(sources["pivot"] / 1e3)
    bright = sources["flux"] > (2 * COMPLETE if name in GALACTIC else COMPLETE)
    # A beta of 1 is the limit of the catalogue's fit.
    used = np.isin(sources["label"], MEMBERS[name]) & bright & np.isfinite(index + curvature)
    used &= sources["lp_beta"] < 0.99
    dex = np.log10(sources["flux"][used] / 1e-9)
    gradient, error = 0.0, np.inf
    if name not in GALACTIC:
        (gradient, _), covariance = np.polyfit(dex, index[used], 1, cov=True)
        error = np.sqrt(covariance[0, 0])
    # The Galactic catalogue is not flux-limited: a trend there would be one of the selection.
    gradient = gradient if abs(gradient) > 3 * error else 0.0
    values = np.array([index[used] - gradient * dex, curvature[used]])
    return values.mean(axis=1), np.cov(values), gradient


def _fit_components(sources, weight, name):
    """Maximum-likelihood components of the sky distribution, ``(weight, lat_scale, lon_scale)`` each."""
    if name not in GALACTIC:
        return ISOTROPIC
    used = weight > 0
    sin_lat, lon = np.sin(np.radians(sources["lat"][used])), sources["lon"][used]
    start = np.array(STARTS[name])
    peaked = np.isfinite(start[:, 1])

    def unpack(par):
        logits, lat_scale = par[: 2 * len(start)].reshape(2, -1)
        lon_scale = np.full(len(start), np.inf)
        lon_scale[peaked] = np.exp(par[2 * len(start) :])
        return softmax(logits), np.exp(lat_scale), lon_scale

    def minus_log_likelihood(par):
        share, lat_scale, lon_scale = unpack(par)
        density = _laplace(sin_lat[:, None], np.radians(lat_scale), 1) * _laplace(
            lon[:, None], lon_scale, 180
        )
        return -np.sum(weight[used] * np.log(density @ share)) / weight.sum()

    first = np.concatenate([np.zeros(len(start)), np.log(start[:, 0]), np.log(start[peaked, 1])])
    return np.transpose(unpack(minimize(minus_log_likelihood, first, tol=1e-9).x))


def _laplace(x, scale, limit):
    """Density of an exponential distribution between 0 and a limit."""
    scale = np.minimum(scale, 1e6 * limit)
    return np.exp(-x / scale) / (scale * -np.expm1(-limit / scale))
