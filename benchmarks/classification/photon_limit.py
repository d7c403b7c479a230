# Licensed under a 3-clause BSD style license - see LICENSE
"""What the photons of the simulated sky 235 tell of the class of a source, all else known."""

from dataclasses import dataclass

import numpy as np
import torch

from gammapy_asid.stats.source_stamps import STAMP_HALF, nearest_pixel, on_level, sample_psf, source_stamps

__all__ = ["Likelihoods", "Population", "photon_likelihoods"]

#: Points of the grid of counts of a source, and how far it reaches in standard deviations: closely around
#: the best value, widely far from it.
N_GRID, REACH = 81, 1e6
#: Replicas of each source of the population, and their scatter in the logarithm of the flux, in the photon
#: index and in the curvature: the population is smooth,
#: what is known of it are its members.
N_REPLICAS, SCATTER = 8, (0.7, 0.1, 0.03)
#: Width of the Gaussian in the hyperbolic arc sine of the latitude in deg within which sources are alike.
LATITUDE_WIDTH = 1.0
#: What is less probable by this logarithm in the band that tells most counts as excluded: 14 standard
#: deviations.
EXCLUDED = 100.0


@dataclass
class Likelihoods:
    """Logarithm of the likelihood of the counts of sources in each band, over that of no source.

    Parameters
    ----------
    counts, log_likelihood : `~numpy.ndarray`
        Grid of the counts of the source, rising from 0, and the values there; ``(n, n_bands, n_grid)``.
    """

    counts: np.ndarray
    log_likelihood: np.ndarray

    @classmethod
    def cat(cls, parts):
        """Those of several, one behind another."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in cls.__annotations__))

    def of(self, row, counts):
        """Logarithm of the likelihood of a candidate for counts in the bands.

        Parameters
        ----------
        row : int
            Candidate.
        counts : `~numpy.ndarray`
            Shape ``(m, n_bands)``.

        Returns
        -------
        log_likelihood : `~numpy.ndarray`
            Shape ``(m,)``, minus infinity where the band that tells most excludes them.
        """
        grid, values = self.counts[row], self.log_likelihood[row]
        order = np.argsort(-values.max(axis=1))
        total = np.interp(counts[:, order[0]], grid[order[0]], values[order[0]])
        left = np.flatnonzero(total > total.max() - EXCLUDED)
        own = sum(np.interp(counts[left, band], grid[band], values[band]) for band in order[1:])
        result = np.full(len(counts), -np.inf)
        result[left] = total[left] + own
        return result


def photon_likelihoods(batch, tables, expected, ratio, field, place, own):
    """Likelihoods of the counts around positions.

    Parameters
    ----------
    batch : `~gammapy_asid.inputs.batch.FieldBatch`
        Fields.
    tables : `~torch.Tensor`
        Result of `~gammapy_asid.inputs.psf.psf_tables`.
    expected : list of `~torch.Tensor`
        Expected counts of each band with all sources, shapes of the counts of the batch.
    ratio : list of `~torch.Tensor`
        Of each band: true images of sources over those of the point spread function.
    field : `~torch.Tensor`
        Fields, shape ``(n,)``.
    place : tuple of `~torch.Tensor`
        Positions x and y in finest pixels, shape ``(n,)``.
    own : tuple of `~torch.Tensor`
        Of the true source of each, which is no part of the rest: x, y and counts in the bands, zero for none.

    Returns
    -------
    likelihoods : `Likelihoods`
        In all bands.
    """
    grids, values = [], []
    for band, level in enumerate(batch.levels):
        half = STAMP_HALF[level]
        column, row = nearest_pixel(*place, level, batch.counts[band].shape)
        at = field, column, row, half

        def psf(x, y, band=band, at=at):
            level, (_, column, row, half) = batch.levels[band], at
            shift = on_level(x, level) - column, on_level(y, level) - row
            image = sample_psf(tables[band], *shift, half)[0].clamp(min=0)
            return image * source_stamps(batch.mask[band], *at) * source_stamps(ratio[band], *at)

        x, y, counts = own
        rest = source_stamps(expected[band], *at) - psf(x, y) * counts[:, band, None, None]
        stamps = source_stamps(batch.counts[band], *at), psf(*place), rest.clamp(min=1e-9)
        grid, value = _profile(*(v.double().flatten(1) for v in stamps))
        grids.append(grid)
        values.append(value)
    return Likelihoods(*(torch.stack(v, 1).cpu().numpy() for v in (grids, values)))


def _profile(counts, psf, rest):
    """Grid of the counts of sources, and logarithm of the likelihood there over that of none."""
    best = ((counts - rest).clamp(min=0) * psf).sum(1) / (psf**2).sum(1).clamp(min=1e-12)
    for _ in range(20):
        model = best[:, None] * psf + rest
        # Expectation maximisation of the one number is slow for faint sources, whose grid is wide anyway
        best = best * (counts * psf / model).sum(1) / psf.sum(1).clamp(min=1e-12)
    model = best[:, None] * psf + rest
    error = (psf**2 / model).sum(1).clamp(min=1e-12).rsqrt()
    steps = torch.linspace(-1, 1, N_GRID - 1, dtype=counts.dtype, device=counts.device)
    steps = torch.sinh(steps * float(np.arcsinh(REACH))) / 10
    grid = (best[:, None] + error[:, None] * steps).clamp(min=0)
    grid = torch.cat([torch.zeros_like(grid[:, :1]), grid], 1)
    ratio = psf / rest
    value = torch.stack(
        [(counts * torch.log1p(a[:, None] * ratio)).sum(1) - a * psf.sum(1) for a in grid.T], 1
    )
    return grid, value


class Population:
    """Sources of the sky of which each candidate may be one, by class.

    Parameters
    ----------
    counts : `~numpy.ndarray`
        Expected counts in the bands, shape ``(n, n_bands)``.
    source_class : `~numpy.ndarray` of int
        Class of each source, shape ``(n,)``.
    latitude : `~numpy.ndarray`
        Galactic latitude in deg, shape ``(n,)``.
    energy : `~numpy.ndarray`
        Energy that stands for each band, in any unit, shape ``(n_bands,)``.
    seed : int
        Seed of the replicas.
    """

    def __init__(self, counts, source_class, latitude, energy, seed=0):
        self.source_class, self.place = source_class, np.arcsinh(np.abs(latitude))
        rng = np.random.default_rng(seed)
        place = np.log(energy / np.exp(np.log(energy).mean()))
        changes = np.array(SCATTER)[:, None] * np.stack([np.ones_like(place), -place, -(place**2)])
        change = rng.standard_normal((N_REPLICAS, len(counts), 3)) @ changes
        self.counts = counts * np.exp(change.clip(-20, 20))
        # Area of the sky within the kernel
        sky = np.arcsinh(np.degrees(np.arcsin(np.linspace(0, 1, 4001))))
        self._sky = sky[:-1] + np.diff(sky) / 2

    def _kernel(self, place, at):
        return np.exp(-0.5 * ((place - at) / LATITUDE_WIDTH) ** 2)

    def density(self, latitude):
        """Sources per deg2 of each source's own at a latitude, shape ``(n,)``.

        Parameters
        ----------
        latitude : float
            Galactic latitude in deg.
        """
        at = np.arcsinh(abs(latitude))
        area = 360**2 / np.pi * self._kernel(self._sky, at).mean()
        return self._kernel(self.place, at) / area

    def log_odds(self, likelihoods, row, latitude, own, area):
        """Odds of a source of each class against none at the place of a candidate.

        Parameters
        ----------
        likelihoods : `Likelihoods`
            Of all candidates.
        row : int
            Candidate.
        latitude : float
            Its latitude in deg.
        own : int
            Its true source, which says nothing on itself; -1 for none.
        area : float
            Area in deg2 that the photons leave for the position.

        Returns
        -------
        log_odds : `~numpy.ndarray`
            Logarithms, shape ``(n_classes,)``.
        """
        density = self.density(latitude)
        if own >= 0:
            density[own] = 0
        near = density > 1e-2 * density.max()
        counts = self.counts[:, near]
        value = likelihoods.of(row, counts.reshape(-1, counts.shape[-1])).reshape(N_REPLICAS, -1)
        with np.errstate(divide="ignore"):
            value = value + np.log(density[near] * area / N_REPLICAS)
        top = value.max()
        weight = np.exp(value - top).sum(axis=0)
        total = np.bincount(self.source_class[near], weight, self.source_class.max() + 1)
        return top + np.log(np.maximum(total, 1e-300))
