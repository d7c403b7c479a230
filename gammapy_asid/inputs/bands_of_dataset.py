# Licensed under a 3-clause BSD style license - see LICENSE
"""Energy bands that suit the instrument of a dataset."""

import numpy as np

from ..networks.description import psf_radius
from .bands import DEPTH, LAT_BANDS, Bands
from .convert import to_band_cube
from .field import PixelGrid
from .prepare import usable_datasets

__all__ = ["bands_for_dataset"]

# Largest number of bands, and about the smallest width of one in decades.
MAX_BANDS, MIN_WIDTH = 6, 0.25
# The 68 % radius of the best band in finest pixels.
PIXELS_PER_R68 = 1.2
# What tells the LAT from Cherenkov telescopes that see the same energies: no 68 % radius in deg
# smaller than this, and no exposure in cm2 s larger.
LAT_R68, LAT_EXPOSURE = 0.07, 5e12


def bands_for_dataset(datasets):
    """Bands for the instrument of a dataset: those of the LAT, or ones of its own.

    Data within 0.3 GeV - 1 TeV with the point spread function and the exposure of the LAT get
    `LAT_BANDS`. Others get up to six bands about equally wide in the logarithm of energy, with
    edges among the dataset's own. Their finest pixel resolves the best point spread
    function, and bands with a wider one have pixels 2, 4 or 8 times larger.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data of one field.

    Returns
    -------
    bands : `~gammapy_asid.inputs.Bands`
        Bands.

    Raises
    ------
    TypeError, ValueError
        If the data can't be used; see `~gammapy_asid.inputs.to_band_cube`.
    """
    datasets = usable_datasets(datasets)
    edges = _band_edges(np.unique(np.concatenate([_valid_edges(dataset) for dataset in datasets])))
    native = min(PixelGrid(dataset.counts.geom.to_image(), None).size for dataset in datasets)
    response = to_band_cube(datasets, Bands(edges, (0,) * (len(edges) - 1), native)).response
    radius = psf_radius(response)
    best = np.nanmin(radius)
    in_range = edges[0] > 0.99 * LAT_BANDS.edges[0] and edges[-1] < 1.01 * LAT_BANDS.edges[-1]
    if in_range and best > LAT_R68 and response.exposure.max() < LAT_EXPOSURE:
        return LAT_BANDS
    pixel_size = max(best / PIXELS_PER_R68, native)
    ratio = np.nan_to_num(radius, nan=best) / (PIXELS_PER_R68 * pixel_size)
    levels = np.clip(np.floor(np.log2(ratio)), 0, DEPTH - 1).astype(int)
    return Bands(edges, tuple(levels.tolist()), float(pixel_size))


def _valid_edges(dataset):
    """Edges in GeV of the energy bins with valid data."""
    edges = dataset.counts.geom.axes["energy"].edges.to_value("GeV")
    if dataset.mask is None:
        return edges
    valid = np.flatnonzero(dataset.mask.data.any(axis=tuple(range(1, dataset.mask.data.ndim))))
    return edges[valid[0] : valid[-1] + 2]


def _band_edges(edges):
    """Few of many edges, about equally far apart in logarithm."""
    log = np.log10(edges)
    n_bands = int(np.clip(np.round(np.ptp(log) / MIN_WIDTH), 1, min(MAX_BANDS, len(edges) - 1)))
    wanted = np.linspace(log[0], log[-1], n_bands + 1)
    chosen = np.unique(np.abs(log - wanted[:, None]).argmin(axis=1))
    return tuple(float(f"{edge:.6g}") for edge in edges[chosen])
