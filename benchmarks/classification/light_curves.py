# Licensed under a 3-clause BSD style license - see LICENSE
"""Light curves of a 4FGL catalogue, and simulated ones as it would have measured them."""

from dataclasses import dataclass, fields

import astropy.units as u
import numpy as np
from astropy.table import Table
from scipy.optimize import minimize
from scipy.special import expit, logit

from gammapy_asid.simulation.variability import VARIABILITY, Variability, draw_light_curves

__all__ = ["LightCurves", "fit_class", "mock", "read_light_curves"]

#: Labels of the catalogue by the classes of the simulation.
MEMBERS = {
    "bll": ("bll",),
    "fsrq": ("fsrq",),
    "psr": ("psr", "msp"),
    "pwn": ("pwn", "spp"),
    "snr": ("snr",),
}
#: Flux of one effective photon in a year, in 1 / (cm2 s) above 100 MeV, of a power law of index 2, and how
#: its logarithm grows with the index: the errors of the brightest sources, which no background makes.
PHOTON, STEEPER = 1e-10, 1.4
#: Largest share of its own photons in the variance of a source, and smallest of the background.
MOST, LEAST = 0.9, 0.02

#: Bins of the statistics that are fitted: variability index by year and by two months, excess variance,
#: squared differences over the variance at some lags, and the largest flux over the mean.
INDEX = (0, 8, 11, 14, 18, 22, 27.69, 35, 45, 60, 90, 150, 300, 700, 2000)
INDEX_SHORT = (0, 35, 42, 48, 55, 65, 80, 110, 160, 300, 700, 2000)
EXCESS = (-np.inf, -0.1, -0.03, 0, 0.03, 0.06, 0.1, 0.15, 0.25, 0.4, 0.6, 1, 1.5, 2.5)
DIFFERENCE = (0, 0.2, 0.35, 0.5, 0.65, 0.8, 1, 1.2, 1.5)
LARGEST = (0, 2, 3, 4, 5, 7, 9, 11, 13)


@dataclass
class LightCurves:
    """Measured fluxes in time bins.

    Parameters
    ----------
    flux, error : `~numpy.ndarray`
        Flux above 100 MeV in 1 / (cm2 s) and its error, shape ``(n, n_bins)``.
    index : `~numpy.ndarray`
        Variability index.
    source_class : `~numpy.ndarray` of str
        Class of the simulation, or empty.
    positions : `~numpy.ndarray`
        Galactic longitude and latitude in deg, shape ``(n, 2)``.
    brightness : `~numpy.ndarray`
        Photon flux 1-100 GeV in 1 / (cm2 s).
    photon, background : `~numpy.ndarray`
        Flux of one effective photon, and effective photons of the background in a bin.
    edges : `~numpy.ndarray`
        Edges of the bins in years.
    """

    flux: np.ndarray
    error: np.ndarray
    index: np.ndarray
    source_class: np.ndarray
    positions: np.ndarray
    brightness: np.ndarray
    photon: np.ndarray
    background: np.ndarray
    edges: np.ndarray = None

    def __len__(self):
        return len(self.flux)

    @property
    def significance(self):
        """Mean significance of a bin."""
        return (self.flux / self.error).mean(axis=1)

    def select(self, rows):
        """Some of the sources."""
        names = [f.name for f in fields(self) if f.name != "edges"]
        return LightCurves(**{name: getattr(self, name)[rows] for name in names}, edges=self.edges)


def read_light_curves(path, prefix=""):
    """Light curves of a 4FGL catalogue (``gll_psc_v*.fit``); sources without errors are left out.

    Parameters
    ----------
    path : path
        FITS file.
    prefix : str
        "2" for the bins of two months of ``gll_psc_v20.fit``.
    """
    table = Table.read(path, 1)
    start = Table.read(path, f"Hist{prefix}_Start")
    seconds = np.asarray(start.columns[0], float)
    edges = (seconds - seconds[0]) * u.s.to("yr")
    flux, limits = (_plain(table[f"{name}{prefix}_History"]) for name in ("Flux", "Unc_Flux"))
    limits = limits.reshape(*flux.shape, 2)
    low, high = -limits[..., 0], limits[..., 1]
    error = np.where(np.isfinite(low), (low + high) / 2, high)
    label = np.char.strip(np.char.lower(np.asarray(table["CLASS1"], str)))
    source_class = np.full(len(table), "", dtype="U4")
    for name, members in MEMBERS.items():
        source_class[np.isin(label, members)] = name
    variance = error**2
    photon = PHOTON * np.exp(STEEPER * (_plain(table["PL_Index"]) - 2)) / np.median(np.diff(edges))
    photon = np.minimum(photon, MOST * np.median(variance / np.maximum(flux, 1e-30), axis=1))
    background = np.median(variance - photon[:, None] * flux, axis=1)
    background = np.maximum(background, LEAST * np.median(variance, axis=1)) / photon**2
    curves = LightCurves(
        flux,
        error,
        _plain(table[f"Variability{prefix}_Index"]),
        source_class,
        np.stack([_plain(table["GLON"]), _plain(table["GLAT"])], axis=1),
        _plain(table["Flux1000"]),
        photon,
        background,
        edges,
    )
    known = np.isfinite(background) & (error > 0).all(axis=1) & (flux.mean(axis=1) > 0)
    return curves.select(known)


def _plain(column):
    return np.ma.filled(np.ma.asarray(column).astype(float), np.nan)


