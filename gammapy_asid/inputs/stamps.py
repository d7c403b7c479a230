# Licensed under a 3-clause BSD style license - see LICENSE
"""Stamps of a band cube around positions."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.interpolate import interp1d
from scipy.ndimage import map_coordinates

from ..utils.devices import Movable
from .psf import psf_radius
from .response import Quadrature

__all__ = [
    "CONTAINMENTS",
    "Stamps",
    "cut_stamps",
    "describe_psf",
    "local_psf_radii",
    "lost_width",
    "psf_description",
]

#: Shares of the photons inside the radii that describe the point spread function of a band.
CONTAINMENTS = (0.68, 0.95, 0.4, 0.85)

#: Pixels that differ by no more than this from those wanted are taken as they are.
SAME_PIXELS = 0.05


def cut_stamps(cube, x, y, size, pixel_size, seed=0):
    """Square stamps of all bands around positions.

    Pixels of the cube within 5 % of those wanted are kept, with the position anywhere in the middle
    pixel. From others each count goes to the pixel below a random place in its own, so that Poisson counts
    stay so; expected counts are interpolated.

    Parameters
    ----------
    cube : `~gammapy_asid.inputs.BandCube`
        Field, all bands on the finest pixels.
    x, y : `~numpy.ndarray`
        Positions in pixels, shape ``(n,)``; inside the field.
    size : int
        Side of the stamps in pixels; the position is in pixel ``size // 2``.
    pixel_size : float
        Pixel size wanted in deg.
    seed : int
        Seed of the places of counts.

    Returns
    -------
    counts, background : `~numpy.ndarray`
        Float32, shape ``(n, n_bands, size, size)``; zero outside the valid data. The background is that of
        the cube, or None.
    valid : `~numpy.ndarray`
        1 where any band has valid data, shape ``(n, size, size)``.
    scale : float
        Size of the stamps' pixels over `pixel_size`.
    """
    ratio = cube.response.pixel_size / pixel_size
    keep = not lost_width(cube, pixel_size)
    mask = cube.mask.any(axis=0).astype(np.float32)[None]
    counts = np.stack(cube.counts)
    known = np.stack(cube.background) if cube.has_background else None
    if keep:
        low = [np.rint(v).astype(int) - size // 2 for v in (x, y)]
        images = [None if a is None else _windows(a, *low, size) for a in (counts, known, mask)]
        return images[0], images[1], images[2][:, 0], ratio
    counts = _scatter(counts, x, y, size, ratio, seed)
    step = (np.arange(size) - size // 2) / ratio
    at = np.stack(np.broadcast_arrays(y[:, None, None] + step[:, None], x[:, None, None] + step))

    def sample(image, order):
        return map_coordinates(image, at, order=order, mode="constant")

    valid = sample(mask[0], 0)
    if known is not None:
        known = np.stack([sample(plane, 1) for plane in known], 1)
        known = (known / ratio**2 * valid[:, None]).astype(np.float32)
    return counts * valid[:, None], known, valid, 1.0


def lost_width(cube, pixel_size):
    """Side in deg of the pixels inside which `cut_stamps` loses the place of counts; 0 where it keeps pixels.

    Parameters
    ----------
    cube, pixel_size
        See `cut_stamps`.
    """
    own = cube.response.pixel_size
    return 0.0 if abs(own / pixel_size - 1) <= SAME_PIXELS else own


def _windows(array, x, y, size):
    """Windows of ``(k, ny, nx)`` with their first pixels at `x`, `y`; shape ``(n, k, size, size)``."""
    padded = np.pad(array, ((0, 0), (size, size), (size, size)))
    x, y = (np.clip(v + size, 0, n - size) for v, n in ((x, padded.shape[2]), (y, padded.shape[1])))
    view = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2))
    return np.ascontiguousarray(view[:, y, x].swapaxes(0, 1), dtype=np.float32)


def _scatter(counts, x, y, size, ratio, seed):
    """Counts on other pixels, each put at a random place of its own."""
    reach = int(np.ceil(size / 2 / ratio)) + 2
    low = [np.rint(v).astype(int) - reach for v in (x, y)]
    windows = _windows(counts, *low, 2 * reach + 1)
    stamp, band, row, column = np.nonzero(windows)
    values = windows[stamp, band, row, column]
    rng = np.random.default_rng(seed)
    if np.array_equal(values, np.rint(values)):
        stamp, band, row, column = (np.repeat(v, values.astype(int)) for v in (stamp, band, row, column))
        values = None
    place = []
    for index, first, centre in ((row, low[1], y), (column, low[0], x)):
        inside = rng.uniform(-0.5, 0.5, len(index))
        place.append(np.rint((index + first[stamp] + inside - centre[stamp]) * ratio).astype(int) + size // 2)
    keep = np.all([(p >= 0) & (p < size) for p in place], axis=0)
    shape = (*windows.shape[:2], size, size)
    flat = np.ravel_multi_index([v[keep] for v in (stamp, band, *place)], shape)
    weights = None if values is None else values[keep]
    return np.bincount(flat, weights, minlength=np.prod(shape)).reshape(shape).astype(np.float32)


def local_psf_radii(datasets, positions, response, containments=(0.68, 0.95)):
    """Containment radii of the bands at positions, of all datasets together.

    Taken from the nearest pixels of the maps of the point spread function and of the exposure, and averaged
    over the photons of a power law.

    Parameters
    ----------
    datasets : list of `~gammapy.datasets.MapDataset`
        Data of one field.
    positions : `~astropy.coordinates.SkyCoord`
        Positions, shape ``(n,)``.
    response : `~gammapy_asid.inputs.Response`
        Bands really covered.
    containments : tuple of float
        Shares of the photons.

    Returns
    -------
    radii : `~numpy.ndarray`
        In deg, shape ``(n, n_bands, n_containments)``; NaN in absent bands.
    """
    quadrature = Quadrature(response.e_min, response.e_max)
    # The finest steps, as far as any reach
    axes = [dataset.psf.psf_map.geom.axes["rad"].edges.to_value("deg") for dataset in datasets]
    edges = np.unique(np.concatenate(axes))
    photons_inside = 0.0
    for dataset in datasets:
        psf, exposure = dataset.psf, dataset.exposure
        values, same = _nearest(psf.psf_map, positions)
        # Each pair of a pixel of the one map and a pixel of the other is reduced once.
        own_edges = psf.psf_map.geom.axes["rad"].edges.to_value("deg")
        ring = -2 * np.pi * np.diff(np.cos(np.radians(own_edges)))
        inside = np.cumsum(values * ring, axis=2)
        inside = np.pad(inside / np.maximum(inside[..., -1:], 1e-300), ((0, 0), (0, 0), (1, 0)))
        area, of_area = _nearest(exposure, positions)
        (same, of_area), of_pair = np.unique([same, of_area], axis=1, return_inverse=True)
        nodes = exposure.geom.axes["energy_true"].center.to_value("GeV")
        psf_nodes = psf.psf_map.geom.axes[psf.energy_name].center.to_value("GeV")
        share = np.einsum(
            "bsq,bsqn,bsqm->bnm",
            quadrature.weight,
            quadrature.interpolation(nodes),
            quadrature.interpolation(psf_nodes),
            optimize=True,
        )
        photons = np.einsum("pn,bnm->pbm", area * exposure.unit.to("cm2 s"), share, optimize=True)
        curve = np.einsum("pbm,pmr->pbr", photons[of_area], inside[same], optimize=True)
        at_edges = interp1d(own_edges, curve, bounds_error=False, fill_value=(0, curve[..., -1]))(edges)
        at_edges = at_edges[of_pair]
        if not exposure.geom.is_region:
            # The nearest pixel says nothing of positions that this dataset does not see
            at_edges = at_edges * exposure.geom.to_image().contains(positions)[:, None, None]
        photons_inside = photons_inside + at_edges
    return _radii(photons_inside, edges, containments)


def _radii(curve, edges, containments):
    """Radii at which rising curves along the last axis reach shares of their end."""
    end = curve[..., -1:]
    curve = np.divide(curve, end, out=np.zeros_like(curve), where=end > 0)
    radii = []
    for share in containments:
        high = np.clip((curve < share).sum(axis=-1), 1, len(edges) - 1)
        at = [np.take_along_axis(curve, i[..., None], -1)[..., 0] for i in (high - 1, high)]
        step = np.where(at[1] > at[0], at[1] - at[0], 1)
        radii.append(edges[high - 1] + (share - at[0]) / step * (edges[high] - edges[high - 1]))
    return np.where(end > 0, np.stack(radii, axis=-1), np.nan)


def _nearest(m, positions):
    """Values of the pixels of a map next to positions, and the index of each position in them.

    The values have the pixels first, each once.
    """
    geom = m.geom.to_image()
    index = geom.coord_to_idx({"skycoord": positions}, clip=True)
    shape = geom.data_shape
    flat = np.ravel_multi_index([np.ravel(i) for i in index[::-1]], shape)
    unique, inverse = np.unique(flat, return_inverse=True)
    data = np.asarray(m.data)
    data = data.reshape(*data.shape[: data.ndim - len(shape)], -1)[..., unique]
    return np.moveaxis(np.nan_to_num(data.astype(float)), -1, 0), inverse


@dataclass
class Stamps(Movable):
    """Stamps around ``n`` candidates, the candidate in the middle of pixel ``(size // 2, size // 2)``.

    Parameters
    ----------
    counts, background : `~torch.Tensor`
        Counts, and those expected of the known sky, shape ``(n, n_bands, size, size)``; zero where
        there are no data.
    valid : `~torch.Tensor`
        1 where there are data in any band, shape ``(n, size, size)``.
    psf : `~torch.Tensor`
        Result of `describe_psf`, shape ``(n, n_bands, 4)``; NaN in absent bands.
    narrowest : `~torch.Tensor`, optional
        Size in deg below which a source counts as a point, shape ``(n,)``; by default none does.
    """

    counts: torch.Tensor
    background: torch.Tensor
    valid: torch.Tensor
    psf: torch.Tensor
    narrowest: torch.Tensor = None

    def __len__(self):
        return len(self.counts)

    def __getitem__(self, rows):
        narrowest = None if self.narrowest is None else self.narrowest[rows]
        return Stamps(*(v[rows] for v in self.tensors), narrowest)

    @property
    def tensors(self):
        """The parts in the order of the network's arguments."""
        return self.counts, self.background, self.valid, self.psf


def describe_psf(radii, pixel_size):
    """Point spread function as the network is told of it.

    Parameters
    ----------
    radii : `~numpy.ndarray`
        Radii in deg of the `CONTAINMENTS`, shape ``(..., 4)``; NaN in absent bands.
    pixel_size : float
        Pixel size in deg.

    Returns
    -------
    description : `~numpy.ndarray`
        Logarithms of the 68 % radius in pixels and of the other radii over it, shape as `radii`.
    """
    first = radii[..., :1]
    return np.log(np.concatenate([first / pixel_size, radii[..., 1:] / first], axis=-1)).astype(np.float32)


def psf_description(response):
    """Result of `describe_psf` for a response, shape ``(n_bands, 4)``.

    Parameters
    ----------
    response : `~gammapy_asid.inputs.Response`
        Instrument response.

    Returns
    -------
    description : `~numpy.ndarray`
        Shape ``(n_bands, 4)``; NaN in absent bands.
    """
    radii = np.stack([psf_radius(response, share) for share in CONTAINMENTS], axis=-1)
    return describe_psf(radii, response.pixel_size)
