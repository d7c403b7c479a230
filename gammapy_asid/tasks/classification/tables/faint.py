# Licensed under a 3-clause BSD style license - see LICENSE
"""Sources as they would look if they were fainter: what has no class is fainter than what has one.

The flux is scaled down at the place of the source: its background stays. The noise that a fainter source has
more is added to all that was measured, and what follows from these numbers is computed anew.
"""

import numpy as np

from .columns import numbers
from .features import HISTORIES, features_of, flux_and_error

__all__ = ["copied_features", "faint_copies"]

#: Copies of a source of a rare class at most, and those of a class in all as a share of the largest class.
COPIES_MAX, COPIES_SHARE = 16, 2 / 3

#: Fluxes this many errors above 0 tell the errors that photons of a source alone make, those of the sharpest
#: this share of them.
BRIGHT, SHARPEST = 5, 0.02
#: Part of the variance of a flux that is always background.
BACKGROUND_MIN = 0.05
#: Steps to the flux that has the wanted significance.
STEPS = 20
#: Columns whose error is another one, and columns that are as large as the flux.
MEASURED = ("PL_Index", "LP_Index", "LP_beta")
LIKE_FLUX = ("Energy_Flux100", "Flux1000", "Npred")


def copied_features(table, features, classes):
    """Features of fainter copies of the sources that have a class, of rare classes more.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Catalogue.
    features : dict of `~numpy.ndarray`
        Features of its rows; those that do not change are taken over.
    classes : `~numpy.ndarray`
        Class of each row, -1 for none. Copies are as significant as sources without one, or as any, if there
        are none.

    Returns
    -------
    copies : dict of `~numpy.ndarray`
        Features of the copies.
    sources : `~numpy.ndarray`
        Row of the source of each.
    """
    random = np.random.default_rng(0)
    counts = np.bincount(classes[classes >= 0])
    wanted = np.clip(np.ceil(COPIES_SHARE * counts.max() / counts), 1, COPIES_MAX).astype(int)
    rows = np.flatnonzero(classes >= 0)
    sources = np.repeat(rows, wanted[classes[rows]])
    values = numbers(table)
    known = values["Signif_Avg"][np.isfinite(values["Signif_Avg"])]
    new = values["Signif_Avg"][(classes < 0) & np.isfinite(values["Signif_Avg"])]
    significance = random.choice(new if len(new) else known, len(sources))
    copies = faint_copies({name: column[sources] for name, column in values.items()}, significance, random)
    return {name: column[sources] for name, column in features.items()} | features_of(copies), sources


def faint_copies(values, significance, random):
    """Fainter copies of sources.

    Parameters
    ----------
    values : dict of `~numpy.ndarray`
        Columns by their names, see `~gammapy_asid.tasks.classification.tables.columns.numbers`.
    significance : `~numpy.ndarray`
        Significance that each copy should have. Sources that have less stay as they are.
    random : `~numpy.random.Generator`
        Generator.

    Returns
    -------
    copies : dict of `~numpy.ndarray`
        The same columns.
    """
    ratio = np.minimum(significance / values["Signif_Avg"], 1)
    ratio = np.where(np.isfinite(ratio), ratio, 1)
    factor, widened = ratio, np.ones(len(ratio))
    copies = dict(values)
    if {"Flux_Band", "Unc_Flux_Band"} <= values.keys():
        flux, error = flux_and_error(values, "Flux_Band")
        own = _source_share(flux, error)
        factor, widened = _flux_factor(flux, error, own, ratio)
        _fade(copies, "Flux_Band", flux, error, own, factor, random)
    for history, index in HISTORIES.items():
        if {history, f"Unc_{history}"} <= values.keys():
            flux, error = flux_and_error(values, history)
            _fade(copies, history, flux, error, _source_share(flux, error), factor, random)
            if index in values:
                before, after = _chi2(flux, error), _chi2(*flux_and_error(copies, history))
                # The catalogue's index is that of the likelihood
                own_index = after * np.clip(values[index] / np.maximum(before, 1e-9), 0.5, 2)
                copies[index] = np.where(ratio < 1, own_index, values[index])
    copies["Signif_Avg"] = ratio * values["Signif_Avg"]
    copies |= {name: factor * values[name] for name in LIKE_FLUX if name in values}
    if "Unc_Energy_Flux100" in values:
        copies["Unc_Energy_Flux100"] = widened * values["Unc_Energy_Flux100"]
    if "Conf_95_SemiMajor" in values:
        copies["Conf_95_SemiMajor"] = values["Conf_95_SemiMajor"] / ratio
    _fade_spectrum(copies, values, ratio, random)
    return copies


def _source_share(flux, error):
    """Share of the variance of each flux that the photons of the source make."""
    with np.errstate(invalid="ignore", divide="ignore"):
        per_flux = np.where(flux > BRIGHT * error, error**2 / flux, np.nan)
        known = np.isfinite(per_flux).any(axis=0)
        photons = np.zeros(flux.shape[1])
        photons[known] = np.nanquantile(per_flux[:, known], SHARPEST, axis=0)
        return np.clip(photons * flux / error**2, 0, 1 - BACKGROUND_MIN)


def _flux_factor(flux, error, own, ratio):
    """Factor of the flux with which the significance falls by a ratio, and that of the errors of the flux."""
    # Bands that are not known, and sources without flux in any, tell nothing
    squared, own = np.nan_to_num(np.maximum(flux / error, 0) ** 2) + 1e-9, np.nan_to_num(own)
    factor = ratio
    for _ in range(STEPS):
        variance = 1 - own * (1 - factor[:, None])
        lost = (squared / variance).sum(axis=1) / squared.sum(axis=1)
        factor = np.minimum(ratio / np.sqrt(lost), 1)
    return factor, 1 / np.sqrt(lost)


def _fade(copies, name, flux, error, own, factor, random):
    """Replace fluxes and errors by those of a fainter source."""
    factor = factor[:, None]
    new = error * np.sqrt(1 - own * (1 - factor))
    noise = np.sqrt(np.maximum(new**2 - (factor * error) ** 2, 0)) * random.standard_normal(flux.shape)
    # Fluxes of the catalogue are not negative
    copies[name] = np.where(factor < 1, np.maximum(factor * flux + noise, 0), flux)
    copies[f"Unc_{name}"] = np.stack([-new, new], axis=-1)


def _fade_spectrum(copies, values, ratio, random):
    """Indices, curvature and their significances with the errors of a fainter source."""
    for name in MEASURED:
        unc = f"Unc_{name}"
        if unc in values:
            more = values[unc] * np.sqrt(1 / ratio**2 - 1)
            copies[name] = values[name] + more * random.standard_normal(len(ratio))
            copies[unc] = values[unc] / ratio
    if {"Unc_LP_beta", "LP_SigCurv"} <= values.keys():
        faded = ratio < 1
        shift = np.abs(copies["LP_beta"] / copies["Unc_LP_beta"])
        shift -= ratio * np.abs(values["LP_beta"] / values["Unc_LP_beta"])
        for name in ("LP_SigCurv", "PLEC_SigCurv"):
            if name in values:
                copies[name] = np.where(faded, np.maximum(ratio * values[name] + shift, 0), values[name])


def _chi2(flux, error):
    weight = error**-2.0
    mean = (flux * weight).sum(axis=1, keepdims=True) / weight.sum(axis=1, keepdims=True)
    return ((flux - mean) ** 2 * weight).sum(axis=1)
