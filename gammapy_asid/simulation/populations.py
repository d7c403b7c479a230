# Licensed under a 3-clause BSD style license - see LICENSE
"""Gamma-ray source populations and random skies drawn from them."""

from dataclasses import dataclass

import numpy as np

from .mock_catalog import MockCatalog

__all__ = ["DEFAULT_POPULATIONS", "Population", "draw_sky"]

ISOTROPIC = ((1.0, np.inf, np.inf),)


@dataclass(frozen=True)
class Population:
    """Distributions of the sources of one class.

    Parameters
    ----------
    name : str
        Source class.
    number : float
        Expected number of sources on the sky.
    flux_knots : tuple of float
        Limits of the pieces of the flux distribution, rising: photon fluxes
        1-100 GeV in 1 / (cm2 s). The first and last are the faintest and brightest flux.
    flux_slopes : tuple of float
        Slopes p of the pieces, dN/dS proportional to S^-p; one fewer than `flux_knots`.
    shape_mean : tuple of float
        Mean index at 1 GeV, of sources with the flux 1e-9 / (cm2 s), and mean curvature:
        beta of a log-parabola, or log10 of the cutoff energy in GeV.
    shape_cov : tuple of tuple of float
        Covariance of index and curvature at a given flux, shape ``(2, 2)``.
    index_gradient : float
        Change of the index per decade of flux, between 1e-10 and 1e-8 / (cm2 s).
    alpha : float or None
        Exponent of the exponential cutoff. None for a log-parabola.
    components : tuple of tuple of float
        ``(weight, lat_scale, lon_scale)`` of each component of the sky distribution.
        Its density is proportional to ``exp(-|sin b| / lat_scale)`` and
        ``exp(-|l| / lon_scale)``; scales in deg (of sin b: degrees near the plane),
        infinite for a uniform distribution.

    Raises
    ------
    ValueError
        If knots do not increase or do not fit to the slopes.
    """

    name: str
    number: float
    flux_knots: tuple
    flux_slopes: tuple
    shape_mean: tuple
    shape_cov: tuple
    index_gradient: float = 0.0
    alpha: float | None = None
    components: tuple = ISOTROPIC

    def __post_init__(self):
        if len(self.flux_knots) != len(self.flux_slopes) + 1 or not np.all(np.diff(self.flux_knots) > 0):
            raise ValueError(
                f"Population {self.name!r} needs rising flux_knots, one more than flux_slopes, "
                f"got {self.flux_knots} and {self.flux_slopes}"
            )

    def _pieces(self):
        """Knots, exponents ``1 - slope``, relative density at the lower knots, cumulative share at all."""
        knots, slopes = np.array(self.flux_knots), np.array(self.flux_slopes, float)
        # A slope of exactly 1 is the limit of its neighbours.
        power = np.where(slopes == 1, 1e-9, 1 - slopes)
        step = np.log(knots[1:] / knots[:-1])
        density = np.exp(-np.append(0, np.cumsum(slopes[:-1] * step[:-1])))
        edges = np.append(0, np.cumsum(density * knots[:-1] * np.expm1(power * step) / power))
        return knots, power, density / edges[-1], edges / edges[-1]

    def density(self, flux):
        """Expected number of sources per flux, dN/dS, inside the limits; shape as `flux`.

        Parameters
        ----------
        flux : array-like
            Photon flux in 1 / (cm2 s).

        Returns
        -------
        density : `~numpy.ndarray`
            In cm2 s.
        """
        knots, power, density, _ = self._pieces()
        piece = np.clip(np.searchsorted(knots, flux, side="right") - 1, 0, len(power) - 1)
        return self.number * density[piece] * (flux / knots[piece]) ** (power[piece] - 1)

    def number_above(self, flux):
        """Expected number of sources brighter than a flux; shape as `flux`.

        Parameters
        ----------
        flux : array-like
            Photon flux in 1 / (cm2 s).

        Returns
        -------
        number : `~numpy.ndarray`
            Number.
        """
        knots, power, density, edges = self._pieces()
        flux = np.clip(flux, knots[0], knots[-1])
        piece = np.clip(np.searchsorted(knots, flux, side="right") - 1, 0, len(power) - 1)
        growth = np.expm1(power[piece] * np.log(flux / knots[piece]))
        return self.number * (1 - edges[piece] - density[piece] * knots[piece] * growth / power[piece])

    def draw_flux(self, rng, n):
        """Fluxes of ``n`` sources, by inversion of the cumulative distribution.

        Parameters
        ----------
        rng : `~numpy.random.Generator`
            Random numbers.
        n : int
            Number of sources.

        Returns
        -------
        flux : `~numpy.ndarray`
            Photon flux in 1 / (cm2 s), shape ``(n,)``.
        """
        knots, power, density, edges = self._pieces()
        share = rng.random(n)
        piece = np.searchsorted(edges, share, side="right") - 1
        growth = (share - edges[piece]) * power[piece] / (density[piece] * knots[piece])
        return knots[piece] * np.exp(np.log1p(growth) / power[piece])


