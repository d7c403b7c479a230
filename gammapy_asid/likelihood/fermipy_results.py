# Licensed under a 3-clause BSD style license - see LICENSE
"""Results of fermipy as candidates."""

import json
import logging
import pickle
from dataclasses import dataclass, field
from xml.etree import ElementTree

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable, Table
from gammapy.modeling.models import LogParabolaSpectralModel, PowerLawSpectralModel
from gammapy.utils.scripts import make_path

from ..candidates import COLUMNS, FIT_COLUMNS, CandidateFlag, Candidates
from ..ellipses import RADIUS_68, RADIUS_95
from ..fluxes import integral_flux
from .fermipy_npy import load_results

__all__ = ["WIDTH_IN_SIGMA", "read_fermipy", "source_key"]

log = logging.getLogger(__name__)

#: Width of a Gaussian in fermipy, its radius of 68.27 %, in standard deviations per axis.
WIDTH_IN_SIGMA = 1.5095921854516636

#: Spectra that have a counterpart here, and their parameters: level, index or alpha, reference, beta.
SPECTRA = {
    "PowerLaw": ("Prefactor", "Index", "Scale", None),
    "LogParabola": ("norm", "alpha", "Eb", "beta"),
}
#: Shapes of single sources; all else is diffuse emission.
SHAPES = ("PointSource", "SkyDirFunction", "Gaussian", "RadialGaussian", "RadialDisk", "SpatialMap")
#: Energies in GeV of the flux where a file does not tell those of the analysis: fermipy's flux1000.
FLUX1000 = (1.0, 10**2.5)
#: Longest name of a candidate.
NAME_LENGTH = int(COLUMNS[0].dtype[1:])


@dataclass
class Source:
    """A source as fermipy has it, the same from all kinds of files.

    Parameters
    ----------
    name : str
        Name.
    ra, dec : float
        Position in deg.
    spectrum : str
        Type of the spectrum.
    parameters : dict
        Name of a parameter of the spectrum to its value and error, energies in MeV.
    shape : str
        Spatial model.
    values : dict
        Other values by their names in fermipy, as far as known.
    """

    name: str
    ra: float
    dec: float
    spectrum: str
    parameters: dict
    shape: str
    values: dict = field(default_factory=dict)

    def get(self, name):
        """A value, NaN where there is none."""
        value = self.values.get(name)
        return np.nan if value is None or np.ma.is_masked(value) else float(value)


@dataclass
class Analysis:
    """Content of a file.

    Parameters
    ----------
    sources : list of `Source`
        Sources.
    energies : tuple of float, optional
        Ends of the range of energies of the analysis in GeV.
    coordsys : str, optional
        ``CEL`` or ``GAL``, the frame of its maps.
    version : str, optional
        Version of fermipy.
    """

    sources: list
    energies: tuple = None
    coordsys: str = None
    version: str = None


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
        With the columns `~gammapy_asid.candidates.FIT_COLUMNS`. Without `candidates`: all sources of the
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
    readers = {".npy": _read_npy, ".fits": _read_fits, ".fit": _read_fits, ".xml": _read_xml}
    if path.suffix not in readers:
        raise ValueError(f"{path} is no result of fermipy: give a file .npy, .fits or .xml")
    if not path.is_file():
        raise FileNotFoundError(f"No such file: {path}")
    analysis = readers[path.suffix](path)
    for source in analysis.sources:
        source.values |= _extension(path, source)
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
    return candidates.with_columns(_columns(rows), np.where(found, 0, CandidateFlag.FIT_FAILED), meta)


def source_key(name):
    """Name as fermipy compares it, whatever its case and blanks."""
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
    names = [source.name for source in sources]
    for name in names:
        if len(name) > NAME_LENGTH:
            log.warning(f"The name {name!r} is cut to {NAME_LENGTH} characters")
    columns = _columns(rows)
    columns["name"] = np.array(names, dtype=COLUMNS[0].dtype)
    return candidates.with_columns(columns)


def _columns(rows):
    table = QTable()
    for column in FIT_COLUMNS:
        empty = "" if column.dtype.startswith("U") else np.nan
        values = np.array([row.get(column.name, empty) for row in rows], dtype=column.dtype)
        table[column.name] = values if column.unit is None else u.Quantity(values, column.unit)
    return table


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
        "fit_flux": integral_flux(law, *(e_range * u.GeV)).to_value("cm-2 s-1"),
        "fit_spectrum": kind,
        "fit_e_ref": reference / 1e3,
        "fit_index": index,
        "fit_index_err": index_err,
        "fit_beta": beta,
        "fit_beta_err": beta_err,
    }


def _extension(path, source):
    """What ``gta.extension`` wrote for a source, if anything."""
    own = source.values.get("extension")
    if isinstance(own, dict):
        return {name: own.get(name) for name in ("ts_ext", "ext", "ext_err")}
    file = path.parent / f"{source.name.lower().replace(' ', '_')}_ext.fits"
    if not file.is_file():
        return {}
    try:
        row = Table.read(file, format="fits", hdu="EXT_DATA", mask_invalid=False)[0]
        return {name: float(row[name]) for name in ("ts_ext", "ext", "ext_err")}
    except (OSError, KeyError, IndexError) as error:
        raise ValueError(f"{file} was not written by gta.extension: {error}") from None


