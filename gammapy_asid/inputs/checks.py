# Licensed under a 3-clause BSD style license - see LICENSE
"""What a dataset must have before it can be converted."""

import logging

import numpy as np
from gammapy.datasets import MapDataset, MapDatasetOnOff
from gammapy.irf import EDispKernelMap, PSFMap
from gammapy.maps import HpxGeom, RegionGeom, WcsGeom
from gammapy.modeling.models import FoVBackgroundModel, TemplateSpatialModel

from .datasets import as_list
from .expected_counts import background_counts, template_counts
from .masks import valid_bins
from .pixel_grid import same_pixels

__all__ = ["COUNTS_UNITS", "check_counts", "check_dataset", "check_expectation", "each_usable"]

log = logging.getLogger(__name__)

#: Units of numbers of photons.
COUNTS_UNITS = ("", "ct", "ph")
#: Relative tolerance of energy edges: files hold single precision.
ENERGY_TOLERANCE = 1e-3


def each_usable(datasets, use):
    """What a function makes of each dataset; those it refuses are left out with one warning.

    Parameters
    ----------
    datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
        Data.
    use : callable
        Function of a dataset that raises a ValueError for one that can't be used.

    Returns
    -------
    results : list
        At least one.

    Raises
    ------
    ValueError
        If none can be used.
    """
    results, problems = [], []
    for dataset in as_list(datasets):
        try:
            results.append(use(dataset))
        except ValueError as error:
            problems.append(error)
    if not results:
        raise (
            problems[0]
            if len(problems) == 1
            else ValueError(
                f"None of the {len(problems)} datasets can be used: {' '.join(map(str, problems))}"
            )
        )
    if problems:
        log.warning(
            f"{len(problems)} of {len(problems) + len(results)} datasets are left out: "
            f"{' '.join(map(str, problems))}"
        )
    return results


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
    _check_counts_map(dataset.counts, name)
    for what in ("background", "mask_safe", "mask_fit"):
        _check_same_geometry(getattr(dataset, what), dataset.counts.geom, f"{name} has its {what}")
    if dataset.background is not None:
        _check_number(dataset.background, name, "a background")
    _check_exposure(dataset.exposure, name)
    _check_psf(dataset.psf, name)
    _check_edisp(dataset, name)
    _check_models(dataset, name)
    _check_masks(dataset, name)


def _check_counts_map(counts, name):
    if counts is None:
        raise ValueError(f"{name} has no counts: set dataset.counts to a map with an 'energy' axis.")
    geom = counts.geom
    if not isinstance(geom, (WcsGeom, HpxGeom)) or isinstance(geom, RegionGeom) or not geom.is_regular:
        raise TypeError(
            f"{name} must have counts on a regular WCS or HEALPix geometry, got {type(geom).__name__}."
        )
    if geom.axes.names != ["energy"]:
        raise ValueError(f"{name} must have counts with one axis 'energy', got {geom.axes.names}.")
    _check_number(counts, name, "counts")


def _check_psf(psf, name):
    if psf is None:
        raise ValueError(
            f"{name} has no PSF: set dataset.psf to a PSFMap, e.g. PSFMap.read(filename, format='gtpsf') "
            "for a file of the Fermi tool gtpsf, or PSFMap.from_gauss()."
        )
    if not isinstance(psf, PSFMap):
        raise ValueError(f"{name} must have a PSFMap as its psf, got {type(psf).__name__}.")


def _check_masks(dataset, name):
    masks = [np.asarray(m.data, dtype=bool) for m in (dataset.mask_safe, dataset.mask_fit) if m is not None]
    if masks and not np.logical_and.reduce(masks).any():
        raise ValueError(
            f"{name} has an empty mask: set dataset.mask_safe or dataset.mask_fit to True where valid."
        )


