# Licensed under a 3-clause BSD style license - see LICENSE
"""What the network sees of the sources of a field."""

import numpy as np
import torch

from ...inputs.bands import BandCube
from ...inputs.psf import psf_radius
from ...inputs.stamps import CONTAINMENTS, Stamps, cut_stamps, describe_psf, local_psf_radii, lost_width

__all__ = ["NARROWEST", "field_stamps"]

#: Variance along an axis of counts that lost their place, in squares of the native pixels: that of the
#: difference of two uniform variates, and of a point that Gammapy's predictions share between four pixels.
LOST_VARIANCE = 1 / 6 + 1 / 4
#: Sources narrower than this share of the best band's 68 % radius count as points: they look 7 % wider.
NARROWEST = 0.25


def field_stamps(datasets, cube, positions, x, y, size, pixel_size):
    """Stamps around sources of a field, with the point spread function at each.

    Parameters
    ----------
    datasets : list of `~gammapy.datasets.MapDataset` or `~gammapy_asid.inputs.BandCube`
        Data of the field; of a band cube the point spread function is the same everywhere.
    cube : `~gammapy_asid.inputs.BandCube`
        The data in the bands of the network, with a background.
    positions : `~astropy.coordinates.SkyCoord`
        Positions of the sources, shape ``(n,)``.
    x, y : `~numpy.ndarray`
        The same in finest pixels of the cube, shape ``(n,)``.
    size : int
        Side of the stamps in pixels.
    pixel_size : float
        Nominal pixel size of the stamps in deg.

    Returns
    -------
    stamps : `~gammapy_asid.inputs.stamps.Stamps`
        Stamps.
    radius : `~numpy.ndarray`
        Radii that hold 68 % of the photons of a point in deg, shape ``(n, n_bands)``; NaN in absent bands.
    """
    counts, background, inside, scale = cut_stamps(cube, x, y, size, pixel_size)
    # On the way to the pixels of the field, and to those of the stamps
    lost = np.hypot(cube.response.native, lost_width(cube, pixel_size))
    radii = _psf_radii(datasets, positions, cube.response, lost)
    described = describe_psf(radii, scale * pixel_size)
    narrowest = np.maximum(NARROWEST * np.nanmin(radii[..., 0], axis=1), lost)
    parts = (counts, background, inside, described, narrowest)
    return Stamps(*(torch.tensor(part, dtype=torch.float32) for part in parts)), radii[..., 0]


def _psf_radii(datasets, positions, response, lost):
    """Radii of the `CONTAINMENTS` of each band at the positions, shape ``(n, n_bands, 4)``."""
    if isinstance(datasets, BandCube):
        central = np.stack([psf_radius(response, share) for share in CONTAINMENTS], axis=-1)
        radii = np.broadcast_to(central, (len(positions), *central.shape))
    else:
        radii = local_psf_radii(datasets, positions, response, CONTAINMENTS)
    # Widths add in square
    return np.sqrt(radii**2 - 2 * np.log1p(-np.array(CONTAINMENTS)) * LOST_VARIANCE * lost**2)
