# Licensed under a 3-clause BSD style license - see LICENSE
"""What the photons of a dataset allow: the Cramer-Rao bound of position and flux of any source."""

import astropy.units as u
import numpy as np
import torch
from astropy.table import QTable
from gammapy.modeling.models import PointSpatialModel, SkyModel

from ..inputs.bands_of_dataset import bands_for_dataset
from ..inputs.batch import field_batch
from ..inputs.convert import to_band_cube
from ..inputs.psf import psf_tables
from ..utils.sky_geometry import RADIUS_68
from .known_sky import known_sky
from .source_images import position_information, source_images

__all__ = ["source_limits"]

# Steps of the integrals over each sub-band.
N_NODES = 5


def source_limits(datasets, models):
    """Smallest errors of position and flux that any unbiased method can reach.

    Inverse of the Fisher information of the counts on position and level of each source, all else
    known (Rao 1945, Bull. Calcutta Math. Soc. 37, 81; Cramer 1946): the known sky, the other
    models, and the shape of the spectrum.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data of one field, with a background; without one the sky's level is taken from the counts.
    models : `~gammapy.modeling.models.Models`
        Point sources with spectra, at least one.

    Returns
    -------
    limits : `~astropy.table.QTable`
        One row per model: ``name``, ``counts``, ``pos_err_68`` (deg, 68 % radius of a circle of equal
        area), ``semi_major``, ``semi_minor`` (deg, standard deviations) and ``flux_err`` (relative).
        NaN where a source gives no information.

    Raises
    ------
    ValueError
        If there is no model, or one that is no point with a spectrum, or the data can't be used.
    """
    models = [models] if isinstance(models, SkyModel) else list(models)
    _check_points(models)
    cube = to_band_cube(datasets, bands_for_dataset(datasets), without=tuple(m.name for m in models))
    batch, tables, response = field_batch([cube]), psf_tables(cube.response), cube.response
    sky = batch.background if cube.has_background else known_sky(batch)
    pixels = np.array([cube.geom.wcs.world_to_pixel(m.position) for m in models])
    x, y = torch.tensor(pixels.reshape(-1, 2).T, dtype=torch.float32)
    counts = np.array([_counts_of_spectrum(m.spectral_model, response) for m in models])
    counts = torch.tensor(counts, dtype=torch.float32)
    field = torch.zeros(len(x), dtype=torch.long)
    weight = [e * m for e, m in zip(batch.exposure, batch.mask, strict=True)]
    shape = (1, *cube.mask.shape[1:])
    images = source_images(tables, batch.levels, shape, field, x, y, counts)
    expected = [b + i * w for b, i, w in zip(sky, images, weight, strict=True)]
    information = position_information(tables, batch.levels, expected, weight, field, x, y, counts)
    information = information.sum(1).double().numpy()
    covariance = np.full(information.shape, np.nan)
    informed = np.linalg.det(information) > 0
    covariance[informed] = np.linalg.inv(information[informed])
    axes = np.full((len(x), 2), np.nan)
    axes[informed] = np.sqrt(np.linalg.eigvalsh(covariance[informed, :2, :2]))[:, ::-1] * response.pixel_size
    return QTable(
        {
            "name": [m.name for m in models],
            "counts": counts.sum(-1).numpy(),
            "pos_err_68": RADIUS_68 * np.sqrt(axes.prod(axis=1)) * u.deg,
            "semi_major": axes[:, 0] * u.deg,
            "semi_minor": axes[:, 1] * u.deg,
            "flux_err": np.sqrt(covariance[:, 2, 2]),
        }
    )


def _check_points(models):
    if not models:
        raise ValueError("There are no models: give the sources whose limits are wanted")
    others = [
        m.name
        for m in models
        if not isinstance(getattr(m, "spatial_model", None), PointSpatialModel) or m.spectral_model is None
    ]
    if others:
        names = ", ".join(others)
        raise ValueError(
            f"Every model must be a point, which needs a position, with a spectrum: leave {names} out"
        )


def _counts_of_spectrum(spectrum, response):
    """Expected counts of a spectrum in each band."""
    edges = np.nan_to_num(response.sub_edges, nan=1.0)
    step = (np.arange(N_NODES) + 0.5) / N_NODES
    width = np.diff(np.log(edges), axis=1)
    energy = edges[:, :-1, None] * np.exp(width[..., None] * step)
    dnde = spectrum(energy * u.GeV).to_value("cm-2 s-1 GeV-1")
    flux = (dnde * energy).mean(axis=-1) * width
    return (flux * response.exposure).sum(axis=1)