def _check_same_geometry(m, geom, which):
    """Check that a map has the pixels and the energies of the counts."""
    if m is None:
        return
    fix = "make it anew on dataset.counts.geom"
    if m.geom.axes.names != geom.axes.names:
        raise ValueError(
            f"{which} with the axes {m.geom.axes.names} and counts with {geom.axes.names}: {fix}."
        )
    edges, own = (g.axes["energy"].edges.to_value("GeV") for g in (geom, m.geom))
    if len(own) != len(edges) or not np.allclose(own, edges, rtol=ENERGY_TOLERANCE, atol=0):
        raise ValueError(
            f"{which} in {len(own) - 1} bins of {own[0]:.4g}-{own[-1]:.4g} GeV and counts in other ones, "
            f"{len(edges) - 1} of {edges[0]:.4g}-{edges[-1]:.4g} GeV: {fix}."
        )
    if m.geom.is_region or not m.geom.is_regular or not same_pixels(geom.to_image(), m.geom.to_image()):
        raise ValueError(f"{which} on other pixels than the counts: {fix}.")


def _check_number(m, name, what):
    if str(m.unit) not in COUNTS_UNITS:
        raise ValueError(
            f"{name} must have {what} without a unit, that is in photons per pixel and energy bin, "
            f"got '{m.unit}': make the map anew with unit=''."
        )


def _check_edisp(dataset, name):
    """Check that the energies of the energy dispersion are those of counts and exposure."""
    if dataset.edisp is None:
        return
    axes = dataset.edisp.edisp_map.geom.axes
    pairs = [("energy_true", dataset.exposure)]
    if isinstance(dataset.edisp, EDispKernelMap):
        pairs.append(("energy", dataset.counts))
    for axis, m in pairs:
        own, edges = (a[axis].edges.to_value("GeV") for a in (axes, m.geom.axes))
        if len(own) != len(edges) or not np.allclose(own, edges, rtol=ENERGY_TOLERANCE, atol=0):
            raise ValueError(
                f"{name} has an energy dispersion with another axis '{axis}' ({len(own) - 1} bins) than its "
                f"{'exposure' if axis == 'energy_true' else 'counts'} ({len(edges) - 1} bins): make it so, "
                "e.g. with EDispKernelMap.from_diagonal_response, or set dataset.edisp to None."
            )


def _check_models(dataset, name):
    """Check that models can be evaluated: Gammapy takes one with a NaN as one that predicts nothing."""
    for model in dataset.models or ():
        lost = [p.name for p in model.parameters if not np.isfinite(p.value)]
        if lost:
            raise ValueError(
                f"{name} has a model {model.name!r} whose parameters {', '.join(lost)} are not finite (NaN "
                "or infinite): correct or remove it."
            )
        if getattr(model, "temporal_model", None) is not None and dataset.gti is None:
            raise ValueError(
                f"{name} has a model {model.name!r} that varies in time, and no times: set dataset.gti."
            )
        place = getattr(model, "spatial_model", None)
        if isinstance(place, TemplateSpatialModel) and place.normalize and np.isnan(np.sum(place.map.data)):
            raise ValueError(
                f"{name} has a model {model.name!r} with NaN in its template, which can't be normalised: set "
                "them to 0."
            )


def check_expectation(dataset):
    """Check that a dataset tells what to expect without the sources that are looked for, as a fit needs.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Dataset, see `~gammapy_asid.inputs.prepare.prepare_dataset`.

    Raises
    ------
    ValueError
        If it has neither a background nor models, if counts or background are negative or not finite, or if
        the map of a model does not fit.
    """
    template_counts(dataset)
    valid = valid_bins(dataset)
    check_counts(dataset.counts.data[valid], dataset.name, "counts")
    has_models = any(not isinstance(model, FoVBackgroundModel) for model in dataset.models or ())
    if dataset.background is not None:
        check_counts(dataset.background.data[valid], dataset.name, "a background")
    if not has_models and (dataset.background is None or not background_counts(dataset).data[valid].any()):
        raise ValueError(
            f"Dataset {dataset.name!r} has no background and no models, so that a fit would take all counts "
            "for the source: set dataset.background or dataset.models."
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
    if not exposure.geom.is_regular:
        raise ValueError(f"{name} must have an exposure with the same pixels at all energies.")
    if not np.any(np.isfinite(exposure.data) & (exposure.data > 0)):
        raise ValueError(
            f"{name}: the exposure is zero everywhere, or not finite: check dataset.exposure and its unit."
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
