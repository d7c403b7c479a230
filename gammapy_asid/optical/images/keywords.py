# Licensed under a 3-clause BSD style license - see LICENSE
"""What the header of an image tells of its detector: unit, gain, saturation and zero point."""

import logging
import re
import warnings

import astropy.units as u
import numpy as np
from astropy.wcs import WCS, FITSFixedWarning

__all__ = ["celestial_wcs", "checked_wcs", "gain_of", "saturation_of", "unit_of", "zero_point_of"]

log = logging.getLogger(__name__)

#: Keywords in the order in which they are looked for.
GAIN = ("GAIN", "EGAIN", "CCDGAIN", "GAIN1", "GAINA")
SATURATION = ("SATURATE", "SATLEVEL", "SATURLEV", "SATURAT", "TSATUR")
ZERO_POINT = ("MAGZERO", "MAGZPT", "MAGZP", "MAG_ZP", "PHOTZP", "ZEROPNT", "ZPT", "MAG0")
EXPOSURE = ("EXPTIME", "EXPOSURE", "TELAPSE")

#: Counts of a detector and electrons, each of them also a second, in the ways that they are written.
COUNTED = re.compile(
    r"(?P<electron>e|e-|electrons?|elec)|(?P<adu>adus?|dn|counts?|cts?|data ?numbers?)", re.IGNORECASE
)
PER_SECOND = re.compile(
    r"\s*(/\s*|\bper\s+)(s|secs?|seconds?)$|[\s.*]+(s|sec|second)(\^|\*\*)?\(?-1\)?$", re.IGNORECASE
)


def unit_of(text):
    """Unit of what a header has in BUNIT.

    Parameters
    ----------
    text : str, `~astropy.units.Unit` or None
        Unit as it is written.

    Returns
    -------
    unit : `~astropy.units.UnitBase` or None
        None where there is none or nobody knows it. Numbers of counts of any name are `~astropy.units.adu`.
    """
    if text is None or not str(text).strip():
        return None
    name = str(text).strip()
    if name.lower() in ("nanomaggies", "nanomaggy"):
        return u.Unit("nmgy")
    rest, seconds = PER_SECOND.subn("", name)
    counted = COUNTED.fullmatch(rest)
    if counted:
        unit = u.electron if counted["electron"] else u.adu
        return unit / u.s if seconds else unit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", u.UnitsWarning)
        unit = u.Unit(name, parse_strict="silent")
    return None if isinstance(unit, u.UnrecognizedUnit) else unit


def _number(header, names, name, is_good):
    """First keyword with a good number, and its name; bad ones are named in a warning."""
    for keyword in names:
        if keyword not in header:
            continue
        try:
            value = float(getattr(header[keyword], "value", header[keyword]))
        except (TypeError, ValueError):
            value = np.nan
        if is_good(value):
            return value, keyword
        log.warning(f"{name}: {keyword} = {header[keyword]!r} in the header makes no sense and is not used.")
    return None, None


def _is_positive(value):
    return np.isfinite(value) and value > 0


def gain_of(header, unit, name):
    """Electrons in one unit of the data.

    Parameters
    ----------
    header : `~astropy.io.fits.Header` or dict
        Header.
    unit : `~astropy.units.UnitBase` or None
        Unit of the data; None is taken for counts of the detector, the usual case of a header without BUNIT.
    name : str
        Name of the image, for warnings.

    Returns
    -------
    gain : float or None
        None where nothing tells it, as for calibrated units.
    origin : str or None
        Keyword that told it.
    """
    effective, keyword = _number(header, ("EFFGAIN",), name, _is_positive)
    if effective is not None:
        return effective, keyword
    if unit == u.electron:
        return 1.0, "unit"
    if unit == u.electron / u.s:
        return _number(header, EXPOSURE, name, _is_positive)
    if unit not in (None, u.adu, u.adu / u.s):
        return None, None
    gain, keyword = _number(header, GAIN, name, _is_positive)
    if gain is None or unit != u.adu / u.s:
        return gain, keyword
    seconds, time = _number(header, EXPOSURE, name, _is_positive)
    return (None, None) if seconds is None else (gain * seconds, f"{keyword} and {time}")


def saturation_of(header, name):
    """Value from which on pixels are saturated.

    Parameters
    ----------
    header : `~astropy.io.fits.Header` or dict
        Header.
    name : str
        Name of the image, for warnings.

    Returns
    -------
    saturation : float or None
        In the unit of the data.
    origin : str or None
        Keyword that told it.
    """
    return _number(header, SATURATION, name, _is_positive)


def zero_point_of(header, unit, name):
    """Magnitude of one unit of the data.

    A keyword is taken as it is. Calibrated units and the keywords of HST give AB magnitudes.

    Parameters
    ----------
    header : `~astropy.io.fits.Header` or dict
        Header.
    unit : `~astropy.units.UnitBase` or None
        Unit of the data.
    name : str
        Name of the image, for warnings.

    Returns
    -------
    zero_point : float or None
        In magnitudes.
    origin : str or None
        What told it.
    """
    if unit is not None and unit.is_equivalent(u.Jy):
        return float((1 * unit).to_value(u.ABmag)), "unit"
    if unit is not None and unit.is_equivalent(u.mgy):
        return float(-2.5 * np.log10(unit.to(u.mgy))), "unit"
    if unit is not None and unit.is_equivalent(u.Jy / u.sr):
        area, keyword = _number(header, ("PIXAR_SR",), name, _is_positive)
        return (None, None) if area is None else (float((area * u.sr * unit).to_value(u.ABmag)), keyword)
    zero_point, keyword = _number(header, ZERO_POINT, name, lambda value: np.isfinite(value) and value != 0)
    if zero_point is not None:
        return zero_point, keyword
    per_flux, _ = _number(header, ("PHOTFLAM",), name, _is_positive)
    pivot, _ = _number(header, ("PHOTPLAM",), name, _is_positive)
    seconds, _ = (1.0, None) if unit == u.electron / u.s else _number(header, EXPOSURE, name, _is_positive)
    if None in (per_flux, pivot, seconds) or unit not in (u.electron, u.electron / u.s):
        return None, None
    # ACS Data Handbook: AB zero point of electrons a second
    per_second = -2.5 * np.log10(per_flux) - 5 * np.log10(pivot) - 2.408
    return per_second + 2.5 * np.log10(seconds), "PHOTFLAM and PHOTPLAM"


def celestial_wcs(header, hdus=None):
    """Celestial world coordinates of a header, None where it has none that work.

    Parameters
    ----------
    header : `~astropy.io.fits.Header`
        Header.
    hdus : `~astropy.io.fits.HDUList`, optional
        The file, for tables of distortions.

    Returns
    -------
    wcs : `~astropy.wcs.WCS` or None
        World coordinates of the two axes of the image.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        # What a broken header raises depends on what is broken
        try:
            wcs = WCS(header, hdus)
        except Exception:
            return None
    return checked_wcs(wcs)


def checked_wcs(wcs):
    """World coordinates, None where they are not celestial, do not work or are not those of FITS.

    Parameters
    ----------
    wcs : object
        World coordinates of any kind, or None.

    Returns
    -------
    wcs : `~astropy.wcs.WCS` or None
        World coordinates of the two axes of the image, the same object where it has no others.
    """
    if not isinstance(wcs, WCS) or not wcs.has_celestial:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FITSFixedWarning)
            wcs = wcs if wcs.naxis == 2 else wcs.celestial
            works = np.isfinite(wcs.wcs_pix2world([[0.0, 0.0]], 0)).all()
    except Exception:
        return None
    return wcs if works else None
