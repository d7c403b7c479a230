# Licensed under a 3-clause BSD style license - see LICENSE
"""Images of the counts of a band cube, for pictures."""

import numpy as np
from gammapy.maps import WcsNDMap

from .psf import psf_radius

__all__ = ["PICTURE_E_MIN", "picture_maps"]

#: Lowest energy in GeV of a picture of sources where there are counts above: the PSF is wider below.
PICTURE_E_MIN = 1.0


def picture_maps(cube):
    """Counts above 1 GeV, or all where there are none, and what the known sky predicts of them.

    Counts of bands with larger pixels are shared among the finest ones.

    Parameters
    ----------
    cube : `~gammapy_asid.inputs.BandCube`
        Field.

    Returns
    -------
    maps : dict of `~gammapy.maps.Map`
        ``counts``, and ``background`` where a known sky is there.
    meta : dict
        ``picture_range``, the energies of the counts in GeV, and ``picture_radius``, the mean of the radii in
        deg that hold 68 % of the photons of a point.
    """
    e_min, e_max = cube.response.e_min, cube.response.e_max
    # NaN where the data have no such energies
    some = np.flatnonzero(e_min >= PICTURE_E_MIN * 0.999)
    some = some if len(some) else np.flatnonzero(np.isfinite(e_min))
    arrays = {"counts": cube.counts}
    if cube.has_background:
        arrays["background"] = cube.background
    maps = {name: WcsNDMap(cube.geom, _image(cube, bands, some)) for name, bands in arrays.items()}
    edges = np.nanmin(e_min[some]), np.nanmax(e_max[some])
    # Without the last bits, which a logarithmic axis may lose
    energy_range = [float(f"{edge:.6g}") for edge in edges]
    number = np.array([cube.counts[band].sum() for band in some])
    radius = psf_radius(cube.response)[some]
    known = np.isfinite(radius) & (number > 0)
    radius = np.average(radius[known], weights=number[known]) if known.any() else None
    return maps, {"picture_range": energy_range, "picture_radius": radius}


def _image(cube, bands, some):
    image = np.zeros(cube.geom.data_shape, np.float32)
    for band in some:
        side = 2 ** cube.bands.levels[band]
        image += np.kron(bands[band], np.full((side, side), side**-2.0))
    return image
