# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates with their fluxes from one band cube."""

import torch
from gammapy.datasets import Datasets, MapDataset

from ..catalog.candidates import Candidates
from ..inputs.prepare import usable_datasets
from ..inputs.time_bins import usable_in_time
from ..utils.arguments import check_estimator
from .detector import DLSourceDetector
from .domain import band_cube
from .flux import DLFluxEstimator

__all__ = ["default_parts", "find_with_fluxes"]


def default_parts(
    detector: DLSourceDetector | None = None,
    flux_estimator: DLFluxEstimator | None = None,
    device: str | torch.device | None = None,
) -> tuple[DLSourceDetector, DLFluxEstimator]:
    """Detector and flux estimator of a search, made where they are not given.

    Parameters
    ----------
    detector : `~gammapy_asid.DLSourceDetector`, optional
        Detector; by default that of the model ``lat``.
    flux_estimator : `~gammapy_asid.DLFluxEstimator`, optional
        Flux estimator; by default that of the detector's model.
    device : str, optional
        Torch device of those that are made; for the fluxes of a given detector by default its own.

    Returns
    -------
    detector : `~gammapy_asid.DLSourceDetector`
        Detector.
    flux_estimator : `~gammapy_asid.DLFluxEstimator`
        Flux estimator.

    Raises
    ------
    TypeError
        If one that is given is no estimator.
    """
    check_estimator("detector", detector)
    check_estimator("flux_estimator", flux_estimator)
    if detector is None:
        detector = DLSourceDetector(device=device)
    if flux_estimator is None:
        flux_estimator = DLFluxEstimator(detector.model, device=device or detector.device)
    return detector, flux_estimator


def find_with_fluxes(
    detector: DLSourceDetector, flux_estimator: DLFluxEstimator, datasets: MapDataset | Datasets
) -> Candidates:
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
    datasets = usable_datasets(datasets) if detector.classifier is None else usable_in_time(datasets)
    cube = band_cube(datasets, detector.card)
    candidates = detector.find(datasets, cube)
    return candidates.with_fluxes(flux_estimator.run(cube, candidates))
