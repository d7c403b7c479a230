# Licensed under a 3-clause BSD style license - see LICENSE
"""Fluxes of the sources of an image."""

import astropy.units as u
import numpy as np
from gammapy.estimators import ESTIMATOR_REGISTRY
from scipy.spatial import KDTree

from .estimator import OpticalEstimator
from .field import field_parts, placed_sources
from .flags import OpticalFlag
from .flux.model import OpticalFluxModel

__all__ = ["OpticalFluxEstimator"]

#: Columns in the unit of the image, and what they hold.
FLUXES = {
    "flux": "Flux where a star has one within its point spread function, the median of what is possible",
    "flux_errn": "Flux down to the lower end of its 68 % interval",
    "flux_errp": "Flux up to the upper end of its 68 % interval",
    "flux_bound": "Cramer-Rao bound of the error of the flux of a star there, beside its neighbours",
    "flux_psf": "Flux of the point spread function, fitted together with all others",
}

#: Columns in magnitudes where the zero point is known.
MAGNITUDES = {
    "mag": "Magnitude of the flux",
    "mag_errn": "Magnitudes down to the brighter end of the 68 % interval",
    "mag_errp": "Magnitudes up to the fainter end of the 68 % interval; infinite where that has no light",
}


class OpticalFluxEstimator(OpticalEstimator):
    """Fluxes of the sources of an optical or infrared image, with calibrated errors, in crowds too.

    The point spread function is fitted to all sources together; an ensemble of networks corrects flux and
    error of each by what the fit leaves around it, and by what all sources of the image have in common, such
    as a point spread function that is a little too wide. Intervals are calibrated on simulated images.

    Fluxes of stars and galaxies are on the scale of the point spread function, whose light within 12 pixels
    on each side counts as one: zero points that count light beyond make all sources fainter alike.

    Parameters
    ----------
    model : str or path
        Name of a shipped model, or path of its weights.
    psf : object, optional
        Point spread function of all images, see `~gammapy_asid.OpticalSourceDetector`.
    device : str, optional
        Torch device; by default the accelerator if there is one.
    """

    tag = "OpticalFluxEstimator"

    def __init__(self, model="optical-flux", psf=None, device=None):
        super().__init__(model, OpticalFluxModel.load(model, device), psf)

    def run(self, image, sources):
        """Measure sources.

        Parameters
        ----------
        image : str, path, `~astropy.nddata.CCDData`, `~numpy.ndarray`, HDU or OpticalImage
            Image.
        sources : `~gammapy_asid.OpticalSources`, `~astropy.table.Table`, SkyCoord or Candidates
            All sources of the image: they are taken for all light that there is. A table has columns such as
            ``xcentroid`` and ``ycentroid`` or ``ra`` and ``dec``, see `~gammapy_asid.optical.positions`.

        Returns
        -------
        sources : `~gammapy_asid.OpticalSources`
            A copy with ``flux``, ``flux_errn``, ``flux_errp``, ``flux_bound`` and ``flux_psf`` in the unit of
            the image, with ``mag``, ``mag_errn`` and ``mag_errp`` where its zero point is known, and
            ``flags``. No row is lost: what lies outside the image or on masked pixels has NaN and a flag.

        Raises
        ------
        TypeError, ValueError, FileNotFoundError
            If it is no image that can be used, or the sources have no positions in it.
        """
        prepared = self.prepare(image)
        placed, measured = placed_sources(prepared, sources, (*FLUXES, *MAGNITUDES))
        table = placed.table
        x, y = (np.where(measured, table[name], np.nan) for name in ("xcentroid", "ycentroid"))
        values = {name: np.full(len(table), np.nan) for name in FLUXES}
        saturated = np.zeros(len(table), bool)
        for part in field_parts(prepared, x, y):
            predicted = self.trained.predict(part.batch, part.x, part.y)
            own = part.own.numpy()
            for name, column in values.items():
                column[part.rows] = getattr(predicted, name)[own] * part.noise
            saturated[part.rows] = predicted.saturated[own]
        unit = prepared.image.unit
        for name, text in FLUXES.items():
            table[name] = values[name] if unit is None else values[name] * unit
            table[name].info.description = text
        for name, column in _magnitudes(values, prepared.image.zero_point).items():
            table[name] = column * u.mag
            table[name].info.description = MAGNITUDES[name]
        flags = np.where(saturated, OpticalFlag.SATURATED, 0)
        flags |= _beside_brighter(x, y, values["flux"], prepared.psf.fwhm * prepared.binning)
        table["flags"] = np.asarray(table["flags"]) | flags.astype("i4")
        return self.finished(placed, prepared, measured & np.isnan(values["flux"]))


def _magnitudes(values, zero_point):
    """Columns of `MAGNITUDES`, none without a zero point."""
    if zero_point is None:
        return {}
    flux, low, high = values["flux"], values["flux_errn"], values["flux_errp"]
    with np.errstate(invalid="ignore", divide="ignore"):
        faint, middle, bright = (zero_point - 2.5 * np.log10(v) for v in (flux - low, flux, flux + high))
        return {"mag": middle, "mag_errn": middle - bright, "mag_errp": faint - middle}


def _beside_brighter(x, y, flux, fwhm):
    """Flag of sources with a brighter one within the width of the point spread function."""
    flags = np.zeros(len(x), int)
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y) & np.isfinite(flux))
    if len(known) > 1:
        pairs = known[KDTree(np.column_stack([x[known], y[known]])).query_pairs(fwhm, output_type="ndarray")]
        fainter = np.where(flux[pairs[:, 0]] < flux[pairs[:, 1]], pairs[:, 0], pairs[:, 1])
        flags[fainter] = OpticalFlag.NEAR_BRIGHTER
    return flags


ESTIMATOR_REGISTRY.append(OpticalFluxEstimator)