def _read_npy(path):
    try:
        data = load_results(path)
    except (pickle.UnpicklingError, ValueError, EOFError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path} was not written by gta.write_roi of fermipy: {error}") from None
    missing = [name for name in ("sources", "roi", "config") if not isinstance(_dict(data).get(name), dict)]
    if missing:
        raise ValueError(
            f"{path} was not written by gta.write_roi of fermipy: it has no {', '.join(missing)}"
        )
    try:
        sources = [
            Source(
                name=str(source["name"]),
                ra=float(source["ra"]),
                dec=float(source["dec"]),
                spectrum=_text(source["SpectrumType"]),
                parameters=_true_values(source["spectral_pars"]),
                shape=_text(source["SpatialModel"]),
                values=source,
            )
            for source in data["sources"].values()
            if _text(source["SpatialModel"]) in SHAPES
        ]
        energies = data["roi"].get("energies")
        edges = None if energies is None else (float(energies[0]) / 1e3, float(energies[-1]) / 1e3)
        coordsys = data["config"].get("binning", {}).get("coordsys")
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is no complete result of gta.write_roi: {error!r}") from None
    return Analysis(sources, edges, coordsys, data.get("version"))


def _dict(value):
    return value if isinstance(value, dict) else {}


def _text(value):
    return (value.decode() if isinstance(value, bytes) else str(value)).strip()


def _true_values(parameters):
    """Values and errors of parameters without their scales."""
    return {
        name: (
            float(p["value"]) * float(p["scale"]),
            float(p.get("error", np.nan)) * abs(float(p["scale"])),
        )
        for name, p in parameters.items()
    }


def _read_fits(path):
    needed = "Source_Name ts RAJ2000 DEJ2000 SpectrumType SpatialModel param_names param_values param_errors"
    try:
        with fits.open(path, memmap=False) as hdulist:
            if "CATALOG" not in hdulist or not set(needed.split()) <= set(hdulist["CATALOG"].columns.names):
                raise ValueError("it has no table CATALOG with the columns of fermipy")
            table = Table.read(hdulist["CATALOG"], mask_invalid=False)
            config = _config(hdulist["CATALOG"].header)
            energies = None
            if "ROI" in hdulist and "energies" in hdulist["ROI"].columns.names:
                edges = np.asarray(hdulist["ROI"].data["energies"][0], dtype=float) / 1e3
                energies = float(edges[0]), float(edges[-1])
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path} was not written by gta.write_roi of fermipy: {error}") from None
    table.convert_bytestring_to_unicode()
    sources = [
        Source(
            name=str(row["Source_Name"]).strip(),
            ra=float(row["RAJ2000"]),
            dec=float(row["DEJ2000"]),
            spectrum=str(row["SpectrumType"]).strip(),
            parameters={
                # The sign of an error may be that of the scale
                str(name).strip(): (float(value), abs(float(error)))
                for name, value, error in zip(
                    row["param_names"], row["param_values"], row["param_errors"], strict=True
                )
                if str(name).strip()
            },
            shape=str(row["SpatialModel"]).strip(),
            values={
                name: row[name]
                for name in table.colnames
                if table[name].ndim == 1 and table[name].dtype.kind == "f"
            },
        )
        for row in table
        if str(row["SpatialModel"]).strip() in SHAPES
    ]
    return Analysis(sources, energies, _dict(config.get("binning")).get("coordsys"))


def _config(header):
    return _dict(json.loads(header["CONFIG"])) if "CONFIG" in header else {}


def _read_xml(path):
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{path} is no XML file: {error}") from None
    if root.tag != "source_library":
        raise ValueError(f"{path} is no source library of fermipy or gtlike: it starts with <{root.tag}>")
    try:
        sources = [_xml_source(element) for element in root.iter("source")]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is no source library of fermipy or gtlike: {error!r}") from None
    return Analysis([source for source in sources if source is not None])


def _xml_source(element):
    """A source, None for diffuse emission."""
    name, kind = element.attrib["name"], element.attrib["type"]
    if kind == "CompositeSource":
        return None
    spectrum, place = element.find("spectrum"), element.find("spatialModel")
    if spectrum is None or place is None:
        raise ValueError(f"the source {name} has no spectrum or no spatialModel")
    shape = place.attrib["type"]
    where = _true_values({p.attrib["name"]: p.attrib for p in place.iter("parameter")})
    if shape not in SHAPES or not {"RA", "DEC"} <= where.keys():
        return None
    values = {}
    if shape == "RadialGaussian":
        values["SpatialWidth"] = where["Sigma"][0] * WIDTH_IN_SIGMA
    elif shape == "RadialDisk":
        # Both are the radius of 68 %
        values["SpatialWidth"] = where["Radius"][0] * np.sqrt(0.68)
    parameters = _true_values({p.attrib["name"]: p.attrib for p in spectrum.iter("parameter")})
    return Source(name, where["RA"][0], where["DEC"][0], spectrum.attrib["type"], parameters, shape, values)
