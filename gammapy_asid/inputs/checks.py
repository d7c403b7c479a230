# Licensed under a 3-clause BSD style license - see LICENSE
"""What a dataset must have before it can be converted."""

import numpy as np
from gammapy.datasets import MapDataset, MapDatasetOnOff
from gammapy.irf import PSFMap
from gammapy.maps import HpxGeom, WcsGeom

__all__ = ["check_counts", "check_dataset"]


def check_dataset(dataset):
    """Check that a dataset has counts, exposure and PSF of the right kind.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Dataset to check.

    Raises
    ------
    TypeError
        If it is no `~gammapy.datasets.MapDataset`.
    ValueError
        If a part is missing or unusable.
    """
    if not isinstance(dataset, MapDataset):
        raise TypeError(
            f"Expected a MapDataset or Datasets of them, got {type(dataset).__name__}: "
            "read one with MapDataset.read(filename)."
        )
    if isinstance(dataset, MapDatasetOnOff):
        raise TypeError("A MapDatasetOnOff is not supported: convert it with dataset.to_map_dataset().")
    name = f"Dataset {dataset.name!r}"
    if dataset.counts is None:
        raise ValueError(f"{name} has no counts: set dataset.counts to a map with an 'energy' axis.")
    geom = dataset.counts.geom
    if not isinstance(geom, (WcsGeom, HpxGeom)) or not geom.is_regular:
        raise TypeError(
            f"{name} must have counts on a regular WCS or HEALPix geometry, got {type(geom).__name__}."
        )
    if geom.axes.names != ["energy"]:
        raise ValueError(f"{name} must have counts with one axis 'energy', got {geom.axes.names}.")
    if not dataset.counts.unit.is_equivalent(""):
        raise ValueError(
            f"{name} must have counts without a unit, got '{dataset.counts.unit}': "
            "make the map anew with unit=''."
        )
    _check_exposure(dataset.exposure, name)
    if dataset.psf is None:
        raise ValueError(
            f"{name} has no PSF: set dataset.psf to a PSFMap, e.g. PSFMap.read(filename, format='gtpsf') "
            "for a file of the Fermi tool gtpsf, or PSFMap.from_gauss()."
        )
    if not isinstance(dataset.psf, PSFMap):
        raise ValueError(f"{name} must have a PSFMap as its psf, got {type(dataset.psf).__name__}.")
    mask = dataset.mask
    if mask is not None and not np.any(mask.data):
        raise ValueError(
            f"{name} has an empty mask: set dataset.mask_safe or dataset.mask_fit to True where valid."
        )


def _check_exposure(exposure, name):
    if exposure is None:
        raise ValueError(
            f"{name} has no exposure: set dataset.exposure to a map in cm2 s with an 'energy_true' axis, "
            "for Fermi-LAT that of gtexpcube2."
        )
    if not exposure.unit.is_equivalent("cm2 s"):
        raise ValueError(
            f"{name} has an exposure in '{exposure.unit}', which is no area times time: "
            "make the map anew with unit='cm2 s'."
        )
    if exposure.geom.axes.names != ["energy_true"]:
        raise ValueError(
            f"{name} must have an exposure with one axis 'energy_true', got {exposure.geom.axes.names}."
        )
    if np.nanmin(exposure.data, initial=0) < 0:
        raise ValueError(f"{name} has a negative exposure: set it to 0 where there is none.")


def check_counts(values, name, what):
    """Check that counts or their prediction are finite and not negative where valid.

    Parameters
    ----------
    values : `~numpy.ndarray`
        Values of the valid pixels.
    name : str
        Name of the dataset.
    what : str
        Name of the quantity.

    Raises
    ------
    ValueError
        If not.
    """
    fix = "correct them or exclude these pixels with dataset.mask_safe"
    if not np.isfinite(values).all():
        raise ValueError(f"Dataset {name!r} has {what} that are not finite (NaN or infinite): {fix}.")
    if np.any(values < 0):
        raise ValueError(f"Dataset {name!r} has negative {what}: {fix}.")
