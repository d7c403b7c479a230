# Licensed under a 3-clause BSD style license - see LICENSE
"""Gammapy models of sources, with the bounds of a fit."""

import astropy.units as u
import numpy as np
from gammapy.modeling.models import GaussianSpatialModel, PowerLawSpectralModel

__all__ = [
    "EXTENDED",
    "START_SPECTRUM",
    "bounded_place",
    "bounded_spectrum",
    "extended_model",
    "with_extended",
]

#: Probability from which a source is modelled as extended.
EXTENDED = 0.5


def extended_model(position, row, point=None):
    """Gaussian at a position, of the width that a classifier of extension found.

    Parameters
    ----------
    position : `~astropy.coordinates.SkyCoord`
        Position.
    row : `~astropy.table.Row`
        Row with the columns ``ext_sigma``, ``ext_sigma_errn`` and ``ext_sigma_errp``.
    point : `~gammapy.modeling.models.PointSpatialModel`, optional
        Model whose errors and bounds of the position are taken.

    Returns
    -------
    model : `~gammapy.modeling.models.GaussianSpatialModel`
        Model with the error of its parameter ``sigma``.
    """
    model = GaussianSpatialModel.from_position(position)
    model.sigma.quantity = row["ext_sigma"]
    model.sigma.error = ((row["ext_sigma_errn"] + row["ext_sigma_errp"]) / 2).to_value(model.sigma.unit)
    bounded_place(model, np.nan * u.deg)
    for name in () if point is None else ("lon_0", "lat_0"):
        own, other = getattr(model, name), getattr(point, name)
        own.error, own.min, own.max = other.error, other.min, other.max
    return model


def with_extended(models, table, positions):
    """Models of candidates, Gaussians in place of points where only the classifier of extension tells.

    Parameters
    ----------
    models : list of `~gammapy.modeling.models.SkyModel`
        Models, which are changed.
    table : `~astropy.table.QTable`
        Candidates.
    positions : `~astropy.coordinates.SkyCoord`
        Their positions, shape ``(n,)``.

    Returns
    -------
    models : list of `~gammapy.modeling.models.SkyModel`
        The same.
    """
    if "extended_prob" in table.colnames:
        fitted = np.isfinite(table["ts_ext"]) if "ts_ext" in table.colnames else False
        for i in np.flatnonzero((table["extended_prob"] > EXTENDED) & ~np.asarray(fitted)):
            models[i].spatial_model = extended_model(positions[i], table[i], models[i].spatial_model)
    return models


#: Ranges of a photon index and of a curvature in a fit, and of twice the curvature of a pulsar, whose
#: spectrum would explode at high energies with less than none.
INDEX_RANGE, BETA_RANGE, EXPFACTOR_RANGE = (0.0, 6.0), (-1.0, 3.0), (0.0, 6.0)
#: Ranges of the parameters by their names.
RANGES = {
    "index": INDEX_RANGE,
    "alpha": INDEX_RANGE,
    "index_1": INDEX_RANGE,
    "beta": BETA_RANGE,
    "expfactor": EXPFACTOR_RANGE,
}

#: Farthest that a position may move in a fit, in units of the larger semi-axis of its 95 % ellipse.
POSITION_REACH = 2.0

#: Largest factor by which a width may change in a fit.
WIDTH_REACH = 10.0

#: Spectrum that a fit starts from: a power law of index 2 with 1e-9 cm-2 s-1 above 1 GeV,
#: a common faint source in ten years of Fermi-LAT data.
START_SPECTRUM = PowerLawSpectralModel(index=2.0, amplitude="1e-9 cm-2 s-1 GeV-1", reference="1 GeV")


def bounded_spectrum(law):
    """Power law, log-parabola or spectrum of a pulsar with the bounds of a fit.

    Parameters
    ----------
    law : `~gammapy.modeling.models.SpectralModel`
        Spectrum, which takes the bounds.

    Returns
    -------
    law : `~gammapy.modeling.models.SpectralModel`
        The same.
    """
    law.amplitude.min = 0
    for name, limits in RANGES.items():
        if name in law.parameters.names:
            law.parameters[name].min, law.parameters[name].max = limits
    return law


def bounded_place(shape, error):
    """Point or Gaussian with the bounds of a fit.

    Parameters
    ----------
    shape : `~gammapy.modeling.models.SpatialModel`
        Shape, which takes the bounds.
    error : `~astropy.units.Quantity`
        Larger semi-axis of the 95 % error ellipse; without one the position has no bounds.

    Returns
    -------
    shape : `~gammapy.modeling.models.SpatialModel`
        The same.
    """
    lon, lat, reach = shape.lon_0, shape.lat_0, POSITION_REACH * error
    if np.isfinite(reach) and reach > 0:
        lat.min = max((lat.quantity - reach).to_value(lat.unit), lat.min)
        lat.max = min((lat.quantity + reach).to_value(lat.unit), lat.max)
        # East to west the same distance is more degrees away from the equator
        turn = reach / max(np.cos(lat.quantity).value, 1e-3)
        lon.min, lon.max = ((lon.quantity + way * turn).to_value(lon.unit) for way in (-1, 1))
    if "sigma" in shape.parameters.names:
        width = shape.sigma
        width.min, width.max = width.value / WIDTH_REACH, width.value * WIDTH_REACH
    return shape
