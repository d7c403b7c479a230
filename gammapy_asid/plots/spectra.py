# Licensed under a 3-clause BSD style license - see LICENSE
"""Spectra of sources as pictures show them: points in bands, a curve, and what the curve is."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np

__all__ = ["DrawnSpectrum", "drawn_spectrum", "has_level", "spectrum_label"]

#: Names of spectral models as pictures write them.
SPECTRA = {
    "PowerLawSpectralModel": "power law",
    "LogParabolaSpectralModel": "log-parabola",
    "SuperExpCutoffPowerLaw4FGLDR3SpectralModel": "exponential cutoff",
}

#: Points of a curve.
POINTS = 60

UNIT = u.Unit("erg cm-2 s-1")

#: Columns of flux points.
ENERGIES = {"e": "e_ref", "low": "e_min", "high": "e_max"}
VALUES = {"y": "e2dnde", "up": "e2dnde_errp", "down": "e2dnde_errn", "ul": "e2dnde_ul"}


@dataclass(frozen=True)
class DrawnSpectrum:
    """Numbers of the picture of a spectrum, energies in GeV and E2dN/dE in erg cm-2 s-1.

    Parameters
    ----------
    points : list of dict
        ``e``, ``low``, ``high`` (energies), ``y``, ``up``, ``down``, ``ul`` and ``is_ul`` of each band, None
        where a number is not known.
    model : list of list of float
        Energy and value along the curve; none where neither a fit nor a flux tells its level.
    range : list of float
        Lowest and highest energy.
    fitted : bool
        Whether a fit gave the curve.
    label : str
        What the curve is.
    """

    points: list
    model: list
    range: list
    fitted: bool
    label: str


def spectrum_label(source, spectrum):
    """What a curve is in a few words.

    Parameters
    ----------
    source : `~gammapy_asid.catalog.SourceCatalogObjectASID`
        Source.
    spectrum : `~gammapy.modeling.models.SpectralModel`
        Its spectrum.

    Returns
    -------
    label : str
        Such as ``power law, fitted``.
    """
    of_class = str(source.data.get("Source_Class", ""))
    label = SPECTRA.get(type(spectrum).__name__, type(spectrum).__name__)
    return label + (
        ", fitted" if source.is_fitted else f", common for {of_class}" if of_class else ", not fitted"
    )


def has_level(source):
    """Whether a fit or the flux of all energies tells the level of the spectrum of a source.

    Parameters
    ----------
    source : `~gammapy_asid.catalog.SourceCatalogObjectASID`
        Source.

    Returns
    -------
    known : bool
        Whether its level is its own, not that of a common source.
    """
    return source.is_fitted or bool(source.data.get("Flux1000", source.data.get("Flux", np.nan)) > 0)


def drawn_spectrum(source):
    """Points and curve of a source of the catalogue.

    Parameters
    ----------
    source : `~gammapy_asid.catalog.SourceCatalogObjectASID`
        Source.

    Returns
    -------
    drawn : `DrawnSpectrum` or None
        None where no fluxes were estimated in bands.
    """
    try:
        points = source.flux_points
    except ValueError:
        return None
    table = points.to_table(sed_type="e2dnde")
    columns = {key: table[name].quantity.to_value("GeV") for key, name in ENERGIES.items()}
    columns |= {key: table[name].quantity.to_value(UNIT) for key, name in VALUES.items()}
    rows = [{key: _known(values[i]) for key, values in columns.items()} for i in range(len(table))]
    for row, is_limit in zip(rows, table["is_ul"], strict=True):
        row["is_ul"] = bool(is_limit)
    edges = float(columns["low"].min()), float(columns["high"].max())
    model = source.spectral_model()
    energy = np.geomspace(*edges, POINTS) * u.GeV
    values = (energy**2 * model(energy)).to_value(UNIT)
    if not has_level(source):
        # The level of its spectrum is that of a common source, not its own
        values = np.full(POINTS, np.nan)
    curve = [
        [float(e), float(v)] for e, v in zip(energy.value, values, strict=True) if np.isfinite(v) and v > 0
    ]
    return DrawnSpectrum(rows, curve, list(edges), source.is_fitted, spectrum_label(source, model))


def _known(value):
    return float(value) if np.isfinite(value) else None
