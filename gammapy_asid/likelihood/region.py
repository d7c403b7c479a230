# Licensed under a 3-clause BSD style license - see LICENSE
"""The region of a likelihood fit: cutouts, known sky, neighbours and the candidate itself."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.nddata.utils import NoOverlapError
from gammapy.datasets import Datasets
from gammapy.modeling.models import (
    FoVBackgroundModel,
    GaussianSpatialModel,
    LogParabolaSpectralModel,
    Models,
    PointSpatialModel,
    PowerLaw2SpectralModel,
    PowerLawSpectralModel,
    SkyModel,
)

from ..catalog.fluxes import integral_flux
from ..catalog.source_models import bounded_spectrum
from ..inputs.changed_maps import with_changed_maps
from ..inputs.datasets import counts_model, with_models
from ..inputs.expected_counts import background_counts, sky_counts, template_counts
from ..inputs.prediction import Kernels, ModelCounts
from ..inputs.square_pixels import on_square_pixels

__all__ = [
    "Region",
    "cut_dataset",
    "cut_region",
    "extended_model",
    "log_parabola",
    "point_source",
    "seen_range",
]

#: Index that spectra start from.
INDEX = 2.3
#: Range of levels of the background.
NORM_RANGE = (0.1, 10.0)
#: Photons of the start value of a source without a flux.
START_COUNTS = 20
#: Width in deg of an extended source to start from, and the range it may take.
SIGMA, SIGMA_RANGE = 0.2, (0.02, 2.0)
#: Declination in deg from which on positions are fitted in Galactic coordinates.
NEAR_POLE = 60.0
#: Margin on each side of a region, as a share of its width.
MARGIN = 0.25
#: Largest number of pixels that a distorted map takes for one.
LARGEST_STRETCH = 20
#: Share of the photons of a source that valid pixels of a bin must have.
SEEN = 0.1


@dataclass
class Region:
    """What one fit needs.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        The region and a margin around it, which is masked, of the datasets that see it.
    known : `~gammapy.modeling.models.Models`
        Background, known sky and neighbours.
    source : `~gammapy.modeling.models.SkyModel`
        The candidate: a point with a power law.
    kernels : list of `~gammapy_asid.inputs.prediction.Kernels`
        Of the responses of the datasets.
    energy_range : tuple of `~astropy.units.Quantity`
        Lowest and highest energy of the valid data in which the candidate shows.
    """

    datasets: Datasets
    known: Models
    source: SkyModel
    kernels: list
    energy_range: tuple


def cut_region(datasets, kernels, row, neighbours, options):
    """Cut the region of a candidate out of a field.

    Parameters
    ----------
    datasets : `~gammapy.datasets.Datasets`
        Data of the field; left unchanged.
    kernels : list of `~gammapy_asid.inputs.prediction.Kernels`
        Of their responses; None where they differ from place to place with the pixels.
    row : dict
        The candidate, see `~gammapy_asid.likelihood.neighbours.source_rows`.
    neighbours : list of dict
        The others.
    options : `~gammapy_asid.likelihood.gammapy.FitOptions`
        Options.

    Returns
    -------
    region : `Region`
        Region.

    Raises
    ------
    RuntimeError
        If no dataset has valid data in which the candidate shows.
    """
    position, cutouts, own_kernels, known = row["position"], [], [], []
    for dataset, own in zip(datasets, kernels, strict=True):
        cutout = cut_dataset(dataset, position, options.width, own)
        if cutout is not None:
            own_model = dataset.background_model
            free = own_model is None or len(own_model.parameters.free_parameters) > 0
            known += _known_models(cutout, options.free_background and free)
            cutouts.append(cutout)
            own_kernels.append(Kernels(cutout) if own is None else own)
    e_range = seen_range(cutouts, own_kernels, position)
    datasets = Datasets(cutouts)
    for other in neighbours:
        distance = other["position"].separation(position)
        model = neighbour(other, datasets, e_range)
        free = options.free_neighbours and distance <= options.neighbour_reach
        # A flux that could not be told stays free
        model.spectral_model.amplitude.frozen = other["spectrum"] is not None and not free
        if not model.spectral_model.amplitude.frozen or not other["is_zero"]:
            known.append(model)
    source = point_source(row, datasets, e_range, index_free=True)
    _free_position(source, options.position_reach)
    return Region(datasets, Models(known), source, own_kernels, e_range)


def cut_dataset(dataset, position, width, kernels=None):
    """The part of a dataset that a fit needs.

    Parameters
    ----------
    dataset : `~gammapy.datasets.MapDataset`
        Data; left unchanged.
    position : `~astropy.coordinates.SkyCoord`
        Centre.
    width : `~astropy.units.Quantity`
        Side.
    kernels : `~gammapy_asid.inputs.prediction.Kernels`, optional
        Of its response.

    Returns
    -------
    cutout : `~gammapy.datasets.MapDataset`
        On square pixels, which the exposure shares. Its background is that with the model of the
        background, and its only model, if there is one, the counts of the known sky. None where the
        dataset has no valid data.
    """
    # Extended models shine in from around the region
    wide = _trimmed(dataset, position, width * (1 + 2 * MARGIN))
    if wide is None:
        return None
    wide = on_square_pixels([wide])
    known, templates = sky_counts(wide, kernels), template_counts(wide)
    if templates is not None:
        known += templates
    background = None if wide.background is None else background_counts(wide)
    models = [counts_model(known, dataset.name)] if known.data.any() else []
    cutout = _trimmed(with_models(wide, models, background=background), position, width)
    return cutout if cutout is not None and (cutout.exposure.data > 0).any() else None


def _trimmed(dataset, position, width):
    """Cutout of the maps; None where the dataset does not reach."""
    image = dataset.counts.geom.to_image()
    if not image.is_hpx:
        # Along the axes of a distorted map the same angle takes another number of pixels
        x, y = (float(v[0]) for v in image.coord_to_pix(position))
        lon, lat = image.pix_to_coord((x + np.array([0, 1, 0]), y + np.array([0, 0, 1])))
        here, *beside = SkyCoord(lon, lat, frame=image.frame)
        sides = u.Quantity([here.separation(other) for other in beside])
        if not np.all(np.isfinite(sides)):
            return None
        stretch = (image.pixel_scales / sides).to_value("")
        width = width * np.clip(stretch, 1, LARGEST_STRETCH)
    try:
        cutout = with_changed_maps(dataset, lambda m, _: m.cutout(position, width))
    except NoOverlapError:
        return None
    return cutout if cutout.mask_safe.data.any() else None


def _known_models(dataset, free):
    """Models of the background, with a free level or not, and of the known sky, which a cutout gives away."""
    models, dataset.models = list(dataset.models or ()), None
    for model in models:
        model.freeze()
    if dataset.background is not None:
        background = FoVBackgroundModel(dataset_name=dataset.name)
        background.spectral_model.norm.frozen = not free
        background.spectral_model.norm.min, background.spectral_model.norm.max = NORM_RANGE
        models.append(background)
    return models


def seen_range(datasets, kernels, position):
    """Range of energies of the valid data in which a source shows.

    Parameters
    ----------
    datasets : list of `~gammapy.datasets.MapDataset`
        Data on square pixels, which the exposure shares.
    kernels : list of `~gammapy_asid.inputs.prediction.Kernels`
        Of their responses.
    position : `~astropy.coordinates.SkyCoord`
        Position of the source.

    Returns
    -------
    e_min, e_max : `~astropy.units.Quantity`
        Edges of the lowest and highest bin of any dataset of which valid pixels have `SEEN` of the photons.

    Raises
    ------
    RuntimeError
        If there is none.
    """
    place = PointSpatialModel.from_position(position.icrs)
    source = SkyModel(PowerLawSpectralModel(index=INDEX), place, name="source")
    low, high = [], []
    for dataset, own in zip(datasets, kernels, strict=True):
        photons = ModelCounts(source, dataset, own)()
        total, inside = (image.sum(axis=(1, 2)) for image in (photons, photons * dataset.mask_safe.data))
        seen = (total > 0) & (inside >= SEEN * total)
        edges = dataset.counts.geom.axes["energy"].edges
        low, high = [*low, *edges[:-1][seen]], [*high, *edges[1:][seen]]
    if not low:
        raise RuntimeError("no valid data show the position")
    return min(low), max(high)


def point_source(row, datasets, e_range, index_free):
    """Point source with a power law; its position is fixed.

    Parameters
    ----------
    row : dict
        See `cut_region`.
    datasets : `~gammapy.datasets.Datasets`
        Data.
    e_range : tuple of `~astropy.units.Quantity`
        Range of energies of the flux.
    index_free : bool
        Whether the photon index is free where more than one energy bin has valid data.

    Returns
    -------
    model : `~gammapy.modeling.models.SkyModel`
        Model with the flux of the row.
    """
    flux = np.nan
    if row["spectrum"] is not None:
        flux = integral_flux(row["spectrum"], *e_range).to_value("cm-2 s-1")
    if not (np.isfinite(flux) and flux > 0):
        # The size of a step, which the fit replaces
        exposure = max(np.nanmax(d.exposure.quantity.to_value("cm2 s")) for d in datasets)
        flux = START_COUNTS / exposure
    # In terms of the photon flux, which hardly depends on the index
    spectrum = PowerLaw2SpectralModel(
        amplitude=flux * u.Unit("cm-2 s-1"), index=INDEX, emin=e_range[0], emax=e_range[1]
    )
    bounded_spectrum(spectrum)
    spectrum.index.frozen = not (index_free and _n_bins(datasets) > 1)
    place = _place(row["position"].icrs)
    place.lon_0.frozen = place.lat_0.frozen = True
    return SkyModel(spectral_model=spectrum, spatial_model=place, name=row["name"])


def _n_bins(datasets):
    """Number of different energy bins with valid data."""
    low = [d.counts.geom.axes["energy"].edges[:-1][d.mask_safe.data.any(axis=(1, 2))] for d in datasets]
    return len(np.unique(np.log(u.Quantity(np.concatenate(low)).to_value("GeV")).round(3)))


def neighbour(row, datasets, e_range):
    """Point source with a fitted spectrum, or else as `point_source`; only its level is free.

    Parameters
    ----------
    row, datasets, e_range
        See `point_source`.

    Returns
    -------
    model : `~gammapy.modeling.models.SkyModel`
        Model.
    """
    model = point_source(row, datasets, e_range, index_free=False)
    if row["is_fitted"]:
        model.spectral_model = row["spectrum"].copy()
        model.freeze()
        model.spectral_model.amplitude.frozen = False
    return model


def log_parabola(model, e_min, e_max):
    """The same source with a curved spectrum."""
    law = model.spectral_model
    # Near where most photons are, level and index depend little on each other
    reference = e_min * min(3.0, float(np.sqrt(e_max / e_min)))
    curved = LogParabolaSpectralModel(
        amplitude=law(reference), reference=reference, alpha=law.index.value, beta=0.05
    )
    place = model.spatial_model.copy()
    return SkyModel(spectral_model=bounded_spectrum(curved), spatial_model=place, name=model.name)


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


def _place(position):
    """Point at a position, near a pole of ICRS in Galactic coordinates: no fit could cross a pole."""
    if abs(position.dec.deg) > NEAR_POLE:
        position = position.galactic
    lon, lat = position.spherical.lon.to("deg"), position.spherical.lat.to("deg")
    return PointSpatialModel(lon_0=lon, lat_0=lat, frame=position.frame.name)


def _free_position(model, reach):
    """Free the position within a box, so that a fit cannot run away."""
    place, reach = model.spatial_model, u.Quantity(reach).to_value("deg")
    lon, lat = place.lon_0, place.lat_0
    lon.frozen = lat.frozen = False
    lat.min, lat.max = max(lat.value - reach, -90), min(lat.value + reach, 90)
    reach = reach / np.cos(lat.quantity).value
    lon.min, lon.max = lon.value - reach, lon.value + reach
