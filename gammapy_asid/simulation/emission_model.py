# Licensed under a 3-clause BSD style license - see LICENSE
"""A model of the diffuse emission of the sky, on the grid and in the intervals of `sky_grid`."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import astropy.units as u
import healpy
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.maps import Map
from scipy.ndimage import map_coordinates

from ..utils.files import regular_file
from .sky_grid import (
    GRID_STEP,
    INTERVALS,
    N_LAT,
    N_LON,
    fill_healpix,
    integrate_intervals,
    interpolate_wcs,
    interval_slice,
    sky_grid,
)

__all__ = ["EmissionModel"]


@dataclass(frozen=True)
class EmissionModel:
    """Intensity of the diffuse sky.

    Parameters
    ----------
    name : str
        Name of the model.
    intensity : `~numpy.ndarray`
        Intensity in each interval in cm-2 s-1 sr-1, float32 of shape
        ``(n_intervals, n_lat, n_lon)`` on the grid; NaN where the
        model says nothing.
    """

    name: str
    intensity: np.ndarray

    def __post_init__(self):
        shape = (len(INTERVALS) - 1, N_LAT, N_LON)
        if self.intensity.shape != shape:
            raise ValueError(f"Intensity of {self.name!r} has shape {self.intensity.shape}, expected {shape}")

    def interpolate(self, lon, lat):
        """Bilinear interpolation.

        Parameters
        ----------
        lon, lat : array-like
            Galactic position in deg.

        Returns
        -------
        intensity : `~numpy.ndarray`
            Shape of the broadcast positions with ``(n_intervals,)`` appended.
        """
        lon, lat = np.broadcast_arrays(np.asarray(lon, dtype=float), np.asarray(lat, dtype=float))
        pixels = np.stack([(lat + 90) / GRID_STEP, (360 - (lon + 180) % 360) / GRID_STEP]).reshape(2, -1)
        planes = [map_coordinates(plane, pixels, order=1, mode="nearest") for plane in self.intensity]
        return np.stack(planes, axis=-1).reshape(*lon.shape, len(planes))

    def fraction(self, e_min, e_max):
        """Each interval over the sum from `e_min` to `e_max`, which are interval edges in GeV.

        Parameters
        ----------
        e_min, e_max : float
            Edges in GeV.

        Returns
        -------
        fraction : `~numpy.ndarray`
            Shape ``(n_intervals, n_lat, n_lon)``.
        """
        return self.intensity / self.intensity[interval_slice(e_min, e_max)].sum(axis=0)

    @classmethod
    def from_cube(cls, path, name=None):
        """Read a FITS cube of differential intensity, such as ``gll_iem``.

        Parameters
        ----------
        path : path
            Any cube that `gammapy.maps.Map.read` reads, WCS or HEALPix, with an
            energy axis, in units like cm-2 s-1 MeV-1 sr-1 (taken where none is
            given). Outside a cutout the model is NaN.
        name : str, optional
            Name of the model, by default that of the file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If the cube has no energy axis or another unit.
        """
        path = regular_file(path, "cube of emission")
        cube = Map.read(path)
        if len(cube.geom.axes) != 1 or not cube.geom.axes[0].name.startswith("energy"):
            raise ValueError(f"{path} has no energy axis alone: give a cube of intensity in energy")
        unit = cube.unit if str(cube.unit) else u.Unit("cm-2 s-1 MeV-1 sr-1")
        if not unit.is_equivalent("cm-2 s-1 GeV-1 sr-1"):
            raise ValueError(f"{path} is in {unit}: give differential intensity, cm-2 s-1 MeV-1 sr-1")
        dnde = cube.data.astype(float) * unit.to("cm-2 s-1 GeV-1 sr-1")
        energy = cube.geom.axes[0].center.to_value("GeV")
        planes = integrate_intervals(energy, dnde)
        lon, lat = np.meshgrid(*sky_grid())
        geom = cube.geom.to_image()
        if geom.is_hpx:
            images = [Map.from_geom(geom, data=plane) for plane in planes]
            position = SkyCoord(lon, lat, unit="deg", frame="galactic")
            data = [image.interp_by_coord({"skycoord": position}) for image in images]
        else:
            data = interpolate_wcs(geom, planes, lon, lat)
        return cls(name or Path(path).name.split(".fits")[0], np.asarray(data, dtype=np.float32))

    @classmethod
    def from_healpix(cls, values, edges, spectrum, name):
        """Make a model of maps in a few bands and the finer spectrum of another model.

        Parameters
        ----------
        values : `~numpy.ndarray`
            Intensity in cm-2 s-1 sr-1 in each band, Galactic RING HEALPix maps of
            shape ``(n_bands, n_pix)``. Pixels without a value take the mean of their
            neighbours.
        edges : sequence of float
            Edges of the bands in GeV, each an edge of the intervals. The first and
            last band also set the level of the intervals beyond them.
        spectrum : `EmissionModel`
            Gives the division of each band at each position.
        name : str
            Name of the model.
        """
        lon, lat = np.meshgrid(*sky_grid())
        intensity = np.empty_like(spectrum.intensity, dtype=np.float32)
        for band, (e_min, e_max) in enumerate(pairwise(edges)):
            plane = healpy.get_interp_val(fill_healpix(values[band]), lon, lat, lonlat=True)
            low = INTERVALS[0] if band == 0 else e_min
            high = INTERVALS[-1] if band == len(values) - 1 else e_max
            target = interval_slice(low, high)
            intensity[target] = (plane * spectrum.fraction(e_min, e_max))[target]
        return cls(name, intensity)

    @classmethod
    def isotropic(cls, path, name="isotropic"):
        """Read an isotropic spectrum: text columns energy in MeV and cm-2 s-1 MeV-1 sr-1.

        Parameters
        ----------
        path : path
            Text file.
        name : str
            Name of the model.

        Returns
        -------
        model : `EmissionModel`
            Model.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no table of positive energies and intensities.
        """
        path = regular_file(path, "isotropic spectrum")
        try:
            energy, dnde = np.loadtxt(path, usecols=(0, 1), unpack=True, ndmin=2)
        except ValueError as error:
            raise ValueError(
                f"{path} is no table of energy and intensity ({error}): give a text file"
            ) from None
        order = np.argsort(energy)
        energy, dnde = energy[order], dnde[order]
        good = np.isfinite(dnde).all() and (dnde >= 0).all() and (np.diff(energy, prepend=0) > 0).all()
        if len(energy) < 2 or not good:
            raise ValueError(f"{path} needs two or more energies, all different, with intensities from 0")
        planes = integrate_intervals(energy * 1e-3, dnde * 1e3).astype(np.float32)
        return cls(name, np.broadcast_to(planes[:, None, None], (len(planes), N_LAT, N_LON)))

    def __add__(self, other):
        """Sum of the intensities, under the name of the first."""
        return EmissionModel(self.name, self.intensity + other.intensity)
