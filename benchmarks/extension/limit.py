# Licensed under a 3-clause BSD style license - see LICENSE
"""What anyone could know of the size of the published kind of sources: the posterior by integration.

Everything but amplitude, index and size is known exactly, and of these the distributions from which they
were drawn: no method can have a larger balanced accuracy, on average over many sources.
"""

import numpy as np
import torch

__all__ = ["posterior_classes"]

#: Edges of rings around the source in pixels.
RINGS = np.concatenate([np.arange(0, 6, 0.5), np.arange(6, 20, 1.0), np.arange(20, 54, 2.0)])
#: Sizes per unit of the natural logarithm, and nodes of the index.
SIZES, INDICES = 36, 5
#: Newton steps for the amplitude, and the longest of them in units of the natural logarithm.
STEPS, LONGEST = 30, 1.0
#: Places of a source within its pixel from which profiles are averaged, along each axis.
SHIFTS = (-0.375, -0.125, 0.125, 0.375)
BATCH = 16


def posterior_classes(simulator, scene, edges, simulated):
    """Probability of each class of size for isolated Gaussians at known positions.

    Parameters
    ----------
    simulator : `~gammapy_asid.simulation.stamp_simulator.StampSimulator`
        Simulator of a single place.
    scene : `~gammapy_asid.simulation.scenes.Scene`
        Scene of Gaussians on a known background, all of the same observation time.
    edges : tuple of float
        Edges of the classes in deg.
    simulated : `~gammapy_asid.simulation.scenes.SimulatedStamps`
        Stamps.

    Returns
    -------
    probability : `~numpy.ndarray`
        Shape ``(n, n_classes)``.
    """
    size, width, of_class = _size_cells(scene.size, edges)
    nodes, weights = np.polynomial.hermite_e.hermegauss(INDICES)
    index = scene.index[0] + scene.index[1] * nodes
    density = _densities(simulator, scene, size, index)
    prior = torch.tensor(np.log(width)[:, None] + np.log(weights)).float()
    result = []
    for first in range(0, len(simulated), BATCH):
        rows = slice(first, first + BATCH)
        counts, background, signal = _rings(simulator, simulated, rows, density)
        evidence = _evidence(counts, background, signal, scene.log_flux) + prior
        evidence = torch.logsumexp(evidence, 2)
        probability = torch.softmax(evidence, 1)
        classes = torch.zeros(len(probability), len(edges) + 1)
        result.append(classes.index_add_(1, torch.from_numpy(of_class), probability))
    return torch.cat(result).double().numpy()


def _size_cells(limits, edges):
    """Middle, logarithmic width and class of cells of size that end at the edges of the classes."""
    bounds = np.log([limits[0], *edges, limits[1]])
    parts = [
        np.linspace(low, high, 1 + int(np.ceil(SIZES * (high - low))))
        for low, high in zip(bounds[:-1], bounds[1:], strict=True)
    ]
    size = np.concatenate([np.exp((part[1:] + part[:-1]) / 2) for part in parts])
    width = np.concatenate([np.diff(part) for part in parts])
    return size, width, np.repeat(np.arange(len(parts)), [len(part) - 1 for part in parts])


def _distance(simulator, x, y):
    """Distance of each pixel from sources, shape ``(n, size, size)``."""
    step = torch.arange(simulator.size)
    return torch.hypot(step - x[:, None, None], step[:, None] - y[:, None, None])


def _ring_of(distance):
    return torch.bucketize(distance, torch.tensor(RINGS, dtype=distance.dtype), right=True) - 1


def _sums(images, ring):
    """Sums over rings, shape ``(n, n_bands, n_rings)``."""
    n, bands = images.shape[:2]
    sums = torch.zeros(n, bands, len(RINGS), dtype=images.dtype)
    return sums.scatter_add_(2, ring.flatten(1)[:, None].expand(n, bands, -1), images.flatten(2))


def _densities(simulator, scene, size, index):
    """Counts a pixel on rings for unit exposure ratio, shape ``(n_sizes, n_indices, n_bands, n_rings)``."""
    dx, dy = (v.ravel() for v in np.meshgrid(SHIFTS, SHIFTS))
    x, y = (torch.tensor(simulator.size // 2 + v, dtype=torch.float32) for v in (dx, dy))
    n, ring = len(x), _ring_of(_distance(simulator, x, y))
    ones = _sums(torch.ones(n, 1, simulator.size, simulator.size), ring).sum(0)
    density = torch.empty(len(size), len(index), len(simulator.bands), len(RINGS))
    for i, j in np.ndindex(len(size), len(index)):
        values = {"size": size[i], "index": index[j], "amplitude": 1e-12, "elongation": 1.0, "angle": 0.0}
        source = {name: torch.full((n,), float(v)) for name, v in values.items()}
        source["kind"] = torch.ones(n, dtype=torch.long)
        images = simulator.bank.images(torch.zeros(n, dtype=torch.long), torch.arange(n), x, y, source)
        density[i, j] = _sums(images, ring).sum(0) / ones.clamp(min=1)
    return density * scene.hours[0]


def _rings(simulator, simulated, rows, density):
    """Counts and background of sources on rings, and their signal for an amplitude of 1e-12."""
    ring = _ring_of(_distance(simulator, simulated.x[rows], simulated.y[rows]))
    stamps = simulated.stamps
    counts, background = (_sums(v[rows], ring) for v in (stamps.counts, stamps.background))
    exposure = _sums(simulator.bank.exposure[:1].expand(len(counts), -1, -1, -1), ring)
    signal = density.flatten(2) * exposure.flatten(1)[:, None, None]
    return counts.flatten(1)[:, None, None], background.flatten(1)[:, None, None], signal


def _evidence(counts, background, signal, log_flux):
    """Logarithm of the likelihood, integrated over the amplitude by Laplace's method; sums over rings."""
    mean, spread = (log_flux[0] + 12) * np.log(10), log_flux[1] * np.log(10)
    total = signal.sum(-1)
    u = torch.full(total.shape, mean)
    for _ in range(STEPS):
        own = torch.exp(u)[..., None] * signal
        share = own / (background + own).clamp(min=1e-9)
        gradient = (counts * share).sum(-1) - torch.exp(u) * total - (u - mean) / spread**2
        information = (own * share).sum(-1) + 1 / spread**2
        u = u + (gradient / information).clamp(-LONGEST, LONGEST)
    own = torch.exp(u)[..., None] * signal
    terms = counts * torch.log1p(own / background.clamp(min=1e-9)) - own
    value = terms.sum(-1) - (u - mean) ** 2 / (2 * spread**2)
    return value - 0.5 * torch.log(information)
