# Licensed under a 3-clause BSD style license - see LICENSE
"""Results of fermipy as candidates."""

import logging

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.modeling.models import LogParabolaSpectralModel, PowerLawSpectralModel
from gammapy.utils.scripts import make_path

from ...catalog.candidates import Candidates
from ...catalog.columns import CandidateFlag, fit_columns
from ...catalog.fluxes import FLUX_UNIT, integral_flux
from ...utils.sky_geometry import RADIUS_68, RADIUS_95
from .files import WIDTH_IN_SIGMA, read_analysis

__all__ = ["read_fermipy", "source_key"]

log = logging.getLogger(__name__)

#: Spectra that have a counterpart here, and their parameters: level, index or alpha, reference, beta.
SPECTRA = {
    "PowerLaw": ("Prefactor", "Index", "Scale", None),
    "LogParabola": ("norm", "alpha", "Eb", "beta"),
}
#: Energies in GeV of the flux where a file does not tell those of the analysis: fermipy's flux1000.
FLUX1000 = (1.0, 10**2.5)


def read_fermipy(filename, candidates=None):
    """Read results of fermipy.

    Parameters
    ----------
    filename : str or path
        What ``gta.write_roi`` wrote, ``.npy`` or ``.fits``, or a source library ``.xml``, which has no test
        statistic and no errors of positions. Nothing in the file is executed. Where files
        ``NAME_ext.fits`` of ``gta.extension`` lie next to it, they give the extensions.
    candidates : `~gammapy_asid.Candidates`, optional
        Candidates that were handed over. They are returned with the columns of the fit, found by their
        names; one that is not in the file is flagged ``FIT_FAILED``.

    Returns
    -------
    candidates : `~gammapy_asid.Candidates`
        With the columns `~gammapy_asid.catalog.columns.FIT_COLUMNS`. Without `candidates`: all sources of the
        file but diffuse emission, at the positions of fermipy and with its error ellipses, under its
        names; the score is NaN, since no network saw them.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If fermipy did not write it.
    """
    path = make_path(filename)
    analysis = read_analysis(path)
    meta = {"fit": {"program": f"fermipy {analysis.version or ''}".strip(), "file": path.name}}
    rows = [_row(source, analysis) for source in analysis.sources]
    others = sorted({s.spectrum for s in analysis.sources} - SPECTRA.keys())
    if others:
        log.warning(f"Of spectra that are a {' or '.join(others)} only the flux is taken over from {path}")
    if candidates is None:
        return _new_candidates(analysis, rows, meta)
    own = {source_key(source.name): row for source, row in zip(analysis.sources, rows, strict=True)}
    found = np.array([source_key(name) in own for name in candidates.table["name"]], dtype=bool)
    if len(candidates) and not found.any():
        raise ValueError(f"None of the candidates is in {path}: it is the result of other sources")
    rows = [own.get(source_key(name), {}) for name in candidates.table["name"]]
    return candidates.with_columns(fit_columns(rows), np.where(found, 0, CandidateFlag.FIT_FAILED), meta)


def source_key(name):
    """Name as fermipy compares it, whatever its case and blanks.

    Parameters
    ----------
    name : str
        Name of a source.

    Returns
    -------
    key : str
        Equal for names that are one for fermipy.
    """
    return str(name).replace(" ", "").lower()


def _new_candidates(analysis, rows, meta):
    sources = analysis.sources
    positions = SkyCoord([s.ra for s in sources], [s.dec for s in sources], unit="deg", frame="icrs")
    sigma = np.array([_axes(source) for source in sources]).reshape(-1, 2) * u.deg
    candidates = Candidates.from_positions(
        positions,
        np.full(len(sources), np.nan),
        RADIUS_68 * sigma,
        RADIUS_95 * sigma,
        np.array([row["fit_pos_angle"] for row in rows], dtype=float) * u.deg,
        meta=meta,
    )
    columns = fit_columns(rows)
    columns["name"] = np.array([source.name for source in sources], dtype=str)
    return candidates.with_columns(columns)


def _row(source, analysis):
    """Values of the columns of a fit, angles in deg, energies in GeV."""
    major, minor = _axes(source)
    row = {
        "ts": source.get("ts"),
        "sqrt_ts": np.sqrt(np.maximum(source.get("ts"), 0.0)),
        "ts_ext": source.get("ts_ext"),
        "fit_ra": source.ra % 360,
        "fit_dec": source.dec,
        "fit_semi_major_68": RADIUS_68 * major,
        "fit_semi_minor_68": RADIUS_68 * minor,
        "fit_pos_angle": _angle(source, analysis.coordsys),
    }
    # The fitted extension also where fermipy kept the point
    width = source.get("ext")
    if not np.isfinite(width) and source.shape in ("RadialGaussian", "RadialDisk"):
        width = source.get("SpatialWidth")
    row |= {"fit_sigma": width / WIDTH_IN_SIGMA, "fit_sigma_err": source.get("ext_err") / WIDTH_IN_SIGMA}
    return row | _spectrum(source, analysis.energies)


def _axes(source):
    """Standard deviations of the position along the axes of its ellipse."""
    axes = source.get("pos_err_semimajor"), source.get("pos_err_semiminor")
    return axes if np.isfinite(axes).all() else (np.nan, np.nan)


def _angle(source, coordsys):
    """Angle of the larger axis from north to east.

    fermipy counts it from the axis of longitudes of its maps, the other way round.
    """
    if coordsys not in ("CEL", "GAL"):
        return np.nan
    angle = 90 - source.get("pos_angle")
    if coordsys == "GAL":
        pole = SkyCoord(0, 90, unit="deg", frame="galactic").icrs
        angle += SkyCoord(source.ra, source.dec, unit="deg", frame="icrs").position_angle(pole).deg
    return angle % 180


def _spectrum(source, energies):
    flux, e_range = ("flux", energies) if energies else ("flux1000", FLUX1000)
    row = {"fit_e_min": e_range[0], "fit_e_max": e_range[1], "fit_flux_err": source.get(f"{flux}_err")}
    if source.spectrum not in SPECTRA:
        return row | {"fit_flux": source.get(flux)}
    names = SPECTRA[source.spectrum]
    try:
        (norm, _), (index, index_err), (reference, _) = (source.parameters[name] for name in names[:3])
        beta, beta_err = source.parameters[names[3]] if names[3] else (np.nan, np.nan)
    except KeyError as error:
        raise ValueError(f"{source.name} has no parameter {error} of a {source.spectrum}") from None
    shape = {"amplitude": norm * u.Unit("cm-2 s-1 MeV-1"), "reference": reference * u.MeV}
    if source.spectrum == "PowerLaw":
        # In fermipy it is the exponent
        index = -index
        law, kind = PowerLawSpectralModel(index=index, **shape), "pl"
    else:
        law, kind = LogParabolaSpectralModel(alpha=index, beta=beta, **shape), "lp"
    return row | {
        "fit_flux": integral_flux(law, *(e_range * u.GeV)).to_value(FLUX_UNIT),
        "fit_spectrum": kind,
        "fit_e_ref": reference / 1e3,
        "fit_index": index,
        "fit_index_err": index_err,
        "fit_beta": beta,
        "fit_beta_err": beta_err,
    }
