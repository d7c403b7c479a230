# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood fit of one candidate."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

from ..catalog.class_spectra import PULSAR
from ..catalog.fluxes import FLUX_UNIT, integral_flux
from ..utils.sky_geometry import RADIUS_68
from .region_likelihood import RegionLikelihood
from .trial_models import INDEX, as_curved, as_gaussian

__all__ = ["FitOptions", "fit_region", "fit_spectrum"]

#: Below this test statistic, that of one standard deviation, a source has no position or spectrum to state.
FAINTEST_TS = 1.0
#: Indices that a fit may start from: a hard, a common and a soft spectrum, so that one is near.
INDICES = (1.5, INDEX, 3.5)
#: Step of an index for the error of the flux, in its errors, and the longest: the flux is linear there.
STEP, LONGEST_STEP = 0.1, 0.1
#: Parameters of the spectra beside the level: photon index, curvature, and beta as a unit of that.
SHAPES = {"pl": ("index", None, 1), "lp": ("alpha", "beta", 1), "plec": ("index_1", "expfactor", 2)}
#: A parameter this near to the end of its range, as a share of it, ran away: a fit stops there to rounding.
AT_LIMIT = 1e-3


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """Choices of a fit, see `~gammapy_asid.likelihood.CandidateFitEstimator`."""

    width: u.Quantity
    neighbour_reach: u.Quantity
    position_reach: u.Quantity
    free_background: bool
    free_neighbours: bool
    refit_position: bool
    curvature_ts: float
    test_extension: bool


def fit_region(region, options):
    """Fit a candidate.

    Parameters
    ----------
    region : `~gammapy_asid.likelihood.region.Region`
        Region; its source takes the fitted values.
    options : `FitOptions`
        Options.

    Returns
    -------
    row : dict
        Values of `~gammapy_asid.catalog.FIT_COLUMNS` that the fit gives, angles in deg, energies in GeV.

    Raises
    ------
    RuntimeError
        If the fit does not converge or a parameter runs away.
    """
    likelihood, source = RegionLikelihood(region), region.source
    place, e_range = source.spatial_model, region.energy_range
    without = likelihood.minimise().stat
    # The level first: from far off, the position would follow the neighbours
    fit, ts = _fit_level(likelihood, source), 0.0
    if fit is not None:
        if options.refit_position and without - fit.stat > FAINTEST_TS:
            place.lon_0.frozen = place.lat_0.frozen = False
            fit = likelihood.minimise(source)
        # Never worse than without the source, but for the last digits
        ts = max(0.0, without - fit.stat)
    row = {"fit_e_min": e_range[0].to_value("GeV"), "fit_e_max": e_range[1].to_value("GeV")}
    if ts < FAINTEST_TS:
        flux = integral_flux(source.spectral_model, *e_range).to_value(FLUX_UNIT)
        return row | {"ts": ts, "sqrt_ts": np.sqrt(ts), "fit_flux": flux}
    if any(not p.frozen and _at_limit(p) for p in (place.lon_0, place.lat_0)):
        raise RuntimeError("the position ran away")
    kind = "pl"
    if ts > options.curvature_ts and not source.spectral_model.index.frozen:
        curved = as_curved(source, *e_range, region.source_class)
        fit_curved = likelihood.minimise(curved)
        gain, own = fit.stat - fit_curved.stat, "plec" if region.source_class == PULSAR else "lp"
        if gain > options.curvature_ts and not _at_limit(curved.spectral_model.parameters[SHAPES[own][1]]):
            kind, source, fit, ts = own, curved, fit_curved, ts + gain
    row |= {"ts": ts, "sqrt_ts": np.sqrt(ts)} | _position(source, fit) | _spectrum(source, kind, fit, e_range)
    if options.test_extension:
        row |= _extension(likelihood, source, fit.stat)
    return row


