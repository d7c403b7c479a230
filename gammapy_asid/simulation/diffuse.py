# Licensed under a 3-clause BSD style license - see LICENSE
"""Models of the diffuse emission of the sky for training: several of them, and one that needs no data."""

import json
from dataclasses import dataclass

import healpy
import numpy as np
import torch
from safetensors.numpy import save_file

from ..utils.files import new_file
from ..utils.tensor_files import open_tensors
from .emission_model import EmissionModel
from .sky_grid import INTERVALS, gaussian_map, integrate_intervals, sky_grid, smooth_planes

__all__ = ["EmissionBank", "EmissionModel", "INTERVALS", "analytic_emission"]


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
        """Stack a list of `EmissionModel`.

        Parameters
        ----------
        models : list of `EmissionModel`
            Models.

        Returns
        -------
        bank : `EmissionBank`
            Bank.
        """
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

        Parameters
        ----------
        path : path
            File.
        overwrite : bool
            Whether an existing file may be replaced.

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

        Parameters
        ----------
        path : path
            File.

        Returns
        -------
        bank : `EmissionBank`
            Bank.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is no bank, or has other energy intervals.
        """
        about = "emission bank", "not a bank of emission", "build it again", "numpy"
        with open_tensors(path, *about) as file:
            metadata = file.metadata() or {}
            if json.loads(metadata.get("edges", "null")) != list(INTERVALS):
                raise ValueError(f"other edges than {INTERVALS}")
            return cls(tuple(json.loads(metadata["names"])), file.get_tensor("intensity"))

    def to_torch(self, device="cpu"):
        """The intensities as a `torch.Tensor`, for `~torch.nn.functional.grid_sample`.

        Parameters
        ----------
        device : str or `~torch.device`
            Where it goes.

        Returns
        -------
        intensity : `~torch.Tensor`
            Shape ``(n_models, n_intervals, n_lat, n_lon)``.
        """
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
