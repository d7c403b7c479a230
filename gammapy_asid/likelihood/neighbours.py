# Licensed under a 3-clause BSD style license - see LICENSE
"""What the fits know of the sources of a field."""

import numpy as np
from gammapy.modeling.models import PowerLawSpectralModel

from ..catalog.fluxes import integral_flux
from .region import INDEX

__all__ = ["source_rows", "with_spectrum"]


def source_rows(candidates):
    """Name, position and spectrum of sources.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Sources.

    Returns
    -------
    rows : list of dict
        ``name``, ``position``, ``spectrum`` with the fitted or estimated flux (None where there is neither),
        ``is_fitted``, whether that is a fitted one, and ``is_zero``, whether its flux is zero.
    """
    table = candidates.table
    rows = [
        {"name": str(name), "position": position, "spectrum": None, "is_fitted": False, "is_zero": False}
        for name, position in zip(table["name"], candidates.positions, strict=True)
    ]
    placed = np.flatnonzero(np.isfinite(table["ra"]) & np.isfinite(table["dec"]))
    for i, model in zip(placed, candidates[placed].to_models(), strict=True):
        row, source = rows[i], table[i]
        fit_flux = source["fit_flux"].value if "fit_flux" in table.colnames else np.nan
        if np.isfinite(fit_flux) and source["fit_spectrum"]:
            row |= {"spectrum": model.spectral_model, "is_fitted": True}
        elif np.isfinite(fit_flux):
            # Too faint for a spectrum of its own
            law = PowerLawSpectralModel(index=INDEX)
            law.amplitude.value *= fit_flux / integral_flux(
                law, source["fit_e_min"], source["fit_e_max"]
            ).to_value("cm-2 s-1")
            row |= {"spectrum": law, "is_zero": fit_flux <= 0}
        elif source["flux"].value > 0:
            row["spectrum"] = model.spectral_model
    return rows


def with_spectrum(row, law):
    """Row of a source of which a fit gave the spectrum; None for none."""
    if law is None:
        return row
    is_zero = law.amplitude.value <= 0
    return row | {"spectrum": law, "is_fitted": not is_zero, "is_zero": is_zero}
