# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources of the Galactic plane at TeV energies: random draws, and their fit to a sky model."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from gammapy.modeling.models import (
    DiskSpatialModel,
    GaussianSpatialModel,
    PointSpatialModel,
    ShellSpatialModel,
)
from scipy.optimize import minimize

from .fit_populations import _laplace, _rounded, _trial
from .mock_catalog import MockCatalog
from .populations import Population, _draw_population
from .shapes import SHAPES, shell_size

__all__ = ["PLANE_CLASSES", "PlaneClass", "PlaneSources", "draw_plane", "fit_plane"]

# Root mean square of the extent along one axis over the size, by shape.
EQUAL_WIDTH = np.array([0.0, 1.0, 0.5, shell_size(1.0)])
# Photon fluxes above 1 TeV in 1 / (cm2 s): the faintest drawn, and the knots of their distribution.
FAINTEST, KNOTS = 3e-15, (3e-14, 3e-13)
# Range of sizes in deg and of the logarithm of cutoff energies in GeV.
SIZES, CUTOFFS = (0.005, 1.2), (2.5, 6.0)
#: Range in GeV of the photon fluxes of the plane's sources.
FLUX_RANGE = (1e3, 1e5)


@dataclass(frozen=True)
class PlaneClass:
    """Distributions of the sources of one shape.

    Parameters
    ----------
    population : `~gammapy_asid.simulation.Population`
        Number, fluxes above 1 TeV, spectra (power laws with an exponential cutoff) and positions.
    shape : str
        One of `~gammapy_asid.simulation.shapes.SHAPES`.
    log_size : tuple of float
        Of the logarithm of the size in deg at a flux of 1e-13 / (cm2 s): mean, standard
        deviation and change per decade of flux.
    """

    population: Population
    shape: str
    log_size: tuple = (0.0, 0.0, 0.0)


@dataclass
class PlaneSources:
    """Sources with a shape, arrays of shape ``(n,)``.

    Parameters
    ----------
    catalog : `~gammapy_asid.simulation.MockCatalog`
        Positions and spectra.
    shape : `~numpy.ndarray` of int
        Index in `~gammapy_asid.simulation.shapes.SHAPES`.
    size : `~numpy.ndarray`
        Standard deviation of a Gaussian, radius of a disk or shell in deg; 0 for points.
    """

    catalog: MockCatalog
    shape: np.ndarray
    size: np.ndarray

    def __len__(self):
        return len(self.shape)

    @property
    def width(self):
        """Root mean square of the extent along one axis in deg."""
        return EQUAL_WIDTH[self.shape] * self.size

    def select(self, keep):
        """Sources at an index or mask.

        Parameters
        ----------
        keep : `~numpy.ndarray`
            Bool of shape ``(n,)``, or indices.

        Returns
        -------
        sources : `PlaneSources`
            The chosen ones.
        """
        return PlaneSources(self.catalog.select(keep), self.shape[keep], self.size[keep])


