# Licensed under a 3-clause BSD style license - see LICENSE
"""What the columns of a catalogue tell of the class of a source, as numbers a smooth classifier can use.

Brightness, spectrum and its curvature, hardness from band to band, variability, the size of the error
ellipse, and the errors, which tell how far each of these can be trusted. No position on the sky, if it is not
asked for.
"""

import numpy as np

from ....utils.table_columns import column_name, column_text, table_positions
from .columns import NEEDED, numbers

__all__ = ["COVERED", "HISTORIES", "feature_table", "features_of", "flux_and_error", "known_share"]

#: Edges in MeV of the energy bands that all releases share; those above the last but one are one band.
EDGES = np.array([50, 100, 300, 1000, 3000, 10000, 30000, 300000])
#: Light curves, in years and in two months, and their variability index. Where the number of intervals is not
#: known, that is another feature than where it is.
HISTORIES = {"Flux_History": "Variability_Index", "Flux2_History": "Variability2_Index"}
ANY_TIMES = " of unknown times"
#: Features whose range decides what a training covered, as far as a table has them: brightness, spectrum,
#: variability, background and confusion.
COVERED = (
    "Signif_Avg",
    "Energy_Flux100",
    "Pivot_Energy",
    "PL_Index",
    "LP_beta",
    "Variability_Index",
    f"Variability_Index{ANY_TIMES}",
    "ellipse",
    "hardness 2",
    "hardness 3",
    "error 2",
    "error 4",
)
#: Columns that are positive and span decades.
LOGARITHMS = (
    "Signif_Avg",
    "Energy_Flux100",
    "Pivot_Energy",
    "Conf_95_SemiMajor",
    "Unc_Energy_Flux100",
    "Flux1000",
    "Npred",
    "Unc_PL_Index",
    "Unc_LP_Index",
    "Unc_LP_beta",
)
PLAIN = ("PL_Index", "LP_Index", "LP_beta", "LP_SigCurv", "PLEC_SigCurv")
#: Smallest curvature of which an energy of the peak is made, and smallest error of it that is believed: below
#: these, a straight spectrum would give any value.
BETA_MIN, BETA_ERR_MIN = 0.03, 0.02
#: Farthest peak, in factors of e from 1 GeV: the band of the LAT.
PEAK_MAX = 4


def feature_table(table, coordinates=False):
    """Features of the rows of a table by their names.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Table that `~gammapy_asid.tasks.classification.tables.columns.read_catalogue` returned.
    coordinates : bool
        Whether the Galactic position is among them.

    Returns
    -------
    features : dict of `~numpy.ndarray`
        Those that the columns of the table allow, one value a row, NaN where it is not known.
    """
    features = features_of(numbers(table))
    name = column_name(table, ("Extended_Source_Name",))
    if name is not None:
        features["extended"] = (~np.isin(column_text(table[name]), ("", "--"))).astype(float)
    return features | (_coordinates(table) if coordinates else {})


def features_of(values):
    """Features of columns of numbers.

    Parameters
    ----------
    values : dict of `~numpy.ndarray`
        Columns by their names, see `~gammapy_asid.tasks.classification.tables.columns.numbers`.

    Returns
    -------
    features : dict of `~numpy.ndarray`
        Those that the columns allow.
    """
    features = _spectrum(values)
    if {"Flux_Band", "Unc_Flux_Band"} <= values.keys():
        features |= _bands(*flux_and_error(values, "Flux_Band"))
    for history, index in HISTORIES.items():
        if {history, f"Unc_{history}"} <= values.keys():
            curve = _light_curve(*flux_and_error(values, history))
            features |= {f"{history} {key}": value for key, value in curve.items()}
        if index in values and history in values:
            # A test statistic with one degree of freedom less than there are intervals; its cube root is near
            # to normal
            features[index] = np.cbrt(values[index] / (values[history].shape[1] - 1))
        elif index in values:
            features[f"{index}{ANY_TIMES}"] = np.cbrt(values[index])
    return features


def known_share(table):
    """Share of the needed columns that is known for each row of a table.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Table.
    """
    values = numbers(table)
    return np.mean([np.isfinite(values[name]) for name in NEEDED], axis=0)


