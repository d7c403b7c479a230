# Licensed under a 3-clause BSD style license - see LICENSE
"""The region of a likelihood fit: cutouts, known sky, neighbours and the candidate itself."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from gammapy.datasets import Datasets
from gammapy.modeling.models import (
    FoVBackgroundModel,
    GaussianSpatialModel,
    LogParabolaSpectralModel,
    Models,
    PointSpatialModel,
    PowerLaw2SpectralModel,
    SkyModel,
)

__all__ = ["Region", "cut_region", "extended_model", "log_parabola", "point_source"]

#: Index that spectra start from, and the range it may take.
INDEX, INDEX_RANGE = 2.3, (0.0, 6.0)
#: Photons of the start value of a source without a flux.
START_COUNTS = 20
#: Width in deg of an extended source to start from, and the range it may take.
SIGMA, SIGMA_RANGE = 0.2, (0.02, 2.0)


@dataclass
class Region:
    """What one fit needs.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Cutouts.
    known : `~gammapy.modeling.models.Models`
        Background, known sky and neighbours.
    source : `~gammapy.modeling.models.SkyModel`
        The candidate: a point with a power law.
    kernels : list of `~gammapy_asid.likelihood.prediction.Kernels`
        Point spread functions of the datasets.
    """

    datasets: Datasets
    known: Models
    source: SkyModel
    kernels: list


def cut_region(datasets, kernels, row, neighbours, options):
    """Cut the region of a candidate out of a field.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Data of the field; left unchanged.
    kernels : list of `~gammapy_asid.likelihood.prediction.Kernels`
        Their point spread functions.
    row : dict
        ``name``, ``position`` and start ``flux`` (cm-2 s-1 in the energy range of the data, NaN for
        none) of the candidate.
    neighbours : list of dict
        The same of all others.
    options : `~gammapy_asid.likelihood.gammapy.FitOptions`
        Options.

    Returns
    -------
    region : `Region`
        Region.
    """
    position = row["position"]
    cutouts = Datasets([d.cutout(position, options.width, name=d.name) for d in datasets])
    for cutout in cutouts:
        cutout.models = None
    models = {model.name: model for d in datasets for model in d.models or ()}
    known = [_frozen(model) for model in models.values()]
    for cutout, dataset in zip(cutouts, datasets, strict=True):
        if cutout.background is not None and dataset.background_model is None:
            background = FoVBackgroundModel(dataset_name=cutout.name)
            background.spectral_model.norm.frozen = not options.free_background
            background.spectral_model.norm.min, background.spectral_model.norm.max = 0.1, 10
            known.append(background)
    image = cutouts[0].counts.geom.to_image()
    for other in neighbours:
        distance = other["position"].separation(position)
        if image.contains(other["position"])[0]:
            model = point_source(other, cutouts, index_free=False)
            model.spectral_model.amplitude.frozen = (
                not options.free_neighbours or distance > options.neighbour_reach
            )
            known.append(model)
    source = point_source(row, cutouts, index_free=True)
    _free_position(source, position, options.position_reach)
    return Region(cutouts, Models(known), source, kernels)


def point_source(row, datasets, index_free):
    """Point source with a power law; its position is fixed.

    Parameters
    ----------
    row : dict
        See `cut_region`.
    datasets : `~gammapy.datasets.Datasets`
        Data that give the range of energies.
    index_free : bool
        Whether the photon index is free where there is more than one energy bin.

    Returns
    -------
    model : `~gammapy.modeling.models.SkyModel`
        Model with the flux of the row.
    """
    e_min, e_max = energy_range(datasets)
    flux = row["flux"]
    if not (np.isfinite(flux) and flux > 0):
        exposure = max(np.nanmax(d.exposure.quantity.to_value("cm2 s")) for d in datasets)
        flux = START_COUNTS / exposure
    # In terms of the photon flux, which hardly depends on the index
    spectrum = PowerLaw2SpectralModel(
        amplitude=flux * u.Unit("cm-2 s-1"), index=INDEX, emin=e_min, emax=e_max
    )
    spectrum.amplitude.min = 0
    spectrum.index.frozen = not (index_free and any(d.counts.geom.axes["energy"].nbin > 1 for d in datasets))
    spectrum.index.min, spectrum.index.max = INDEX_RANGE
    place = PointSpatialModel.from_position(row["position"].icrs)
    place.lon_0.frozen = place.lat_0.frozen = True
    return SkyModel(spectral_model=spectrum, spatial_model=place, name=row["name"])


def log_parabola(model, e_min, e_max):
    """The same source with a curved spectrum."""
    law = model.spectral_model
    # Near where most photons are, level and index depend little on each other
    reference = e_min * min(3.0, float(np.sqrt(e_max / e_min)))
    curved = LogParabolaSpectralModel(
        amplitude=law(reference), reference=reference, alpha=law.index.value, beta=0.05
    )
    curved.amplitude.min = 0
    curved.alpha.min, curved.alpha.max = INDEX_RANGE
    curved.beta.min, curved.beta.max = -1, 3
    place = model.spatial_model.copy()
    return SkyModel(spectral_model=curved, spatial_model=place, name=model.name)


def extended_model(model):
    """The same source as a Gaussian."""
    place = model.spatial_model
    shape = GaussianSpatialModel(
        lon_0=place.lon_0.quantity, lat_0=place.lat_0.quantity, sigma=SIGMA * u.deg, frame=place.frame
    )
    for own, other in zip((shape.lon_0, shape.lat_0), (place.lon_0, place.lat_0), strict=True):
        own.min, own.max, own.frozen = other.min, other.max, other.frozen
    shape.sigma.min, shape.sigma.max = SIGMA_RANGE
    return SkyModel(spectral_model=model.spectral_model.copy(), spatial_model=shape, name=model.name)


def energy_range(datasets):
    """Lowest and highest energy of the valid data."""
    edges = [d.counts.geom.axes["energy"].edges for d in datasets]
    return min(e[0] for e in edges), max(e[-1] for e in edges)


def _free_position(model, position, reach):
    """Free the position within a box, so that a fit cannot run away."""
    place, reach = model.spatial_model, u.Quantity(reach).to_value("deg")
    place.lon_0.frozen = place.lat_0.frozen = False
    place.lat_0.min = max(position.icrs.dec.deg - reach, -90)
    place.lat_0.max = min(position.icrs.dec.deg + reach, 90)
    reach = reach / max(np.cos(position.icrs.dec.rad), 0.02)
    place.lon_0.min, place.lon_0.max = place.lon_0.value - reach, place.lon_0.value + reach


def _frozen(model):
    """Known sky stays as it is."""
    model = model.copy(name=model.name, datasets_names=model.datasets_names)
    model.freeze()
    return model