def mock(curves, rng, variability=None, repeat=1, gaussian=None):
    """The same sources with light curves that are simulated, measured as those of the catalogue were.

    Fluxes come from Poisson numbers of effective photons of source and background; the index is twice the
    logarithm of the likelihood over that of a constant flux, as in Abdollahi et al. 2020, ApJS 247, 33.

    Parameters
    ----------
    curves : `LightCurves`
        Catalogue.
    rng : `~numpy.random.Generator`
        Random numbers.
    variability : dict of `~gammapy_asid.simulation.variability.Variability`, optional
        How sources vary.
    repeat : int
        Mock catalogues.
    gaussian : `~numpy.random.Generator`, optional
        Draws normal in place of Poisson numbers, the same for any light curve: a fit needs a smooth function.
    """
    sources = curves.select(np.tile(np.arange(len(curves)), repeat))
    relative = draw_light_curves(
        rng, sources.source_class, curves.edges, np.diff(curves.edges), variability, sources.brightness
    )
    photon, background = sources.photon[:, None], sources.background[:, None]
    expected = sources.flux.mean(axis=1, keepdims=True) * relative / photon + background
    if gaussian is None:
        number = rng.poisson(expected)
    else:
        noise = gaussian.standard_normal(expected.shape)
        number = np.maximum(expected + np.sqrt(expected) * noise, 0)
    sources.flux = photon * np.maximum(number - background, 0)
    sources.error = photon * np.sqrt(np.maximum(number, background))
    constant = background + np.maximum((number - background).mean(axis=1, keepdims=True), 1e-6 * background)
    best = np.maximum(number, background)
    ratio = number * np.log(best / constant) - (best - constant)
    sources.index = 2 * ratio.sum(axis=1)
    return sources


def statistics(curves, significance):
    """Numbers of sources in the bins of each statistic.

    Parameters
    ----------
    curves : `LightCurves`
        Measured or simulated light curves.
    significance : `~numpy.ndarray`
        Significance of a bin by which sources are grouped: that of the catalogue for both.
    """
    short = curves.flux.shape[1] > 20
    groups = (0.8, 1.5) if short else (1.5, 3.0)
    mean = curves.flux.mean(axis=1)
    variance = curves.flux.var(axis=1, ddof=1)
    group = np.digitize(significance, groups)
    numbers = [_counted(curves.index[group == k], INDEX_SHORT if short else INDEX) for k in range(3)]
    clear = (significance > (2 if short else 2.5)) & (mean > 0)
    excess = (variance - (curves.error**2).mean(axis=1))[clear] / mean[clear] ** 2
    numbers.append(_counted(excess, EXCESS))
    varies = (curves.index > (110 if short else 45)) & (variance > 0)
    for lag in (1, 3, 6) if short else (1, 3):
        change = curves.flux[varies, lag:] - curves.flux[varies, :-lag]
        numbers.append(_counted((change**2).mean(axis=1) / (2 * variance[varies]), DIFFERENCE))
    if not short:
        numbers.append(_counted(curves.flux[clear].max(axis=1) / mean[clear], LARGEST))
    return np.concatenate(numbers)


def _counted(values, edges):
    """Numbers of values in bins, the last without an upper limit."""
    return np.histogram(values, (*edges, np.inf))[0]


def fit_class(name, catalogs, repeat=4, seed=1):
    """Fit how the sources of a class vary to several sets of light curves of the catalogue.

    The search begins at what the package holds.
    The numbers in the bins of all statistics are compared as Poisson numbers with those of mock catalogues.

    Parameters
    ----------
    name : str
        Class.
    catalogs : list of `LightCurves`
        Yearly light curves, and those of two months.
    repeat : int
        Mock catalogues.
    seed : int
        Seed of the mock catalogues.

    Returns
    -------
    variability : `~gammapy_asid.simulation.variability.Variability`
        Fitted.
    deviance : float
        Twice the logarithm of the likelihood ratio to a perfect agreement.
    """
    catalogs = [curves.select(curves.source_class == name) for curves in catalogs]
    measured = [statistics(curves, curves.significance) for curves in catalogs]

    def deviance(parameters):
        total = 0.0
        for curves, observed in zip(catalogs, measured, strict=True):
            rng, noise = np.random.default_rng(seed), np.random.default_rng(seed + 1)
            drawn = mock(curves, rng, {name: _unpacked(parameters)}, repeat, noise)
            # A third of a source more: bins that stay empty by chance are not impossible
            expected = (statistics(drawn, np.tile(curves.significance, repeat)) + 0.3) / repeat
            log_ratio = observed * np.log(np.maximum(observed, 1) / expected)
            total += 2 * np.sum(log_ratio - (observed - expected))
        return total

    best = _packed(VARIABILITY[name])
    step = np.array([0.15, 0.2, 0.4, 0.3, 0.3, 0.1, 0.3])
    # Simplices collapse on functions that are rough: it starts again, to the other side
    for sign in (1, -1):
        simplex = np.concatenate([best[None], best + sign * np.diag(step)])
        options = {"initial_simplex": simplex, "maxfev": 90, "xatol": 0.02, "fatol": 1}
        result = minimize(deviance, best, method="Nelder-Mead", options=options)
        best = result.x
    return _unpacked(best), float(result.fun)


def _packed(variability):
    """Parameters without limits."""
    own = variability
    taus = own.tau_slow, own.tau_fast
    return np.array(
        [*np.log(own.sigma), logit(own.slow), *np.log(taus), own.gradient, np.log(own.tau_scatter)]
    )


def _unpacked(parameters):
    sigma, scatter, slow, tau_slow, tau_fast, gradient, tau_scatter = parameters
    return Variability(
        share=1.0,
        sigma=(np.exp(sigma), np.exp(scatter)),
        slow=expit(slow),
        tau_slow=np.exp(tau_slow),
        tau_fast=np.exp(tau_fast),
        gradient=gradient,
        tau_scatter=np.exp(tau_scatter),
    )
