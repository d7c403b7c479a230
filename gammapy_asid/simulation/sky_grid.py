# Licensed under a 3-clause BSD style license - see LICENSE
"""The Galactic grid and the energy intervals of diffuse emission.

The grid is plate carree with nodes every 0.25 deg: row 0 at latitude -90, last row
at +90, column 0 at longitude +180, last column at -180 (the same meridian again, so
that interpolation needs no wrapping). With ``align_corners=True`` the coordinates of
`torch.nn.functional.grid_sample` are then ``x = -lon / 180`` with `lon` in -180 to
180 and ``y = lat / 90``.
"""

from itertools import pairwise

import healpy
import numpy as np
from astropy.coordinates import SkyCoord
from scipy.ndimage import gaussian_filter1d, map_coordinates

__all__ = [
    "INTERVALS",
    "fill_healpix",
    "gaussian_map",
    "integrate_intervals",
    "interpolate_wcs",
    "interval_shares",
    "interval_slice",
    "sky_grid",
    "smooth_planes",
]

#: Edges of the energy intervals in GeV.
INTERVALS = (0.3, 0.5, 1.0, 2.0, 7.0, 10.0, 20.0, 50.0, 500.0, 1000.0)

# Step of the grid in deg, the width of the LAT's point spread function at a few GeV, and its nodes.
GRID_STEP = 0.25
N_LAT = 721
N_LON = 1441

#: Share of an interval in a part of it follows this power law, near that of the whole emission.
DIFFUSE_INDEX = 2.4


def sky_grid():
    """Nodes of the grid: longitude of shape ``(n_lon,)`` and latitude ``(n_lat,)`` in deg."""
    return np.linspace(180, -180, N_LON), np.linspace(-90, 90, N_LAT)


def integrate_intervals(energy, dnde):
    """Integrate a tabulated spectrum over each interval, a power law between its points.

    Parameters
    ----------
    energy : `~numpy.ndarray`
        Energies in GeV, shape ``(n_energy,)``, at least two. The first and last
        power laws continue outside.
    dnde : `~numpy.ndarray`
        Differential values per GeV, shape ``(n_energy, ...)``.

    Returns
    -------
    integral : `~numpy.ndarray`
        Shape ``(n_intervals, ...)``.
    """
    log_energy = np.log(energy)
    log_dnde = np.log(np.maximum(dnde, np.finfo(np.float32).tiny))
    result = []
    for low, high in pairwise(INTERVALS):
        inside = log_energy[(energy > low) & (energy < high)]
        nodes = np.concatenate([[np.log(low)], inside, [np.log(high)]])
        segment = np.clip(np.searchsorted(log_energy, nodes) - 1, 0, len(energy) - 2)
        frac = (nodes - log_energy[segment]) / (log_energy[segment + 1] - log_energy[segment])
        frac = frac.reshape(-1, *[1] * (log_dnde.ndim - 1))
        # E dN/dE is what a logarithmic step integrates
        log_value = log_dnde[segment] * (1 - frac) + log_dnde[segment + 1] * frac
        log_value = log_value + nodes.reshape(frac.shape)
        slope = np.diff(log_value, axis=0)
        value = np.exp(log_value)
        step = np.diff(nodes).reshape(-1, *[1] * (log_dnde.ndim - 1))
        flat = np.abs(slope) < 1e-6
        mean = np.where(flat, value[:-1], np.diff(value, axis=0) / np.where(flat, 1, slope))
        result.append((mean * step).sum(axis=0))
    return np.stack(result)


def interval_shares(e_min, e_max):
    """Share of the photons of each interval that lie between two energies.

    Parameters
    ----------
    e_min, e_max : `~numpy.ndarray`
        Energies in GeV, shape ``(...,)``.

    Returns
    -------
    shares : `~numpy.ndarray`
        Shape ``(..., n_intervals)``.
    """

    def integral(low, high):
        return np.where(high > low, low ** (1 - DIFFUSE_INDEX) - high ** (1 - DIFFUSE_INDEX), 0.0)

    low, high = np.array(INTERVALS[:-1]), np.array(INTERVALS[1:])
    inside = integral(np.maximum(e_min[..., None], low), np.minimum(e_max[..., None], high))
    return inside / integral(low, high)


def interval_slice(e_min, e_max):
    """Intervals between two edges.

    Parameters
    ----------
    e_min, e_max : float
        Edges in GeV.

    Returns
    -------
    intervals : slice
        Indices of the intervals.

    Raises
    ------
    ValueError
        If one is no edge.
    """
    if e_min not in INTERVALS or e_max not in INTERVALS:
        raise ValueError(f"Band {e_min}-{e_max} GeV: its edges must be among {INTERVALS}")
    return slice(INTERVALS.index(e_min), INTERVALS.index(e_max))