def fit_spectrum(region):
    """Spectrum of a source at its place, beside which the levels of all others are fitted.

    Parameters
    ----------
    region : `~gammapy_asid.likelihood.region.Region`
        Region; its source takes the fitted values.

    Returns
    -------
    spectrum : `~gammapy.modeling.models.PowerLaw2SpectralModel`
        Spectrum; its amplitude is zero where no photons are left for the source.

    Raises
    ------
    RuntimeError
        If the fit does not converge.
    """
    _fit_level(RegionLikelihood(region), region.source)
    return region.source.spectral_model


def _fit_level(likelihood, source):
    """Fit of a source at a fixed position; None where its amplitude becomes zero."""
    law, place = source.spectral_model, source.spatial_model
    place.lon_0.frozen = place.lat_0.frozen = True
    likelihood.choose(source, "index", [law.index.value] if law.index.frozen else INDICES)
    return likelihood.minimise(source) if law.amplitude.value > 0 else None


def _extension(likelihood, source, stat):
    """Test statistic of a Gaussian against the point, and its width."""
    extended = as_gaussian(source)
    fit = likelihood.minimise(extended)
    row = {"ts_ext": max(0.0, stat - fit.stat)}
    if row["ts_ext"] > FAINTEST_TS and not _at_limit(extended.spatial_model.sigma):
        error = np.sqrt(fit.covariance(["sigma"])[0, 0])
        row |= {"fit_sigma": extended.spatial_model.sigma.value, "fit_sigma_err": error}
    return row


def _position(source, fit):
    """Position and its 68 % ellipse."""
    place = source.spatial_model
    here = place.position
    row = {"fit_ra": here.icrs.ra.deg, "fit_dec": here.icrs.dec.deg}
    if place.lon_0.frozen:
        return row
    # The parameters are longitude and latitude; the offset to the east is shorter
    scale = np.array([np.cos(place.lat_0.quantity).value, 1.0])
    values, vectors = np.linalg.eigh(fit.covariance(["lon_0", "lat_0"]) * scale * scale[:, None])
    if not np.all(values > 0):
        raise RuntimeError("the position has no error")
    minor, major = RADIUS_68 * np.sqrt(values)
    # From north of the coordinates of the fit to that of ICRS
    north = here.directional_offset_by(0 * u.deg, 1 * u.arcsec)
    turn = here.icrs.position_angle(north.icrs).deg
    angle = (np.degrees(np.arctan2(*vectors[:, 1])) + turn) % 180
    return row | {"fit_semi_major_68": major, "fit_semi_minor_68": minor, "fit_pos_angle": angle}


def _spectrum(source, kind, fit, e_range):
    """Photon flux in the range of energies of the data and the parameters of the spectrum."""
    law = source.spectral_model
    index, curvature, unit = SHAPES[kind]
    names = [name for name in (index, curvature) if name and not law.parameters[name].frozen]
    covariance = fit.covariance(["amplitude", *names])
    errors = dict(zip(["amplitude", *names], np.sqrt(np.diag(covariance)), strict=True))
    flux = integral_flux(law, *e_range).to_value(FLUX_UNIT)
    # Linear in the amplitude, differences for the others
    gradient = [flux / law.amplitude.value]
    for name in names:
        moved = law.copy()
        step = min(STEP * errors[name], LONGEST_STEP)
        moved.parameters[name].value += step
        gradient.append((integral_flux(moved, *e_range).to_value(FLUX_UNIT) - flux) / step)
    row = {
        "fit_flux": flux,
        "fit_flux_err": np.sqrt(gradient @ covariance @ gradient),
        "fit_spectrum": kind,
        "fit_e_ref": (law.reference.quantity if curvature else e_range[0]).to_value("GeV"),
        "fit_index": law.parameters[index].value,
        "fit_index_err": errors.get(index, np.nan),
    }
    if curvature is None:
        return row
    beta, error = (value / unit for value in (law.parameters[curvature].value, errors[curvature]))
    return row | {"fit_beta": beta, "fit_beta_err": error}


def _at_limit(parameter):
    room = AT_LIMIT * (parameter.max - parameter.min)
    return parameter.value < parameter.min + room or parameter.value > parameter.max - room
