# Licensed under a 3-clause BSD style license - see LICENSE
"""Emission of the sky, split into a coarse part and its fine structure, and what is known of that."""

import os
from dataclasses import dataclass

import healpy
import numpy as np
import torch
import torch.nn.functional as F

from ...simulation.diffuse import EmissionBank, EmissionModel
from ...simulation.missing_gas import REFERENCE_INTERVAL
from ...simulation.sky_grid import N_LAT, N_LON, fill_healpix, sky_grid, smooth_planes
from ...simulation.structure import COARSE
from ...simulation.variations import patch_grid, sample_emission
from ...utils.devices import Movable
from ...utils.files import regular_file
from ...utils.tensor_rows import TensorRows

__all__ = [
    "EmissionSky",
    "PIXEL_SIZE",
    "StructurePatches",
    "held_out",
    "n_channels",
    "read_intensity",
    "split_emission",
]

#: Pixels of the patches in deg: the step of the grid of emission models.
PIXEL_SIZE = 0.25
#: Standard deviation in deg of the Gaussian in which the strength of structure is measured: a few blocks.
LOCAL = 2.0
#: Lowest column of a tracer over its median, where a map has none.
LOWEST_COLUMN = 0.01
#: Strength of the structure of tracers in the middle of the sky, and the lowest, below that of the smoothest
#: sky.
TYPICAL_STRUCTURE, LOWEST_STRUCTURE = 0.05, 1e-3

#: Sectors of longitude of this width in deg; of each five the second is kept out of training, 36-72 and
#: 216-252 deg: one in the inner Galaxy, one in the outer. Above the latitude CAP, where meridians come close,
#: none is.
SECTOR, EVERY, KEPT, CAP = 36.0, 5, 1, 75.0


@dataclass(kw_only=True)
class StructurePatches(TensorRows):
    """Square gnomonic patches of the sky, pixels of 0.25 deg.

    Parameters
    ----------
    centres, roll : `~torch.Tensor`
        Galactic longitude and latitude of the centres in rad, shape ``(n, 2)``, and angle of each patch.
    structure : `~torch.Tensor`
        Logarithm of the fine over the coarse emission, shape ``(n, ny, nx)``.
    amplitude : `~torch.Tensor`
        Its expected strength, same shape.
    channels : `~torch.Tensor`
        What is known, shape ``(n, n_channels, ny, nx)``.
    """

    centres: torch.Tensor
    roll: torch.Tensor
    structure: torch.Tensor
    amplitude: torch.Tensor
    channels: torch.Tensor

    @property
    def normalised(self):
        """Structure over its expected strength, shape ``(n, ny, nx)``."""
        return self.structure / self.amplitude


def n_channels(n_tracers):
    """Channels of what is known.

    Parameters
    ----------
    n_tracers : int
        Number of tracers.
    """
    return 3 + 3 * n_tracers


def held_out(vectors):
    """Which directions are kept out of training.

    Parameters
    ----------
    vectors : `~torch.Tensor`
        Galactic unit vectors, shape ``(..., 3)``.

    Returns
    -------
    kept : `~torch.Tensor`
        Bool, shape ``(...,)``.
    """
    lon = torch.rad2deg(torch.atan2(vectors[..., 1], vectors[..., 0])) % 360
    in_sector = torch.floor(lon / SECTOR) % EVERY == KEPT
    return in_sector & (vectors[..., 2].abs() < np.sin(np.radians(CAP)))


def read_intensity(recipe):
    """Emission that a recipe names.

    Parameters
    ----------
    recipe : `~gammapy_asid.tasks.generative.recipe.GenerativeRecipe`
        Recipe.

    Returns
    -------
    intensity : `~numpy.ndarray`
        In 1-2 GeV in cm-2 s-1 sr-1 on the grid of emission models. At other energies the structure is
        nearly the same (`benchmarks.generative.emission`).

    Raises
    ------
    ValueError
        If it does not cover the sky, or a bank does not hold the model.
    """
    path = recipe.emission_path
    if path.suffix == ".safetensors":
        bank = EmissionBank.load(path)
        if recipe.model not in bank.names:
            raise ValueError(f"No model {recipe.model!r} in {path}: it holds {', '.join(bank.names)}")
        model = bank[recipe.model]
    else:
        model = EmissionModel.from_cube(path)
    if recipe.isotropic is not None:
        model = model + EmissionModel.isotropic(os.path.expandvars(recipe.isotropic))
    intensity = model.intensity[REFERENCE_INTERVAL]
    if not np.all(intensity > 0):
        raise ValueError(f"The emission of {path} is not positive over the whole sky: give another model")
    return intensity


def _read_tracer(path):
    """Column of a tracer on the grid, over its median."""
    values, header = healpy.read_map(regular_file(path, "map of a tracer"), dtype=float, h=True)
    frame = str(dict(header).get("COORDSYS", "G")).strip().upper()
    if frame[:1] not in ("G", ""):
        raise ValueError(
            f"{path} has COORDSYS {frame!r}: tracers are maps in Galactic coordinates (G), turn it"
        )
    column = fill_healpix(values)
    column = np.maximum(column / np.median(column), LOWEST_COLUMN)
    return healpy.get_interp_val(column, *np.meshgrid(*sky_grid()), lonlat=True)