def fill_healpix(values):
    """Replace invalid pixels of a map by the mean of their valid neighbours.

    Parameters
    ----------
    values : array-like
        RING HEALPix map, shape ``(n_pix,)``.

    Returns
    -------
    values : `~numpy.ndarray`
        Without NaN, shape ``(n_pix,)``.

    Raises
    ------
    ValueError
        If no pixel is valid.
    """
    values = np.array(values, dtype=float)
    bad = np.flatnonzero(~np.isfinite(values))
    while len(bad):
        neighbours = values[healpy.get_all_neighbours(healpy.npix2nside(len(values)), bad)]
        count = np.isfinite(neighbours).sum(axis=0)
        if not count.any():
            raise ValueError("The HEALPix map has no valid pixel: give another map")
        fixed = count > 0
        values[bad[fixed]] = np.nansum(neighbours[:, fixed], axis=0) / count[fixed]
        bad = bad[~fixed]
    return values


def interpolate_wcs(geom, planes, lon, lat):
    """Bilinear interpolation of WCS images to their outer border, across the seam of an all-sky one.

    Parameters
    ----------
    geom : `~gammapy.maps.WcsGeom`
        Image geometry.
    planes : `~numpy.ndarray`
        Images, shape ``(n, ny, nx)``.
    lon, lat : `~numpy.ndarray`
        Galactic positions in deg, of one shape.

    Returns
    -------
    values : `~numpy.ndarray`
        NaN outside the images, shape of the positions after ``(n,)``.
    """
    column, row = geom.coord_to_pix(SkyCoord(lon, lat, unit="deg", frame="galactic"))
    n_row, n_column = planes.shape[1:]
    if np.isclose(n_column * geom.pixel_scales[0].to_value("deg"), 360):
        # One column of the other side of the seam at either end
        planes = np.pad(planes, [(0, 0), (0, 0), (1, 1)], mode="wrap")
        column = (column + 0.5) % n_column + 0.5
        outside = np.zeros(column.shape, dtype=bool)
    else:
        outside = (np.abs(column - (n_column - 1) / 2) > n_column / 2) | ~np.isfinite(column)
    if not np.isclose(n_row * geom.pixel_scales[1].to_value("deg"), 180, atol=1):
        outside |= np.abs(row - (n_row - 1) / 2) > n_row / 2
    pixels = np.nan_to_num([row, column])
    data = np.stack([map_coordinates(plane, pixels, order=1, mode="nearest") for plane in planes])
    return np.where(outside, np.nan, data)


def gaussian_map(power, nside, rng):
    """Gaussian random HEALPix map of unit variance.

    Parameters
    ----------
    power : `~numpy.ndarray`
        Angular power spectrum, any norm, shape ``(l_max + 1,)``.
    nside : int
        Resolution of the map.
    rng : `~numpy.random.Generator`
        Source of randomness.

    Returns
    -------
    values : `~numpy.ndarray`
        RING HEALPix map, shape ``(n_pix,)``.
    """
    l_max = len(power) - 1
    real, imaginary = rng.normal(size=(2, healpy.Alm.getsize(l_max)))
    values = healpy.alm2map(healpy.almxfl(real + 1j * imaginary, np.sqrt(power)), nside, lmax=l_max)
    return values / values.std()


def smooth_planes(planes, sigma):
    """Convolve images on the grid with Gaussians.

    Parameters
    ----------
    planes : `~numpy.ndarray`
        Images, shape ``(n, n_lat, n_lon)``, without NaN.
    sigma : array-like
        Width of each Gaussian in deg, shape ``(n,)``.

    Returns
    -------
    smooth : `~numpy.ndarray`
        Float32, shape of the input. Along a parallel the width is that on the sky;
        within 5 deg of the poles it is that at 85 deg latitude.
    """
    _, lat = sky_grid()
    cos_lat = np.cos(np.radians(np.clip(lat, -85, 85)))
    frequency = np.fft.rfftfreq(N_LON - 1, GRID_STEP)
    smooth = np.empty_like(planes, dtype=np.float32)
    for i, (plane, width) in enumerate(zip(planes, sigma, strict=True)):
        # Columns are periodic, the last repeats the first.
        transfer = np.exp(-2 * (np.pi * frequency * width / cos_lat[:, None]) ** 2)
        rows = np.fft.irfft(np.fft.rfft(plane[:, :-1], axis=1) * transfer, n=N_LON - 1, axis=1)
        rows = gaussian_filter1d(rows, width / GRID_STEP, axis=0, mode="nearest")
        smooth[i] = np.concatenate([rows, rows[:, :1]], axis=1)
    return smooth
