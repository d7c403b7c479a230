# Licensed under a 3-clause BSD style license - see LICENSE
"""Responses of the Fermi-LAT in the bands of a model."""

import os
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.maps import Map

from ..inputs.bands import LAT_BANDS, Response
from .psf_caldb import LatIRF

__all__ = ["ExposureMap", "lat_response"]

#: Fraction of the mission time in which the LAT takes data (the rest is the South
#: Atlantic Anomaly, dead time and the cut on the zenith angle). With it the mean over
#: the sky of the exposures published with 2FHL (80 months) and 3FHL (84 months) comes
#: out within 3 % at all their energies.
OBSERVING_FRACTION = 0.72

#: The sky as a whole is seen with equal time in equal intervals of cos(theta): the
#: mean over all positions of any sequence of pointings. Tables end at 0.2.
COS_THETA_MIN = 0.2

SECONDS_PER_YEAR = 365.25 * 86400
# Angles to the axis and energies in a sub-band that are averaged over: the response is smooth between them.
N_COS_THETA, N_ENERGY = 16, 4
# Offsets of the point spread function in deg, closer near its core: few photons of 0.3 GeV go beyond the
# last.
RAD_MAX, N_RAD = 12.0, 200


def lat_response(
    irf="P8R3_ULTRACLEANVETO_V2",
    event_type="FRONT",
    e_min=0.3,
    e_max=1000.0,
    livetime=9.5,
    exposure=None,
    pixel_size=0.1,
    bands=LAT_BANDS,
    n_sub=3,
    reference_index=2.2,
    caldb=None,
):
    """Mean response of the Fermi-LAT over the sky, from CALDB files.

    Averages over photons of a power law: exposure in each sub-band, and the point
    spread function weighted with the effective area at each angle to the axis.
    Energy dispersion is left out. Event types joined by ``+`` are taken as one
    data set: exposures add up.

    Parameters
    ----------
    irf : str
        Response, for example ``P8R3_SOURCE_V2``.
    event_type : str
        FRONT, BACK, PSF0 to PSF3, or several joined by ``+``.
    e_min, e_max : float
        Energy range of the data in GeV. Bands outside it are absent, bands partly
        inside are cut.
    livetime : float
        Length of the observation in years of mission time.
    exposure : array-like, optional
        Mean exposure of each band in cm2 s, shape ``(n_bands,)``, in place of the
        computed one; the change within a band stays.
    pixel_size : float
        Finest pixel size in deg.
    bands : `~gammapy_asid.inputs.bands.Bands`
        Bands of the model.
    n_sub : int
        Number of sub-bands.
    reference_index : float
        Photon index of the power law.
    caldb : path, optional
        Folder of the CALDB files ``aeff_*`` and ``psf_*``; by default the folder
        ``lat/irfs`` of the environment variable GAMMAPY_ASID_DATA.

    Returns
    -------
    response : `~gammapy_asid.inputs.bands.Response`
        Response with the point spread function normalised to one within 12 deg.

    Raises
    ------
    ValueError
        If the energy range covers no band or an event type is unknown or repeated.
    FileNotFoundError
        If the response is not in the folder.
    """
    types = event_type.split("+")
    if len(set(types)) < len(types):
        raise ValueError(f"Event type {event_type!r} names a type twice: name each once")
    irfs = [LatIRF.read(_caldb_folder(caldb), irf, name) for name in types]

    edges = np.asarray(bands.edges, dtype=float)
    low, high = np.maximum(edges[:-1], e_min), np.minimum(edges[1:], e_max)
    present = low < high
    if not present.any():
        raise ValueError(f"No band in {e_min}-{e_max} GeV: the bands cover {edges[0]}-{edges[-1]} GeV")

    rad = RAD_MAX * np.linspace(0, 1, N_RAD) ** 2
    areas = np.zeros((len(bands), n_sub))
    psf = np.zeros((len(bands), n_sub, N_RAD))
    for band in np.flatnonzero(present):
        areas[band], psf[band] = _average(irfs, low[band], high[band], n_sub, reference_index, rad)

    if exposure is None:
        exposures = areas * livetime * SECONDS_PER_YEAR * OBSERVING_FRACTION
    else:
        mean = np.where(present, areas.mean(axis=1), 1)
        if np.shape(exposure) != (len(bands),):
            raise ValueError(f"exposure needs one value for each of {len(bands)} bands, got {exposure}")
        exposures = areas * (np.asarray(exposure, dtype=float) / mean)[:, None]
    e_min, e_max = np.where(present, low, np.nan), np.where(present, high, np.nan)
    return Response(bands, e_min, e_max, exposures, rad, psf, float(pixel_size))


