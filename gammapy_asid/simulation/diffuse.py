# Licensed under a 3-clause BSD style license - see LICENSE
"""Diffuse emission of the sky as intensity maps in energy intervals.

All models live on the grid and in the intervals of `gammapy_asid.simulation.sky_grid`.
"""

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import astropy.units as u
import healpy
import numpy as np
import torch
from astropy.coordinates import SkyCoord
from gammapy.maps import Map
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from scipy.ndimage import map_coordinates

from ..utils.files import new_file, regular_file
from .sky_grid import (
    GRID_STEP,
    INTERVALS,
    N_LAT,
    N_LON,
    fill_healpix,
    gaussian_map,
    integrate_intervals,
    interpolate_wcs,
    interval_slice,
    sky_grid,
    smooth_planes,
)

__all__ = ["EmissionBank", "EmissionModel", "INTERVALS", "analytic_emission"]


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
        """Each interval over the sum from `e_min` to `e_max`, which are interval edges in GeV."""
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
        ValueError
            If the cube has no energy axis or another unit.
        """
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
        """Read an isotropic spectrum: text columns energy in MeV and cm-2 s-1 MeV-1 sr-1."""
        energy, dnde = np.loadtxt(path, usecols=(0, 1), unpack=True)
        planes = integrate_intervals(energy * 1e-3, dnde * 1e3).astype(np.float32)
        return cls(name, np.broadcast_to(planes[:, None, None], (len(planes), N_LAT, N_LON)))

    def __add__(self, other):
        """Sum of the intensities, under the name of the first."""
        return EmissionModel(self.name, self.intensity + other.intensity)


@dataclass(frozen=True)
class EmissionBank:
    """Several models of the sky.

    Parameters
    ----------
    names : tuple of str
        Names of the models.
    intensity : `~numpy.ndarray`
        Stacked intensities, float32 of shape ``(n_models, n_intervals, n_lat, n_lon)``.
    """

    names: tuple
    intensity: np.ndarray

    @classmethod
    def from_models(cls, models):
        """Stack a list of `EmissionModel`."""
        return cls(tuple(m.name for m in models), np.stack([m.intensity for m in models]).astype(np.float32))

    def __len__(self):
        return len(self.names)

    def __getitem__(self, name):
        if name not in self.names:
            raise KeyError(f"No model {name!r} in the bank: it holds {', '.join(self.names)}")
        return EmissionModel(name, self.intensity[self.names.index(name)])

    def smooth(self, sigma):
        """The same models as seen with a Gaussian point spread function.

        Parameters
        ----------
        sigma : array-like
            Width of the Gaussian in deg in each interval, shape ``(n_intervals,)``.
        """
        return EmissionBank(self.names, np.stack([smooth_planes(planes, sigma) for planes in self.intensity]))

    def save(self, path, overwrite=False):
        """Write as safetensors.

        Raises
        ------
        FileExistsError
            If the file exists and `overwrite` is False.
        """
        metadata = {"names": json.dumps(self.names), "edges": json.dumps(INTERVALS)}
        with new_file(path, overwrite) as temporary:
            save_file({"intensity": np.ascontiguousarray(self.intensity)}, temporary, metadata=metadata)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no bank, or has other energy intervals.
        """
        path = regular_file(path, "emission bank")
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if json.loads(metadata.get("edges", "null")) != list(INTERVALS):
                    raise ValueError(f"other edges than {INTERVALS}")
                return cls(tuple(json.loads(metadata["names"])), file.get_tensor("intensity"))
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a bank of emission ({error}): build it again") from None

    def to_torch(self, device="cpu"):
        """The intensities as a `torch.Tensor`, for `~torch.nn.functional.grid_sample`."""
        return torch.as_tensor(self.intensity, device=device)


def analytic_emission(seed=0):
    """A made-up sky that needs no data, for demonstrations and tests.

    A gas disc and local gas with random structure, an inverse-Compton halo and an
    isotropic level, close in brightness, profile and spectrum to the GeV sky.

    Parameters
    ----------
    seed : int
        Seed of the structure and of the widths.
    """
    rng = np.random.default_rng(seed)
    lon, lat = np.meshgrid(*sky_grid())
    field = gaussian_map((np.arange(384) + 5.0) ** -2.6, 128, rng)
    structure = np.exp(0.25 * healpy.get_interp_val(field, lon, lat, lonlat=True))

    abs_lon, abs_lat = np.abs(lon), np.abs(lat)
    width = rng.lognormal(sigma=0.2, size=3)
    ridge = 10 + 90 * np.exp(-0.5 * (abs_lon / 25) ** 2)
    local = 0.3 / (np.sin(np.radians(abs_lat)) + 0.06) * structure**2
    disc = 0.75 * np.exp(-abs_lat / width[0]) + 0.25 * np.exp(-abs_lat / (5 * width[1]))
    gas = local + ridge * disc * structure
    bulge = 0.4 + 0.6 * np.exp(-abs_lon / 60)
    halo = 2 * bulge * np.exp(-abs_lat / (15 * width[2])) + 0.3 * np.exp(-abs_lat / 40)
    isotropic = np.full(lon.shape, 0.26)

    energy = np.geomspace(0.1, 1000, 60)
    intensity = 0
    for image, index, curvature in ((gas, 2.4, 0.08), (halo, 2.3, 0.02), (isotropic, 2.3, 0.01)):
        spectrum = integrate_intervals(energy, energy ** (-index - curvature * np.log(energy)))
        # Images are the intensity in 1-2 GeV in 1e-6 cm-2 s-1 sr-1
        intensity = intensity + 1e-6 * image * (spectrum / spectrum[2])[:, None, None]
    return EmissionModel("analytic", intensity.astype(np.float32))