def split_emission(values):
    """Split a map into its coarse part and its structure.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Positive values, shape ``(n_lat, n_lon)``.

    Returns
    -------
    coarse, structure, strength : `~numpy.ndarray`
        Coarse part, logarithm of the whole over that, and logarithm of the strength of this structure over
        the typical one.
    """
    coarse = smooth_planes(values[None], [COARSE])[0]
    structure = np.log(values / coarse)
    power = smooth_planes(structure[None] ** 2, [LOCAL])[0]
    return coarse, structure, np.log(np.maximum(power, LOWEST_STRUCTURE**2) / TYPICAL_STRUCTURE**2) / 2


class EmissionSky(Movable):
    """Fine structure of an emission model, and what is known of it, on the grid of emission models.

    Channels of what is known: sine of the latitude and its absolute value, logarithm of the coarse emission
    over its median; for each tracer logarithms of the coarse column and of the strength of its structure, and
    the structure in units of that.

    Parameters
    ----------
    intensity : `~numpy.ndarray`
        Emission, shape ``(n_lat, n_lon)``.
    tracers : sequence of str
        Files of the tracers, see `~gammapy_asid.tasks.generative.recipe.GenerativeRecipe`.
    amplitude : sequence of float, optional
        Coefficients of the logarithm of the strength of the structure: constant, and those of its linear
        terms in the coarse emission, the absolute sine of latitude and the strength of each tracer. By
        default they are fitted where training may look.

    Raises
    ------
    ValueError
        If the emission is on another grid, or not positive everywhere.
    """

    def __init__(self, intensity, tracers, amplitude=None):
        if np.shape(intensity) != (N_LAT, N_LON):
            raise ValueError(
                f"The emission has shape {np.shape(intensity)}: give one plane of EmissionModel.intensity, "
                f"{(N_LAT, N_LON)}"
            )
        if not (np.isfinite(intensity).all() and np.all(np.asarray(intensity) > 0)):
            raise ValueError("The emission is not positive over the whole sky: give another model")
        coarse, structure, strength = split_emission(intensity)
        sin_lat = np.sin(np.radians(sky_grid()[1]))[:, None] + np.zeros(coarse.shape)
        channels = [sin_lat, np.abs(sin_lat), np.log(coarse / np.median(coarse))]
        terms = [np.ones(coarse.shape), channels[2], channels[1]]
        for path in tracers:
            column, its_structure, its_strength = split_emission(_read_tracer(path))
            channels += [
                np.log(column),
                its_strength,
                its_structure / np.exp(its_strength) / TYPICAL_STRUCTURE,
            ]
            terms.append(its_strength)
        if amplitude is None:
            amplitude = _fit(np.stack(terms), strength)
        #: Coefficients of the logarithm of the strength.
        self.coefficients = tuple(float(value) for value in amplitude)
        log_amplitude = np.log(TYPICAL_STRUCTURE) + np.einsum("t,tyx->yx", self.coefficients, np.stack(terms))
        known = np.stack([log_amplitude, *channels])
        self._structure = torch.tensor(structure, dtype=torch.float32)
        self._known = torch.tensor(known, dtype=torch.float32)

    @property
    def device(self):
        """Where its tensors are."""
        return self._known.device

    def patches(self, centres, roll, size):
        """Patches of the sky.

        Parameters
        ----------
        centres, roll : `~torch.Tensor`
            Galactic longitude and latitude of the centres in rad, shape ``(n, 2)``, and angle of each patch.
        size : int
            Side in pixels.

        Returns
        -------
        patches : `StructurePatches`
            Patches.
        """
        vectors = patch_grid(centres, roll, torch.full_like(roll, size * PIXEL_SIZE), size)
        known = sample_emission(self._known[None], vectors)[:, 0]
        return StructurePatches(
            centres=centres,
            roll=roll,
            structure=_sharp(self._structure, vectors),
            amplitude=torch.exp(known[:, 0]),
            channels=known[:, 1:],
        )


def _fit(terms, strength):
    """Coefficients of the logarithm of the strength, where training may look; all of the sky counts alike."""
    lon, lat = np.radians(np.meshgrid(*sky_grid()))
    x, y, z = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
    kept = held_out(torch.tensor(np.stack([x, y, z], -1))).numpy()
    # Squared it is the area of a node
    weight = np.sqrt(np.cos(lat).clip(min=0))[~kept]
    return np.linalg.lstsq((terms[:, ~kept] * weight).T, strength[~kept] * weight, rcond=None)[0]


def _sharp(plane, vectors):
    """Bicubic interpolation: a linear one would smooth by how far a pixel is from the nodes."""
    n, ny, nx, _ = vectors.shape
    lon, lat = torch.atan2(vectors[..., 1], vectors[..., 0]), torch.asin(vectors[..., 2].clamp(-1, 1))
    grid = torch.stack([-lon / torch.pi, 2 * lat / torch.pi], -1).view(1, n * ny, nx, 2)
    way = {"mode": "bicubic", "padding_mode": "border", "align_corners": True}
    return F.grid_sample(plane[None, None], grid, **way).view(n, ny, nx)
