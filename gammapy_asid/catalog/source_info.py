# Licensed under a 3-clause BSD style license - see LICENSE
"""What is known of one source of the catalogue, as text."""

import astropy.units as u
import numpy as np
from gammapy.catalog.fermi import format_flux_points_table

from ..display.numbers import fixed, rounded
from .columns import CandidateFlag

__all__ = ["PARTS", "source_info"]


def source_info(source, info="all"):
    """Summary of a source, in the order of Gammapy's catalogues.

    Parameters
    ----------
    source : `~gammapy_asid.catalog.source_catalog.SourceCatalogObjectASID`
        Source.
    info : str
        ``all``, or some of ``basic``, ``more``, ``position``, ``spectral`` and ``points``, with commas.

    Returns
    -------
    text : str
        Text.

    Raises
    ------
    ValueError
        If there is no such part.
    """
    wanted = list(PARTS) if info == "all" else [own.strip() for own in info.split(",")]
    strange = sorted(set(wanted) - set(PARTS))
    if strange:
        raise ValueError(f"There is no part {', '.join(strange)}: give all, or some of {', '.join(PARTS)}")
    text = []
    for name, (title, lines) in PARTS.items():
        found = lines(source) if name in wanted else []
        if found:
            text += [f"\n*** {title} ***\n", *found]
    return "\n".join(text) + "\n"


def _lines(source, rows):
    """Lines of the values that are known."""
    lines = []
    for head, column, *error in rows:
        value = source.data.get(column)
        if value is None or str(value) == "" or _is_unknown(value):
            continue
        unit = getattr(value, "unit", None)
        text = str(value)
        if not isinstance(value, str):
            own = source.data.get(error[0]) if error else None
            number, error = u.Quantity(value).value, None if own is None else u.Quantity(own, unit).value
            text = fixed(number, 4) if unit == "deg" and own is None else rounded(number, error, 4)
        lines.append(f"{head:<22} : {text} {unit or ''}".rstrip())
    return lines


def _is_unknown(value):
    return not isinstance(value, str) and not np.all(np.isfinite(u.Quantity(value).value))


def _basic(source):
    rows = (
        ("Score", "Score"),
        ("Association", "ASSOC1"),
        ("Catalogue of that", "ASSOC_CAT"),
        ("Probability of that", "ASSOC_PROB_BAY"),
        ("Class", "Source_Class"),
    )
    head = [f"{'Row':<22} : {source.row_index}", f"{'Name':<22} : {source.name}"]
    return head + _lines(source, rows) + [f"{'Flags':<22} : {_flags(source)}"]


def _flags(source):
    return CandidateFlag.text(source.data["Flags"]) or "none"


def _more(source):
    rows = (
        ("Probability of AGN", "Prob_AGN"),
        ("Probability of PSR", "Prob_PSR"),
        ("Probability of PWN-SNR", "Prob_PWN_SNR"),
        ("Probability to be real", "Real_Prob"),
        ("TS", "TS"),
        ("TS of extension", "TS_Ext"),
        ("Fitted width", "Fit_Sigma", "Unc_Fit_Sigma"),
    )
    meanings = [f"{bit.word:<22} : {bit.meaning}" for bit in CandidateFlag.bits(source.data["Flags"])]
    return _lines(source, rows) + meanings


def _position(source):
    rows = (
        ("RA", "RAJ2000"),
        ("DEC", "DEJ2000"),
        ("GLON", "GLON"),
        ("GLAT", "GLAT"),
        ("Semimajor (68%)", "Conf_68_SemiMajor"),
        ("Semiminor (68%)", "Conf_68_SemiMinor"),
        ("Position angle (68%)", "Conf_68_PosAng"),
        ("Semimajor (95%)", "Conf_95_SemiMajor"),
        ("Semiminor (95%)", "Conf_95_SemiMinor"),
    )
    return _lines(source, rows)


def _spectral(source):
    flux = "Flux1000" if "Flux1000" in source.data else "Flux"
    rows = (
        ("Lowest energy", "E_Min"),
        ("Highest energy", "E_Max"),
        ("Flux", flux, f"Unc_{flux}"),
        ("Upper limit, 95 %", "UL_Flux"),
        ("Fitted spectrum", "SpectrumType"),
        ("Fitted flux", "Fit_Flux", "Unc_Fit_Flux"),
        ("Pivot energy", "Pivot_Energy"),
        ("Index", "Index", "Unc_Index"),
        ("beta", "LP_beta", "Unc_LP_beta"),
    )
    return _lines(source, rows)


def _points(source):
    try:
        points = source.flux_points
    except ValueError:
        return []
    table = points.to_table(sed_type="flux", format="gadf-sed")
    return format_flux_points_table(table).pformat(max_width=-1, max_lines=-1)


#: Parts of the summary, with their titles.
PARTS = {
    "basic": ("Basic info", _basic),
    "more": ("More info", _more),
    "position": ("Position info", _position),
    "spectral": ("Spectral info", _spectral),
    "points": ("Spectral points", _points),
}
