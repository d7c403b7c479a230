# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates with their fluxes from one band cube."""

from ..inputs.prepare import usable_datasets
from .domain import band_cube, check_instrument

__all__ = ["find_with_fluxes"]


def find_with_fluxes(detector, flux_estimator, datasets):
    """Find the sources of a field and estimate their fluxes, the data brought to the bands once.

    Parameters
    ----------
    detector : `~gammapy_asid.DLSourceDetector`
        Detector.
    flux_estimator : `~gammapy_asid.DLFluxEstimator`
        Flux estimator for the same bands.
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data of one field; left unchanged.

    Returns
    -------
    candidates : `~gammapy_asid.Candidates`
        Candidates with fluxes.

    Raises
    ------
    TypeError, ValueError
        If the data can't be used or are those of another instrument, see `~gammapy_asid.DLSourceDetector`.
    """
    datasets = usable_datasets(datasets)
    cube = band_cube(datasets, detector.card)
    check_instrument(detector.card, cube, datasets)
    # Pixels of the cube are joined already
    candidates = detector.run(cube if detector.shifts == 1 else datasets)
    return candidates.with_fluxes(flux_estimator.run(cube, candidates))