# What fit_populations gives for 4FGL-DR4 (gll_psc_v35).
DEFAULT_POPULATIONS = {
    "bll": Population(
        name="bll",
        number=3610.0,
        flux_knots=(5e-12, 1.5e-10, 5e-10, 2e-09, 3.65e-08),
        flux_slopes=(0.0, 1.83, 2.07, 2.15),
        shape_mean=(1.87, 0.0714),
        shape_cov=((0.0696, -0.00336), (-0.00336, 0.00183)),
    ),
    "fsrq": Population(
        name="fsrq",
        number=3180.0,
        flux_knots=(5e-12, 1.5e-10, 5e-10, 2e-09, 7.09e-08),
        flux_slopes=(0.0, 2.09, 1.78, 2.06),
        shape_mean=(2.43, 0.104),
        shape_cov=((0.0367, 0.00365), (0.00365, 0.00209)),
        index_gradient=-0.153,
    ),
    "psr": Population(
        name="psr",
        number=1720.0,
        flux_knots=(5e-12, 1.5e-10, 5e-10, 2e-09, 1.46e-06),
        flux_slopes=(0.0, 1.0, 1.7, 1.86),
        shape_mean=(1.12, -0.0161),
        shape_cov=((0.223, 0.106), (0.106, 0.0943)),
        alpha=2 / 3,
        components=((0.412, 1.0, 56.3), (0.362, 6.85, 27.8), (0.225, 22.8, np.inf)),
    ),
    "pwn": Population(
        name="pwn",
        number=1040.0,
        flux_knots=(5e-12, 1.5e-10, 5e-10, 2e-09, 1.33e-07),
        flux_slopes=(0.0, 1.0, 1.64, 2.21),
        shape_mean=(2.16, 0.23),
        shape_cov=((0.149, 0.0206), (0.0206, 0.0282)),
        components=((0.268, 0.235, np.inf), (0.732, 2.53, np.inf)),
    ),
    "snr": Population(
        name="snr",
        number=296.0,
        flux_knots=(5e-12, 1.5e-10, 5e-10, 2e-09, 1.33e-07),
        flux_slopes=(0.0, 1.0, 1.62, 1.7),
        shape_mean=(1.94, 0.121),
        shape_cov=((0.174, -0.0229), (-0.0229, 0.0177)),
        components=((0.179, 0.22, np.inf), (0.821, 2.38, np.inf)),
    ),
}


def draw_sky(rng, populations=DEFAULT_POPULATIONS, scale=1.0):
    """Draw all sources of one random sky.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Random numbers.
    populations : dict of `Population`
        Source classes by name.
    scale : float
        Factor on the expected numbers of sources.

    Returns
    -------
    catalog : `MockCatalog`
        The sources; their flux from 1 to 100 GeV follows the flux distributions.
    """
    sizes = rng.poisson([scale * p.number for p in populations.values()])
    parts = [_draw_population(rng, p, n) for p, n in zip(populations.values(), sizes, strict=True)]
    columns = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
    target = columns.pop("flux")
    n = len(target)
    names = np.repeat(list(populations), sizes)
    catalog = MockCatalog(source_class=names, amplitude=np.ones(n), reference=np.ones(n), **columns)
    catalog.amplitude = target / catalog.flux(1, 100)
    return catalog


def _draw_population(rng, population, n):
    """Columns of ``n`` sources of one class, with their flux from 1 to 100 GeV."""
    flux = population.draw_flux(rng, n)
    index, curvature = rng.multivariate_normal(population.shape_mean, population.shape_cov, n).T
    index = index + population.index_gradient * np.clip(np.log10(flux / 1e-9), -1, 1)
    columns = {"flux": flux, "index": index, "beta": np.zeros(n), "lambda_": np.zeros(n), "alpha": np.ones(n)}
    if population.alpha is None:
        # Concave spectra and strongly curved ones are artefacts of fits to few photons.
        columns["beta"] = np.clip(curvature, 0, 1)
    else:
        columns["lambda_"] = 10**-curvature
        columns["alpha"] = np.full(n, population.alpha)
    columns["lon"], columns["lat"] = _draw_positions(rng, population, n)
    return columns


def _draw_positions(rng, population, n):
    """Galactic longitude and latitude in deg."""
    weight, lat_scale, lon_scale = np.array(population.components).T
    component = rng.choice(len(weight), n, p=weight / weight.sum())
    sin_lat = _draw_laplace(rng, np.radians(lat_scale)[component], 1)
    lon = _draw_laplace(rng, lon_scale[component], 180)
    return lon % 360, np.degrees(np.arcsin(sin_lat))


def _draw_laplace(rng, scale, limit):
    """Laplace distribution of one scale per value, cut at plus and minus the limit."""
    # A scale of many times the limit is uniform to rounding.
    scale = np.minimum(scale, 1e6 * limit)
    size = -scale * np.log1p(rng.random(len(scale)) * np.expm1(-limit / scale))
    return size * rng.choice([-1, 1], len(scale))
