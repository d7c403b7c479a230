# Licensed under a 3-clause BSD style license - see LICENSE
"""The classical methods to compare with: peaks of Gammapy's TS map, and of a matched filter."""

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from gammapy.estimators import TSMapEstimator
from gammapy.estimators.utils import find_peaks
from gammapy.modeling.models import (
    GaussianSpatialModel,
    PointSpatialModel,
    PowerLawSpectralModel,
    SkyModel,
)

from ..utils.arguments import check_number, checked_quantity
from .matched_filter import matched_filter_maps

__all__ = ["matched_filter_candidates", "ts_map_candidates"]


def ts_map_candidates(
    dataset,
    kernel_width="1 deg",
    threshold=5,
    min_distance="0.1 deg",
    image=True,
    index=2.3,
    sigma=None,
    n_jobs=1,
):
    """Peaks of the map of sqrt(TS).

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data of the field; left unchanged.
    kernel_width : str or `~astropy.units.Quantity`
        Width of the kernel.
    threshold : float
        Smallest sqrt(TS) of a peak.
    min_distance : str or `~astropy.units.Quantity`
        Smallest distance of two peaks, at least one pixel.
    image : bool
        Whether energies are summed before; otherwise the energy bins are fitted together.
    index : float
        Photon index of the source.
    sigma : str or `~astropy.units.Quantity`, optional
        Width of a Gaussian source; by default a point.
    n_jobs : int
        Number of processes.

    Returns
    -------
    candidates : `~astropy.table.QTable`
        Columns ``ra``, ``dec``, ``glon``, ``glat`` and ``score`` (sqrt(TS)), in order
        of decreasing score; all of them also without any peak.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of range.
    """
    check_number("threshold", threshold)
    min_distance = checked_quantity("min_distance", min_distance, "deg", "an angle")
    estimator = TSMapEstimator(
        _source(index, sigma),
        kernel_width=checked_quantity("kernel_width", kernel_width, "deg", "an angle"),
        selection_optional=None,
        sum_over_energy_groups=image,
        n_jobs=n_jobs,
    )
    sqrt_ts = estimator.run(dataset)["sqrt_ts"].get_image_by_idx((0,))
    peaks = _peaks(sqrt_ts, threshold, min_distance)
    if len(peaks):
        position = SkyCoord(peaks["ra"], peaks["dec"], frame="icrs")
        score = np.asarray(peaks["value"], dtype=float)
    else:
        position, score = SkyCoord([], [], unit="deg", frame="icrs"), np.zeros(0)
    return _table(position, score)


def matched_filter_candidates(
    dataset,
    kernel_width="1 deg",
    threshold=5,
    min_distance="0.1 deg",
    image=False,
    index=2.3,
    sigma=None,
):
    """Peaks of the significance of a matched filter, see `~gammapy_asid.evaluation.matched_filter_maps`.

    In place of a fit at each pixel there are some correlations by Fourier transforms for a whole field: as
    good as the TS map of unsummed energies, and many times as fast.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data of the field with a background; left unchanged.
    kernel_width : str or `~astropy.units.Quantity`
        Width of the kernel.
    threshold : float
        Smallest significance of a peak in standard deviations, that is square root of twice the gain of the
        logarithm of the likelihood.
    min_distance : str or `~astropy.units.Quantity`
        Smallest distance of two peaks, at least one pixel.
    image : bool
        Whether energies are summed before; otherwise the energy bins are tested together.
    index : float
        Photon index of the source.
    sigma : str or `~astropy.units.Quantity`, optional
        Width of a Gaussian source; by default a point.

    Returns
    -------
    candidates : `~astropy.table.QTable`
        Columns ``ra``, ``dec``, ``glon``, ``glat``, ``score`` (significance) and ``flux`` (of photons, in the
        range of energies of the data), in order of decreasing score; all of them also without any peak.
        Positions are those of parabolas through the gain in a peak's pixel and beside it.

    Raises
    ------
    TypeError
        If the dataset is no `~gammapy.datasets.MapDataset`, or not on a WCS geometry.
    ValueError
        If an argument is out of range, or the dataset lacks something or has neither background nor models.
    """
    check_number("threshold", threshold)
    distance = checked_quantity("min_distance", min_distance, "deg", "an angle")
    maps = matched_filter_maps(dataset, _source(index, sigma), kernel_width, image)
    peaks = _peaks(maps["sqrt_ts"], threshold, distance)
    x, y = (np.asarray(peaks[name], int) if len(peaks) else np.zeros(0, int) for name in "xy")
    gain = maps["sqrt_ts"].data ** 2
    place = x + _summit(gain, x, y, (0, 1)), y + _summit(gain, x, y, (1, 0))
    position = SkyCoord.from_pixel(*place, wcs=maps["sqrt_ts"].geom.wcs).icrs
    return _table(position, maps["sqrt_ts"].data[y, x], flux=maps["flux"].quantity[y, x])


def _peaks(image, threshold, min_distance):
    """Peaks of a map; with a distance of no pixel every pixel would be one."""
    pixel = image.geom.pixel_scales.mean()
    return find_peaks(image, threshold=threshold, min_distance=max(min_distance, pixel))


def _summit(image, x, y, step):
    """Offset of the top of a parabola through a pixel and its two neighbours in a direction, in pixels.

    None where a neighbour is missing or not lower: there is no top between them.
    """
    padded = np.pad(image, 1, constant_values=np.nan)
    low, mid, high = (padded[y + 1 + i * step[0], x + 1 + i * step[1]] for i in (-1, 0, 1))
    bend = low - 2 * mid + high
    offset = np.divide(low - high, 2 * bend, out=np.zeros(len(x)), where=bend < 0)
    return np.clip(offset, -0.5, 0.5)


def _source(index, sigma):
    """Source of a power law, a point or a Gaussian."""
    check_number("index", index)
    shape = PointSpatialModel()
    if sigma is not None:
        shape = GaussianSpatialModel(sigma=checked_quantity("sigma", sigma, "deg", "an angle"))
    return SkyModel(spectral_model=PowerLawSpectralModel(index=index), spatial_model=shape)


def _table(position, score, **columns):
    """Table of candidates in order of decreasing score."""
    galactic = position.galactic
    place = {"ra": position.ra, "dec": position.dec, "glon": galactic.l, "glat": galactic.b}
    return QTable(place | {"score": score} | columns)[np.argsort(-score)]