def _average(irfs, e_min, e_max, n_sub, index, rad):
    """Effective area averaged over the sky in cm2 and point spread function of each sub-band.

    Shapes ``(n_sub,)`` and ``(n_sub, n_rad)``.
    """
    edges = np.geomspace(e_min, e_max, n_sub * N_ENERGY + 1)
    energy = np.sqrt(edges[:-1] * edges[1:])
    photons = edges[:-1] ** (1 - index) - edges[1:] ** (1 - index)
    step = (1 - COS_THETA_MIN) / N_COS_THETA
    cos_theta = COS_THETA_MIN + step * (np.arange(N_COS_THETA) + 0.5)

    area = 0
    psf = 0
    for irf in irfs:
        # A fraction d(cos theta) / 2 of the time is spent in each interval
        weight = irf.effective_area(energy, cos_theta) * step / 2 * photons
        area = area + weight.sum(axis=0)
        psf = psf + (weight[..., None] * irf.psf(energy, cos_theta, rad)).sum(axis=0)
    area = area.reshape(n_sub, N_ENERGY).sum(axis=1)
    psf = psf.reshape(n_sub, N_ENERGY, -1).sum(axis=1)
    theta = np.radians(rad)
    psf /= np.trapezoid(2 * np.pi * np.sin(theta) * psf, theta, axis=1)[:, None]
    return area / photons.reshape(n_sub, N_ENERGY).sum(axis=1), psf


def _caldb_folder(caldb):
    """Folder of the CALDB files, from the argument or the environment."""
    if caldb is not None:
        return Path(caldb)
    root = os.environ.get("GAMMAPY_ASID_DATA")
    if root is None:
        raise FileNotFoundError(
            "No folder with LAT CALDB files: give it as caldb or "
            "set the environment variable GAMMAPY_ASID_DATA"
        )
    return Path(root) / "lat" / "irfs"


class ExposureMap:
    """Exposure at a position over its mean over the sky.

    Parameters
    ----------
    exposure : `~gammapy.maps.Map`
        Exposure of the whole sky with an axis ``energy_true``.

    Raises
    ------
    ValueError
        If the map does not cover the sky or has no energy axis.
    """

    def __init__(self, exposure):
        if "energy_true" not in exposure.geom.axes.names:
            raise ValueError("The exposure map has no axis 'energy_true': give an exposure cube")
        geom = exposure.geom.to_image()
        area = np.broadcast_to(geom.solid_angle().to_value("sr"), geom.data_shape)
        if np.nansum(area) < 0.99 * 4 * np.pi:
            raise ValueError("The exposure map does not cover the whole sky: give an all-sky cube")
        # A plate carree map has cells beyond the poles: no solid angle, no value
        area = np.where(np.isfinite(area), area, 0)
        data = np.where(area > 0, exposure.data, 0)
        axes = tuple(range(1, data.ndim))
        mean = (data * area).sum(axis=axes, keepdims=True) / area.sum()
        self._ratio = exposure.copy(data=exposure.data / mean, unit="")

    @classmethod
    def read(cls, path):
        """Read any all-sky cube that Gammapy reads, WCS or HEALPix.

        A HEALPix file without COORDSYS counts as equatorial: where it is Galactic, read
        it with ``COORDSYS='G'`` in its header and give the map.

        Parameters
        ----------
        path : path
            File.

        Returns
        -------
        exposure : `ExposureMap`
            Exposure.
        """
        return cls(Map.read(path))

    def ratio(self, lon, lat, energy=1.0):
        """Exposure over the mean of the sky.

        Parameters
        ----------
        lon, lat : array-like
            Galactic position in deg.
        energy : float
            Energy in GeV; outside the axis that of its end.

        Returns
        -------
        ratio : `~numpy.ndarray`
            Shape of the broadcast positions.
        """
        axis = self._ratio.geom.axes["energy_true"]
        centers = axis.center.to_value("GeV")
        position = SkyCoord(lon, lat, unit="deg", frame="galactic")
        energy = np.clip(energy, centers[0], centers[-1])
        coords = {"skycoord": position, "energy_true": np.full(position.shape, energy) * u.GeV}
        return self._ratio.interp_by_coord(coords).reshape(position.shape)
