# Licensed under a 3-clause BSD style license - see LICENSE
"""Energy bands that suit the instrument of a dataset."""

import numpy as np

from .bands import DEPTH, LAT_BANDS, Bands
from .convert import to_band_cube
from .masks import valid_bins
from .pixel_grid import PixelGrid
from .prepare import usable_datasets
from .psf import psf_radius

__all__ = ["bands_for_dataset"]

# Largest number of bands, and about the smallest width of one in decades.
MAX_BANDS, MIN_WIDTH = 6, 0.25
# The 68 % radius of the best band in finest pixels.
PIXELS_PER_R68 = 1.2
# What tells the LAT: energies in GeV, 68 % radii in deg of the best (PSF3) and the worst event class (PSF0)
# in each of its bands, give or take R68_TOLERANCE, the largest exposure in cm2 s, and the largest power of
# the energy with which it rises above 1 GeV. Areas of Cherenkov telescopes rise faster.
LAT_ENERGIES, LAT_EXPOSURE, LAT_SLOPE = (0.03, 3000.0), 5e12, 0.7
LAT_R68 = np.array(
    [(0.968, 3.363), (0.573, 2.339), (0.317, 1.505), (0.170, 0.929), (0.078, 0.506), (0.044, 0.364)]
)
R68_TOLERANCE = 1.25
# Imaging telescopes see no photons below this energy in GeV. Many of their sources are extended: the
# significance of these widths in finest pixels, those of the model 'cta-gps', is shown to the network.
IMAGING_E_MIN, EXTENTS = 20.0, (2.5, 6.25)


def bands_for_dataset(datasets):
    """Bands for the instrument of a dataset: those of the LAT, or ones of its own.

    Data with the point spread function of any event class of the LAT and with its exposure get
    `LAT_BANDS`. Others get up to six bands about equally wide in the logarithm of energy, with
    edges among the dataset's own. Their finest pixel resolves the best point spread
    function, and bands with a wider one have pixels 2, 4 or 8 times larger. Bands of imaging
    telescopes know extended sources.

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
    if _is_lat(datasets, edges):
        return LAT_BANDS
    native = min(PixelGrid(dataset.counts.geom.to_image(), None).size for dataset in datasets)
    response = to_band_cube(datasets, Bands(edges, (0,) * (len(edges) - 1), native)).response
    radius = psf_radius(response)
    best = np.nanmin(radius)
    pixel_size = max(best / PIXELS_PER_R68, native)
    ratio = np.nan_to_num(radius, nan=best) / (PIXELS_PER_R68 * pixel_size)
    levels = np.clip(np.floor(np.log2(ratio)), 0, DEPTH - 1).astype(int)
    extents = [extent * float(pixel_size) for extent in EXTENTS] if edges[0] > IMAGING_E_MIN else []
    return Bands(edges, tuple(levels.tolist()), float(pixel_size), tuple(extents))


def _is_lat(datasets, edges):
    """Whether data have the energies, the point spread function and the exposure of the LAT."""
    if edges[0] < LAT_ENERGIES[0] or edges[-1] > LAT_ENERGIES[1]:
        return False
    try:
        response = to_band_cube(datasets, LAT_BANDS).response
    except ValueError:
        # No energies of the LAT, or a field too small for its pixels
        return False
    present = response.present
    radius, exposure = psf_radius(response)[present], response.exposure[present]
    energy = np.sqrt(response.sub_edges[:, 1:] * response.sub_edges[:, :-1])[present]
    high = (energy > 1) & (exposure > 0)
    slope = np.polyfit(np.log(energy[high]), np.log(exposure[high]), 1)[0] if high.sum() > 1 else 0
    best, worst = LAT_R68[present].T
    return bool(
        np.all(radius > best / R68_TOLERANCE)
        and np.all(radius < worst * R68_TOLERANCE)
        and exposure.max() < LAT_EXPOSURE
        and slope < LAT_SLOPE
    )


def _valid_edges(dataset):
    """Edges in GeV of the energy bins with valid data."""
    edges, valid = dataset.counts.geom.axes["energy"].edges.to_value("GeV"), valid_bins(dataset)
    valid = np.flatnonzero(valid.any(axis=tuple(range(1, valid.ndim))))
    return edges[valid[0] : valid[-1] + 2]


def _band_edges(edges):
    """Few of many edges, about equally far apart in logarithm."""
    log = np.log10(edges)
    n_bands = int(np.clip(np.round(np.ptp(log) / MIN_WIDTH), 1, min(MAX_BANDS, len(edges) - 1)))
    wanted = np.linspace(log[0], log[-1], n_bands + 1)
    chosen = np.unique(np.abs(log - wanted[:, None]).argmin(axis=1))
    return tuple(float(f"{edge:.6g}") for edge in edges[chosen])
