# Licensed under a 3-clause BSD style license - see LICENSE
"""Responses of the package's simulator as axes and maps of Gammapy."""

import astropy.units as u
import numpy as np
from gammapy.irf import PSFMap
from gammapy.maps import MapAxis, WcsNDMap

__all__ = ["psf_map", "true_energy_axis"]


def true_energy_axis(response):
    """Sub-bands of a response as an axis ``energy_true``."""
    edges = np.append(response.sub_edges[:, :-1].ravel(), response.e_max[-1])
    return MapAxis.from_energy_edges(edges * u.GeV, name="energy_true")


def psf_map(response):
    """Point spread function of a response as a `~gammapy.irf.PSFMap`, the same on the whole sky."""
    axis = true_energy_axis(response)
    rad = MapAxis.from_nodes(response.rad, unit="deg", name="rad")
    psf = WcsNDMap.create(binsz=180, npix=(2, 1), axes=[rad, axis], unit="sr-1")
    psf.data += response.psf.reshape(axis.nbin, rad.nbin, 1, 1)
    exposure = WcsNDMap(psf.geom.squash("rad"), unit="cm2 s")
    exposure.data += response.exposure.reshape(axis.nbin, 1, 1, 1)
    return PSFMap(psf, exposure)
