# Licensed under a 3-clause BSD style license - see LICENSE
"""What the fits know of the sources of a list."""

from dataclasses import dataclass, replace

import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.modeling.models import PowerLawSpectralModel, SpectralModel

from ..catalog.fluxes import FLUX_UNIT, integral_flux
from .trial_models import INDEX

__all__ = ["ListedSource", "listed_sources"]


@dataclass(frozen=True, kw_only=True)
class ListedSource:
    """A source of a list.

    Parameters
    ----------
    name : str
        Name.
    position : `~astropy.coordinates.SkyCoord`
        Position.
    spectrum : `~gammapy.modeling.models.SpectralModel`, optional
        Spectrum with the fitted or estimated flux; None where there is neither.
    is_fitted : bool
        Whether that is a fitted one.
    is_zero : bool
        Whether its flux is zero.
    source_class : str
        Its class, empty where it is not known.
    """

    name: str
    position: SkyCoord
    spectrum: SpectralModel = None
    is_fitted: bool = False
    is_zero: bool = False
    source_class: str = ""

    def with_fit(self, spectrum):
        """The same source as a fit left it.

        Parameters
        ----------
        spectrum : `~gammapy.modeling.models.SpectralModel`, optional
            Spectrum of the fit; None where it failed, which changes nothing.

        Returns
        -------
        source : `ListedSource`
            Source.
        """
        if spectrum is None:
            return self
        is_zero = spectrum.amplitude.value <= 0
        return replace(self, spectrum=spectrum, is_fitted=not is_zero, is_zero=is_zero)


def listed_sources(candidates):
    """Names, positions and spectra of candidates.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.

    Returns
    -------
    sources : list of `ListedSource`
        Sources in their order.
    """
    table = candidates.table
    classes = table["source_class"] if "source_class" in table.colnames else [""] * len(table)
    sources = [
        ListedSource(name=str(name), position=position, source_class=str(own))
        for name, position, own in zip(table["name"], candidates.positions, classes, strict=True)
    ]
    placed = np.flatnonzero(np.isfinite(table["ra"]) & np.isfinite(table["dec"]))
    for i, model in zip(placed, candidates[placed].to_models(), strict=True):
        row = table[i]
        fit_flux = row["fit_flux"].value if "fit_flux" in table.colnames else np.nan
        known = {}
        if np.isfinite(fit_flux) and row["fit_spectrum"]:
            known = {"spectrum": model.spectral_model, "is_fitted": True}
        elif np.isfinite(fit_flux):
            # Too faint for a spectrum of its own
            law = PowerLawSpectralModel(index=INDEX)
            unit_flux = integral_flux(law, row["fit_e_min"], row["fit_e_max"])
            law.amplitude.value *= fit_flux / unit_flux.to_value(FLUX_UNIT)
            known = {"spectrum": law, "is_zero": fit_flux <= 0}
        elif row["flux"].value > 0:
            known = {"spectrum": model.spectral_model}
        sources[i] = replace(sources[i], **known)
    return sources
