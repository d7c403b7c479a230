# Licensed under a 3-clause BSD style license - see LICENSE
"""How well the noise lets fluxes be known: the Cramér-Rao bound of a source beside its neighbours."""

import numpy as np
import torch
from scipy.spatial import KDTree

from ...utils.devices import inference
from .design import around
from .profiles import Profiles, nearest_pixels

__all__ = ["flux_bound", "nearest_neighbours"]

#: Neighbours that can take light from a source lie within this many times the full width at half maximum:
#: beyond, two stars of a Gaussian share less than 1 % of their information.
REACH = 1.5

#: Neighbours at most.
NEIGHBOURS = 8

#: Error of positions that are free, over the full width at half maximum: wide, but the matrix stays regular.
FREE = 0.5

#: Sources in memory at a time.
_CHUNK = 512


def nearest_neighbours(image, x, y, reach, count=NEIGHBOURS):
    """Nearest other sources of the same image.

    Parameters
    ----------
    image, x, y : `~torch.Tensor`
        Image and position, shape ``(k,)``.
    reach : `~torch.Tensor`
        Largest distance in pixels, shape ``(k,)``.
    count : int
        Neighbours at most.

    Returns
    -------
    index : `~torch.Tensor`
        Shape ``(k, count)``, nearest first, 0 where there is none.
    distance : `~torch.Tensor`
        In pixels, infinite where there is none; of the same shape.
    """
    if len(x) == 0:
        return torch.zeros(0, count).long(), torch.zeros(0, count)
    # Images lie far apart, so that one tree serves all
    points = np.column_stack([x.double().numpy(), y.double().numpy(), image.double().numpy() * 1e7])
    distance, index = KDTree(points).query(points, count + 1, distance_upper_bound=float(reach.max()))
    # The source itself is first, but for equal places
    own = index == np.arange(len(x))[:, None]
    distance = np.where(own, np.inf, distance)
    order = np.argsort(distance, axis=1, kind="stable")[:, :count]
    distance = torch.from_numpy(np.take_along_axis(distance, order, 1)).float()
    index = torch.from_numpy(np.take_along_axis(index, order, 1))
    there = distance <= reach[:, None]
    return torch.where(there, index, 0), torch.where(there, distance, torch.inf)