# What fit_plane gives for the sky model of the CTAO Galactic Plane Survey.
PLANE_CLASSES = (
    PlaneClass(
        Population(
            name="point",
            number=120.0,
            flux_knots=(3e-15, 3e-14, 3e-13, 2.49e-11),
            flux_slopes=(0.465, 0.975, 1.66),
            shape_mean=(2.42, 5.01),
            shape_cov=((0.361, 0.415), (0.415, 1.66)),
            alpha=1.0,
            components=((0.292, 0.463, 104.0), (0.708, 4.26, 104.0)),
        ),
        "point",
    ),
    PlaneClass(
        Population(
            name="gaussian",
            number=53.0,
            flux_knots=(3e-15, 3e-14, 3e-13, 9.97e-12),
            flux_slopes=(0.0, 0.0, 1.09),
            shape_mean=(2.28, 5.0),
            shape_cov=((0.13, 0.218), (0.218, 0.63)),
            alpha=1.0,
            components=((0.5, 0.256, 34.2), (0.5, 1.19, 34.2)),
        ),
        "gaussian",
        (-2.83, 0.747, 0.688),
    ),
    PlaneClass(
        Population(
            name="disk",
            number=655.0,
            flux_knots=(3e-15, 3e-14, 3e-13, 2.27e-11),
            flux_slopes=(0.906, 1.12, 1.95),
            shape_mean=(2.36, 4.55),
            shape_cov=((0.424, 0.313), (0.313, 0.632)),
            alpha=1.0,
            components=((0.189, 0.172, 47.9), (0.811, 3.19, 47.9)),
        ),
        "disk",
        (-2.83, 0.881, 0.38),
    ),
    PlaneClass(
        Population(
            name="shell",
            number=147.0,
            flux_knots=(3e-15, 3e-14, 3e-13, 1.19e-11),
            flux_slopes=(0.541, 1.57, 1.49),
            shape_mean=(2.07, 5.16),
            shape_cov=((0.0476, 0.0437), (0.0437, 0.455)),
            alpha=1.0,
            components=((0.344, 0.224, 41.8), (0.656, 3.13, 41.8)),
        ),
        "shell",
        (-1.69, 0.715, 0.715),
    ),
)


def draw_plane(rng, classes=None, scale=1.0):
    """Draw the sources of one random plane.

    Parameters
    ----------
    rng : `~numpy.random.Generator`
        Random numbers.
    classes : sequence of `PlaneClass`, optional
        Classes; by default those of the sky model of the CTAO Galactic Plane Survey.
    scale : float
        Factor on the expected numbers of sources.

    Returns
    -------
    sources : `PlaneSources`
        Their photon fluxes above 1 TeV follow the flux distributions.
    """
    parts, shape, size = [], [], []
    for entry in PLANE_CLASSES if classes is None else classes:
        n = rng.poisson(scale * entry.population.number)
        columns = _draw_population(rng, entry.population, n)
        columns["lambda_"] = np.clip(columns["lambda_"], 10 ** -CUTOFFS[1], 10 ** -CUTOFFS[0])
        mean, spread, gradient = entry.log_size
        ln_size = rng.normal(mean, spread, n) + gradient * np.log10(columns["flux"] / 1e-13)
        kind = SHAPES.index(entry.shape)
        size.append(np.clip(np.exp(ln_size), *SIZES) if kind else np.zeros(n))
        shape.append(np.full(n, kind))
        parts.append(columns | {"source_class": np.full(n, entry.population.name)})
    columns = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    target = columns.pop("flux")
    ones = np.ones(len(target))
    catalog = MockCatalog(amplitude=ones.copy(), reference=1e3 * ones, **columns)
    catalog.amplitude = target / catalog.flux(*FLUX_RANGE)
    return PlaneSources(catalog, np.concatenate(shape), np.concatenate(size))


def fit_plane(models, max_latitude=10.0):
    """Fit the classes of the plane's sources to a sky model.

    Fluxes by maximum likelihood of a broken power law; spectra from the local indices at 1 and 10 TeV; sizes
    by linear regression of their logarithm on that of the flux.

    Parameters
    ----------
    models : `~gammapy.modeling.models.Models`
        Sky models, such as those of `read_ctools_xml`. Maps and cubes are left out.
    max_latitude : float
        Largest Galactic latitude in deg.

    Returns
    -------
    classes : tuple of `PlaneClass`
        One per shape, rounded to three digits.

    Raises
    ------
    ValueError
        If a shape has fewer than ten sources above 3e-15 / (cm2 s).
    """
    rows = [_summary(model) for model in models if type(model.spatial_model) in SHAPE_OF]
    shape, size, lon, lat, flux, index, cutoff = np.array(rows, dtype=float).reshape(-1, 7).T
    seen = (flux > FAINTEST) & (np.abs(lat) < max_latitude)
    classes = []
    for kind, name in enumerate(SHAPES):
        used = seen & (shape == kind)
        if used.sum() < 10:
            raise ValueError(f"The sky model has {used.sum()} sources of the shape {name!r}: ten are needed")
        knots, slopes = _fit_fluxes(flux[used])
        spectra = np.array([index[used], cutoff[used]])
        log_size = (0.0, 0.0, 0.0)
        if kind:
            dex, ln_size = np.log10(flux[used] / 1e-13), np.log(size[used])
            gradient, mean = np.polyfit(dex, ln_size, 1)
            log_size = _rounded((mean, np.std(ln_size - mean - gradient * dex), gradient))
        population = Population(
            name=name,
            number=float(used.sum()),
            flux_knots=_rounded(knots),
            flux_slopes=_rounded(slopes),
            shape_mean=_rounded(spectra.mean(axis=1)),
            shape_cov=tuple(_rounded(row) for row in np.cov(spectra)),
            alpha=1.0,
            components=_fit_positions(lon[used], lat[used]),
        )
        classes.append(PlaneClass(population, name, log_size))
    return tuple(classes)


