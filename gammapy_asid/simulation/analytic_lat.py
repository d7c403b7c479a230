# Licensed under a 3-clause BSD style license - see LICENSE
"""An instrument like the Fermi-LAT, without any file: energies, exposure and point spread function."""

import astropy.units as u
import numpy as np
from gammapy.irf import PSFMap
from gammapy.maps import Map, MapAxis, WcsGeom

from .sky_grid import INTERVALS

__all__ = ["ENERGY_EDGES", "N_TRUE", "analytic_lat_exposure", "analytic_lat_psf", "energy_axes"]

#: Energy edges of a dataset in GeV. They hold the band edges of the model ``lat``.
ENERGY_EDGES = (0.3, 0.5, 1.0, 2.0, 3.5, 7.0, 12.0, 20.0, 60.0, 200.0, 1000.0)

#: True energy bins in each bin of the dataset.
N_TRUE = 3

#: Exposure of one year of survey, front and back events, at the energy in GeV.
EXPOSURE_ENERGY = (0.1, 0.39, 0.71, 1.4, 3.7, 12.0, 140.0, 1000.0)
EXPOSURE_PER_YEAR = (1.0e10, 2.0e10, 2.63e10, 3.3e10, 3.5e10, 3.5e10, 3.3e10, 2.6e10)

#: The point spread function ends here, in deg.
PSF_RADIUS = 12.0


def analytic_lat_exposure(energy, livetime=10.0):
    """Exposure of the sky survey, the same at all positions.

    Parameters
    ----------
    energy : array-like
        True energy in GeV.
    livetime : float
        Length of the survey in years.

    Returns
    -------
    exposure : `~numpy.ndarray`
        Exposure in cm2 s, interpolated in a table of the P8R3 response; a few percent.
    """
    return livetime * np.exp(np.interp(np.log(energy), np.log(EXPOSURE_ENERGY), np.log(EXPOSURE_PER_YEAR)))


def analytic_lat_psf(energy_axis_true):
    """Point spread function like that of front and back events together.

    A King function of slope 2 whose 68 % radius is ``0.80 deg (E / GeV)^-0.8`` with
    0.11 deg added in quadrature; the form is that of Ackermann et al. 2013, ApJ 765, 54.

    Parameters
    ----------
    energy_axis_true : `~gammapy.maps.MapAxis`
        True energy.

    Returns
    -------
    psf : `~gammapy.irf.PSFMap`
        Normalised to one within 12 deg, the same at all positions.
    """
    energy = energy_axis_true.center.to_value("GeV")
    r68 = np.hypot(0.80 * energy**-0.8, 0.11)
    rad_axis = MapAxis.from_edges(PSF_RADIUS * np.linspace(0, 1, 401) ** 2, unit="deg", name="rad")
    # A share of 1 - 1 / (1 + r2 / s2) lies within r: 68 % where r2 = s2 (1 / 0.32 - 1)
    scale2 = (r68**2 / (1 / 0.32 - 1))[:, None]
    inside = 1 - 1 / (1 + PSF_RADIUS**2 / scale2)
    profile = (1 + rad_axis.center.value**2 / scale2) ** -2 / (np.pi * np.radians(1) ** 2 * scale2 * inside)
    geom = WcsGeom.create(npix=(2, 1), proj="CAR", binsz=180).to_cube([rad_axis, energy_axis_true])
    data = np.broadcast_to(profile[..., None, None], geom.data_shape)
    return PSFMap(
        Map.from_geom(geom, data=data.copy(), unit="sr-1"),
        Map.from_geom(geom.squash("rad"), data=1.0, unit="cm2 s"),
    )


def energy_axes(energy_edges):
    """Axes of reconstructed and of true energies, the latter with `N_TRUE` bins in each bin of the former.

    Parameters
    ----------
    energy_edges : sequence of float
        Energy edges in GeV.

    Returns
    -------
    axis, true_axis : `~gammapy.maps.MapAxis`
        Axes.

    Raises
    ------
    ValueError
        If the emission is not known at all of these energies.
    """
    if energy_edges[0] < INTERVALS[0] or energy_edges[-1] > INTERVALS[-1]:
        raise ValueError(
            f"Energies of {energy_edges[0]}-{energy_edges[-1]} GeV: "
            f"the emission is known in {INTERVALS[0]}-{INTERVALS[-1]} GeV, choose edges inside"
        )
    edges = np.geomspace(energy_edges[:-1], energy_edges[1:], N_TRUE, endpoint=False, axis=1).ravel()
    true_axis = MapAxis.from_energy_edges([*edges, energy_edges[-1]] * u.GeV, name="energy_true")
    return MapAxis.from_energy_edges(energy_edges * u.GeV, interp="log"), true_axis