@inference()
def flux_bound(batch, x, y, flux=None, image=None, position_error=None, profiles=None):
    """Smallest standard deviation of an unbiased flux, given noise, pixels and neighbours.

    The inverse of the Fisher matrix (Mendez et al. 2013, PASP 125, 580) of a source and its neighbours within
    `REACH`, whose fluxes, and positions if they are not known, are fitted as well.

    Parameters
    ----------
    batch : `~gammapy_asid.optical.batch.ImageBatch`
        Images; their variance includes the noise of the light itself, where it is known.
    x, y : `~torch.Tensor`
        Positions in pixels, shape ``(k,)``.
    flux : `~torch.Tensor`, optional
        Fluxes in signal units, with which free positions weigh.
    image : `~torch.Tensor`, optional
        Image of each source, by default the first.
    position_error : float or `~torch.Tensor`, optional
        Standard deviation of the positions in pixels before the fit; by default they are known. Infinite
        stands for free.
    profiles : `~gammapy_asid.optical.fit.profiles.Profiles`, optional
        Point spread function, if it is there already.

    Returns
    -------
    bound : `~torch.Tensor`
        In signal units, NaN where no pixel tells it; shape ``(k,)``.
    """
    x, y = torch.as_tensor(x).float(), torch.as_tensor(y).float()
    image = torch.zeros(len(x)).long() if image is None else image
    if len(x) == 0:
        return torch.zeros(0)
    profiles = Profiles(batch) if profiles is None else profiles
    fwhm = batch.fwhm[image]
    index, distance = nearest_neighbours(image, x, y, REACH * fwhm)
    tied = None
    if position_error is not None:
        flux = torch.zeros(len(x)) if flux is None else flux
        tied = torch.as_tensor(position_error).float().expand(len(x)).minimum(FREE * fwhm)
        # No source has the slopes of less than nothing
        flux = flux.clamp(min=0)
    good = batch.valid & ~batch.saturated
    weight = torch.where(good, batch.variance.clamp(min=1e-6).rsqrt(), 0.0).flatten()
    # Pixels beyond the reach of neighbours tell little of the source
    half = min(profiles.half, max(3, int(np.ceil(1.5 * float(fwhm.max())))))
    # Those that share neighbours come together
    order = torch.from_numpy(np.lexsort([x.numpy(), y.numpy() // (4 * half), image.numpy()]))
    bound = torch.empty(len(x))
    for chunk in order.split(_CHUNK):
        count = int(distance[chunk].isfinite().sum(1).max())
        members = torch.cat([chunk[:, None], index[chunk, :count]], 1)
        there = torch.cat([torch.ones(len(chunk), 1).bool(), distance[chunk, :count].isfinite()], 1)
        columns = _columns(batch.signal.shape, weight, profiles, image, x, y, members, half, flux, tied)
        bound[chunk] = _first_error(columns * there[..., None, None], there)
    return bound


def _columns(shape, weight, profiles, image, x, y, members, half, flux, tied):
    """Light of sources, and what moves change, on the pixels around the first of each row of members.

    Shape ``(n, members, 1 or 3, pixels)``, in units of the noise, moves in units of their error.
    """
    n, count = members.shape
    first = members[:, 0]
    column, row = nearest_pixels(x, y)
    index, inside = around(shape, image[first], column[first], row[first], (half, half))
    noise = torch.where(inside, weight[index], 0.0)
    every, which = torch.unique(members, return_inverse=True)
    light = profiles(image[every], x[every], y[every], slopes=tied is not None)
    light = light if tied is not None else light[:, None]
    if tied is not None:
        light[:, 1:] *= (flux * tied)[every, None, None, None]
    light = light[which.flatten()]
    # Pixels around the first source as those of the profile of another
    offset = torch.arange(-half, half + 1) + profiles.half
    rows = (row[first][:, None] - row[members]).flatten()[:, None] + offset
    columns = (column[first][:, None] - column[members]).flatten()[:, None] + offset
    size = 2 * profiles.half + 1
    within = ((rows >= 0) & (rows < size))[:, :, None] & ((columns >= 0) & (columns < size))[:, None, :]
    place = rows.clamp(0, size - 1)[:, :, None] * size + columns.clamp(0, size - 1)[:, None, :]
    place = place.flatten(1)[:, None].expand(-1, light.shape[1], -1)
    seen = light.flatten(2).gather(2, place) * within.flatten(1)[:, None]
    return seen.view(n, count, light.shape[1], -1) * noise.flatten(1)[:, None, None]


def _first_error(columns, there):
    """Error of the flux of the first source of each group."""
    n, count, kinds, _ = columns.shape
    vectors = columns.flatten(1, 2)
    fisher = (vectors @ vectors.transpose(1, 2)).double()
    # Positions are known beforehand in units of their error; sources that are not there, exactly
    prior = torch.zeros(n, count, kinds, dtype=torch.float64)
    prior[..., 1:] = 1
    prior[~there] = 1
    scale = fisher.diagonal(dim1=1, dim2=2) + prior.flatten(1)
    lost = scale[:, 0] <= 0
    scale = torch.where(scale > 0, scale, 1.0).rsqrt()
    prior = prior.flatten(1) * scale**2
    # Neighbours without a pixel, and twins at one place, leave the matrix singular but for this
    unit = fisher * scale[:, :, None] * scale[:, None, :] + torch.diag_embed(prior + 1e-6)
    inverse = torch.linalg.inv(unit)[:, 0, 0]
    return torch.where(lost, torch.nan, torch.sqrt(inverse) * scale[:, 0]).float()
