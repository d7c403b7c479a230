# Licensed under a 3-clause BSD style license - see LICENSE
"""Files of results of fermipy, in one form."""

import json
from dataclasses import dataclass, field
from xml.etree import ElementTree

import numpy as np
from astropy.table import Table

from ...utils.files import regular_file
from ...utils.fits_files import fits_hdus
from .npy import load_results

__all__ = ["WIDTH_IN_SIGMA", "Analysis", "Source", "read_analysis"]

#: Width of a Gaussian in fermipy, its radius of 68.27 %, in standard deviations per axis.
WIDTH_IN_SIGMA = 1.5095921854516636

#: Shapes of single sources; all else is diffuse emission.
SHAPES = ("PointSource", "SkyDirFunction", "Gaussian", "RadialGaussian", "RadialDisk", "SpatialMap")


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
        """A value.

        Parameters
        ----------
        name : str
            Its name in fermipy.

        Returns
        -------
        value : float
            Value, NaN where there is none.

        Raises
        ------
        ValueError
            If it is no number.
        """
        value = self.values.get(name)
        if value is None or np.ma.is_masked(value):
            return np.nan
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{name} of the source {self.name} is no number") from None


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


def read_analysis(path):
    """Read a file of results of fermipy.

    Parameters
    ----------
    path : `~pathlib.Path`
        File of ``gta.write_roi``, ``.npy`` or ``.fits``, or a source library ``.xml``. Nothing in it is
        executed. Files ``NAME_ext.fits`` of ``gta.extension`` next to it are read, too.

    Returns
    -------
    analysis : `Analysis`
        Content.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If fermipy did not write it.
    """
    readers = {".npy": _read_npy, ".fits": _read_fits, ".fit": _read_fits, ".xml": _read_xml}
    if path.suffix not in readers:
        raise ValueError(f"{path} is no result of fermipy: give a file .npy, .fits or .xml")
    regular_file(path)
    analysis = readers[path.suffix](path)
    for source in analysis.sources:
        source.values |= _extension(path, source)
    return analysis


def _extension(path, source):
    """What ``gta.extension`` wrote for a source, if anything."""
    own = source.values.get("extension")
    if isinstance(own, dict):
        return {name: own.get(name) for name in ("ts_ext", "ext", "ext_err")}
    name = f"{source.name.lower().replace(' ', '_')}_ext.fits"
    file = path.parent / name
    # A name that leads out of the folder is none of fermipy's
    if name != file.name or "\0" in name or not file.is_file():
        return {}
    try:
        row = Table.read(file, format="fits", hdu="EXT_DATA", mask_invalid=False)[0]
        return {name: float(row[name]) for name in ("ts_ext", "ext", "ext_err")}
    except (OSError, KeyError, IndexError) as error:
        raise ValueError(f"{file} was not written by gta.extension: {error}") from None


def _read_npy(path):
    try:
        data = load_results(path)
    except ValueError as error:
        raise ValueError(f"{path} was not written by gta.write_roi of fermipy: {error}") from None
    missing = [name for name in ("sources", "roi", "config") if not isinstance(_dict(data).get(name), dict)]
    if missing:
        raise ValueError(
            f"{path} was not written by gta.write_roi of fermipy: it has no {', '.join(missing)}"
        )
    try:
        sources = [
            Source(
                name=_text(source["name"]),
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
        version = data.get("version")
        version = None if version is None else _text(version)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is no complete result of gta.write_roi: {error!r}") from None
    return Analysis(sources, edges, coordsys, version)


def _dict(value):
    return value if isinstance(value, dict) else {}


def _text(value):
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"a {type(value).__name__} is no text")
    return str(value.decode() if isinstance(value, bytes) else value).strip()


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
        with fits_hdus(path) as hdulist:
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
