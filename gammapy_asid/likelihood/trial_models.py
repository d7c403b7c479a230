# Licensed under a 3-clause BSD style license - see LICENSE
"""Models of sources that a fit tries."""

import astropy.units as u
import numpy as np
from gammapy.modeling.models import (
    GaussianSpatialModel,
    PointSpatialModel,
    PowerLaw2SpectralModel,
    SkyModel,
)

from ..catalog.class_spectra import PULSAR, curved_spectrum
from ..catalog.fluxes import FLUX_UNIT, integral_flux
from ..catalog.source_models import bounded_spectrum

__all__ = ["INDEX", "as_curved", "as_gaussian", "free_position", "neighbour", "point_source"]

#: Index that spectra start from, about the mean of the sources of Fermi-LAT.
INDEX = 2.3
#: Photons of the start value of a source without a flux: about those of the faintest that a fit finds.
START_COUNTS = 20
#: Curvature that a log-parabola starts from, a common one, and that of a pulsar.
BETA, PULSAR_BETA = 0.05, 0.3
#: A curved spectrum is told at this multiple of the lowest energy, where most photons are, or at the middle
#: of a narrow range: level and index depend little on each other there.
REFERENCE = 3.0
#: Width in deg of a Gaussian to start from, and the range it may take: from what a point spread function
#: hides to half of a region.
SIGMA, SIGMA_RANGE = 0.2, (0.02, 2.0)
#: Declination in deg from which on positions are fitted in Galactic coordinates, whose poles are at 27 deg.
NEAR_POLE = 60.0
#: Decimals of the logarithms of energies that tell two bins apart: edges of two files differ by less.
DECIMALS = 3


class FitModel(SkyModel):
    """Source whose parts are known to have the units that they need.

    Gammapy's check of them, at each of the many models of a fit, takes a fifth of the time of a fit.
    """

    def _check_unit(self):
        pass


def point_source(source, datasets, e_range, index_free):
    """Point source with a power law; its position is fixed.

    Parameters
    ----------
    source : `~gammapy_asid.likelihood.listed_sources.ListedSource`
        Source.
    datasets : `~gammapy.datasets.Datasets`
        Data.
    e_range : tuple of `~astropy.units.Quantity`
        Range of energies of the flux.
    index_free : bool
        Whether the photon index is free where more than one energy bin has valid data.

    Returns
    -------
    model : `~gammapy.modeling.models.SkyModel`
        Model with the flux of the source.
    """
    flux = np.nan
    if source.spectrum is not None:
        flux = integral_flux(source.spectrum, *e_range).to_value(FLUX_UNIT)
    if not (np.isfinite(flux) and flux > 0):
        # The size of a step, which the fit replaces
        exposure = max(np.nanmax(d.exposure.quantity.to_value("cm2 s")) for d in datasets)
        flux = START_COUNTS / exposure
    # In terms of the photon flux, which hardly depends on the index
    spectrum = PowerLaw2SpectralModel(
        amplitude=flux * FLUX_UNIT, index=INDEX, emin=e_range[0], emax=e_range[1]
    )
    bounded_spectrum(spectrum)
    spectrum.index.frozen = not (index_free and _n_bins(datasets) > 1)
    place = _place(source.position.icrs)
    place.lon_0.frozen = place.lat_0.frozen = True
    return FitModel(spectral_model=spectrum, spatial_model=place, name=source.name)


def _n_bins(datasets):
    """Number of different energy bins with valid data."""
    low = [d.counts.geom.axes["energy"].edges[:-1][d.mask_safe.data.any(axis=(1, 2))] for d in datasets]
    return len(np.unique(np.log(u.Quantity(np.concatenate(low)).to_value("GeV")).round(DECIMALS)))


def neighbour(source, datasets, e_range):
    """Point source with a fitted spectrum, or else as `point_source`; only its level is free.

    Parameters
    ----------
    source, datasets, e_range
        See `point_source`.

    Returns
    -------
    model : `~gammapy.modeling.models.SkyModel`
        Model.
    """
    model = point_source(source, datasets, e_range, index_free=False)
    if source.is_fitted:
        model.spectral_model = source.spectrum.copy()
        model.freeze()
        model.spectral_model.amplitude.frozen = False
    return model


def as_curved(model, e_min, e_max, source_class=""):
    """The same source with a curved spectrum.

    Parameters
    ----------
    model : `~gammapy.modeling.models.SkyModel`
        Source with a power law; left unchanged.
    e_min, e_max : `~astropy.units.Quantity`
        Range of energies of the data.
    source_class : str
        Class of the source: pulsars get a power law with an exponential cutoff, others a log-parabola.

    Returns
    -------
    model : `~gammapy.modeling.models.SkyModel`
        Source with that spectrum.
    """
    law = model.spectral_model
    reference = e_min * min(REFERENCE, float(np.sqrt(e_max / e_min)))
    beta = PULSAR_BETA if source_class == PULSAR else BETA
    curved = curved_spectrum(source_class, law.index.value, beta, law(reference), reference)
    place = model.spatial_model.copy()
    return FitModel(spectral_model=bounded_spectrum(curved), spatial_model=place, name=model.name)


def as_gaussian(model):
    """The same source as a Gaussian.

    Parameters
    ----------
    model : `~gammapy.modeling.models.SkyModel`
        Point source; left unchanged.

    Returns
    -------
    model : `~gammapy.modeling.models.SkyModel`
        Gaussian at the same position, as free as that.
    """
    place = model.spatial_model
    shape = GaussianSpatialModel(
        lon_0=place.lon_0.quantity, lat_0=place.lat_0.quantity, sigma=SIGMA * u.deg, frame=place.frame
    )
    for own, other in zip((shape.lon_0, shape.lat_0), (place.lon_0, place.lat_0), strict=True):
        own.min, own.max, own.frozen = other.min, other.max, other.frozen
    shape.sigma.min, shape.sigma.max = SIGMA_RANGE
    return FitModel(spectral_model=model.spectral_model.copy(), spatial_model=shape, name=model.name)


def free_position(model, reach):
    """Free the position within a box, so that a fit cannot run away.

    Parameters
    ----------
    model : `~gammapy.modeling.models.SkyModel`
        Source, whose position becomes free.
    reach : `~astropy.units.Quantity`
        Farthest that it may move along either axis.
    """
    place, reach = model.spatial_model, u.Quantity(reach).to_value("deg")
    lon, lat = place.lon_0, place.lat_0
    lon.frozen = lat.frozen = False
    lat.min, lat.max = max(lat.value - reach, -90), min(lat.value + reach, 90)
    reach = reach / np.cos(lat.quantity).value
    lon.min, lon.max = lon.value - reach, lon.value + reach


def _place(position):
    """Point at a position, near a pole of ICRS in Galactic coordinates: no fit could cross a pole."""
    if abs(position.dec.deg) > NEAR_POLE:
        position = position.galactic
    lon, lat = position.spherical.lon.to("deg"), position.spherical.lat.to("deg")
    return PointSpatialModel(lon_0=lon, lat_0=lat, frame=position.frame.name)
