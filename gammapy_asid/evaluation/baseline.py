# Licensed under a 3-clause BSD style license - see LICENSE
"""The classical method to compare with: Gammapy's TS map and its peaks."""

import astropy.units as u
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

__all__ = ["ts_map_candidates"]


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
        Smallest distance of two peaks.
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
    """
    shape = PointSpatialModel() if sigma is None else GaussianSpatialModel(sigma=u.Quantity(sigma))
    model = SkyModel(spectral_model=PowerLawSpectralModel(index=index), spatial_model=shape)
    estimator = TSMapEstimator(
        model,
        kernel_width=u.Quantity(kernel_width),
        selection_optional=None,
        sum_over_energy_groups=image,
        n_jobs=n_jobs,
    )
    sqrt_ts = estimator.run(dataset)["sqrt_ts"].get_image_by_idx((0,))
    peaks = find_peaks(sqrt_ts, threshold=threshold, min_distance=u.Quantity(min_distance))
    if len(peaks):
        position = SkyCoord(peaks["ra"], peaks["dec"], frame="icrs")
        score = np.asarray(peaks["value"], dtype=float)
    else:
        position, score = SkyCoord([], [], unit="deg", frame="icrs"), np.zeros(0)
    galactic = position.galactic
    table = QTable({"ra": position.ra, "dec": position.dec, "glon": galactic.l, "glat": galactic.b})
    table["score"] = score
    return table[np.argsort(-score)]