SHAPE_OF = {PointSpatialModel: 0, GaussianSpatialModel: 1, DiskSpatialModel: 2, ShellSpatialModel: 3}


def _summary(model):
    """Shape, size, longitude, latitude, flux, index and logarithm of the cutoff energy in GeV."""
    spatial, spectral = model.spatial_model, model.spectral_model
    kind = SHAPE_OF[type(spatial)]
    size = (
        lambda: 0.0,
        lambda: spatial.sigma.quantity.to_value("deg"),
        lambda: spatial.r_0.quantity.to_value("deg"),
        lambda: (spatial.radius.quantity + spatial.width.quantity).to_value("deg"),
    )[kind]()
    position = spatial.position.galactic
    flux = spectral.integral(*(FLUX_RANGE * u.GeV)).to_value("cm-2 s-1")
    energy = np.array([0.9, 1.1, 9, 11]) * u.TeV
    log = np.log(np.maximum(spectral(energy).to_value("cm-2 s-1 TeV-1"), 1e-60))
    slopes = -(log[1::2] - log[::2]) / np.log(energy[1::2] / energy[::2]).value
    # The local index of E^-g exp(-lambda E) is g + lambda E.
    inverse = np.clip((slopes[1] - slopes[0]) / 9e3, 10 ** -CUTOFFS[1], 10 ** -CUTOFFS[0])
    index = np.clip(slopes[0] - 1e3 * inverse, 1.0, 4.5)
    return kind, size, position.l.wrap_at("180d").deg, position.b.deg, flux, index, -np.log10(inverse)


def _fit_fluxes(flux):
    """Knots and maximum-likelihood slopes of a piecewise power law."""
    knots = (FAINTEST, *KNOTS, 1.1 * max(flux.max(), 2 * KNOTS[-1]))

    def minus_log_likelihood(slopes):
        return -np.mean(np.log(_trial(knots, slopes).density(flux)))

    # A class without sources in a piece leaves its slope open.
    return knots, np.clip(minimize(minus_log_likelihood, np.full(3, 1.3), tol=1e-8).x, 0.0, 4.0)


def _fit_positions(lon, lat):
    """Maximum-likelihood thin and thick disk, ``(weight, lat_scale, lon_scale)`` each."""
    sin_lat, lon = np.sin(np.radians(np.abs(lat))), np.abs(lon)

    def unpack(par):
        share = 1 / (1 + np.exp(-par[0]))
        return np.array([[share, 1 - share], np.exp(par[1:3]), np.exp(par[[3, 3]])])

    def minus_log_likelihood(par):
        share, lat_scale, lon_scale = unpack(par)
        density = _laplace(sin_lat[:, None], np.radians(lat_scale), 1) * _laplace(
            lon[:, None], lon_scale, 180
        )
        return -np.mean(np.log(density @ share))

    start = np.array([0.0, np.log(0.3), np.log(3.0), np.log(50.0)])
    best = minimize(minus_log_likelihood, start, method="Nelder-Mead", options={"maxiter": 4000}).x
    return tuple(_rounded(row) for row in unpack(best).T)