def _spectrum(values):
    """Brightness, spectrum, curvature and size of the error ellipse."""
    features = {name: _log(values[name]) for name in LOGARITHMS if name in values}
    features |= {name: values[name] for name in PLAIN if name in values}
    beta, index = values["LP_beta"], values["LP_Index"]
    peak = _log(values["Pivot_Energy"] / 1000) + (2 - index) / (2 * np.maximum(beta, BETA_MIN))
    features["peak"] = np.clip(peak, -PEAK_MAX, PEAK_MAX)
    if "LP_SigCurv" in values:
        features["log LP_SigCurv"] = np.log1p(np.maximum(values["LP_SigCurv"], 0))
        if "PLEC_SigCurv" in values:
            features["cutoff"] = values["PLEC_SigCurv"] - values["LP_SigCurv"]
    if "Unc_LP_beta" in values:
        features["beta in errors"] = beta / np.maximum(values["Unc_LP_beta"], BETA_ERR_MIN)
    if "Conf_95_SemiMajor" in values:
        # Errors of points fall with the significance: what is left tells extension, confusion and hardness
        features["ellipse"] = features["Conf_95_SemiMajor"] + features["Signif_Avg"]
    return features


def _bands(flux, error):
    """Hardness from band to band, towards 0 where errors are large, and errors of the bands in the middle."""
    if flux.shape[1] > len(EDGES) - 1:
        flux, error = flux.copy(), error.copy()
        flux[:, -2] += flux[:, -1]
        error[:, -2] = np.hypot(error[:, -2], error[:, -1])
        flux, error = flux[:, :-1], error[:, :-1]
    # Energy flux of a spectrum of index 2
    scale = EDGES[:-1] * EDGES[1:] / np.diff(EDGES)
    flux, error = flux * scale, error * scale
    total = flux[:, 1:] + flux[:, :-1] + (error[:, 1:] + error[:, :-1]) / 2
    hardness = (flux[:, 1:] - flux[:, :-1]) / total
    features = {f"hardness {band}": value for band, value in enumerate(hardness.T)}
    # The first and the last band hold too little of most sources
    return features | {f"error {band}": _log(error[:, band]) for band in range(1, flux.shape[1] - 1)}


def _light_curve(flux, error):
    """Departures of a light curve from a steady source, in its errors and as shares of its mean."""
    weight = error**-2.0
    # No mean below a small part of the errors: shares of it would mean nothing
    mean = np.maximum((flux * weight).sum(axis=1) / weight.sum(axis=1), 0.01 * error.min(axis=1))[:, None]
    departure = (flux - mean) / error
    excess = ((flux - mean) ** 2 - error**2).mean(axis=1) / mean[:, 0] ** 2
    ordered = np.sort(departure, axis=1)
    return {
        "chi2": np.cbrt((departure**2).sum(axis=1) / (flux.shape[1] - 1)),
        "scatter": np.sign(excess) * np.sqrt(np.abs(excess)),
        "peak": _log(np.maximum(flux.max(axis=1), 1e-3 * error.max(axis=1)) / mean[:, 0]),
        "error": _log(error.mean(axis=1) / mean[:, 0]),
        "highest": ordered[:, -1],
        "second": ordered[:, -2],
        "memory": np.arcsinh((departure[:, 1:] * departure[:, :-1]).mean(axis=1)),
    }


def flux_and_error(values, name):
    """Fluxes and their symmetric errors; of upper limits, without lower error, the upper error is meant.

    Parameters
    ----------
    values : dict of `~numpy.ndarray`
        Columns by their names.
    name : str
        Name of the fluxes.

    Returns
    -------
    flux, error : `~numpy.ndarray`
        Shape ``(n, n_fluxes)``, NaN where an error is not known.

    Raises
    ------
    ValueError
        If there are not as many errors as fluxes.
    """
    low, high = np.moveaxis(values[f"Unc_{name}"], -1, 0)
    error = np.where(np.isfinite(low), (np.abs(low) + high) / 2, high)
    if error.shape != values[name].shape:
        raise ValueError(f"The columns {name} and Unc_{name} must have the same number of values a row")
    return values[name], np.where(error > 0, error, np.nan)


def _coordinates(table):
    galactic = table_positions(table, "The table").transform_to("galactic")
    latitude = np.abs(galactic.b.deg)
    return {
        "latitude": latitude,
        "log latitude": np.log1p(latitude),
        "root latitude": np.sqrt(np.sin(np.deg2rad(latitude))),
        "centre": np.cos(galactic.l.rad),
    }


def _log(values):
    return np.log(np.where(values > 0, values, np.nan))
