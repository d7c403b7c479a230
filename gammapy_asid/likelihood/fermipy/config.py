# Licensed under a 3-clause BSD style license - see LICENSE
"""Configuration of fermipy with candidates in its model."""

import math
import re
from pathlib import Path, PurePath

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from gammapy.utils.scripts import make_path

from ...utils.plain_yaml import read_yaml
from .results import source_key
from .sources import source_dicts

__all__ = ["CONFIG", "fermipy_config"]

#: What a configuration starts from: P8R3 SOURCE events of all types in one square region, without those
#: from near the horizon of the Earth, and the diffuse models of 4FGL.
CONFIG = {
    "data": {},
    "binning": {"projtype": "WCS", "proj": "AIT", "coordsys": "CEL", "binsz": 0.1, "binsperdec": 8},
    "selection": {
        "zmax": 90.0,
        "evclass": 128,
        "evtype": 3,
        "filter": "(DATA_QUAL>0)&&(LAT_CONFIG==1)",
    },
    "gtlike": {"irfs": "P8R3_SOURCE_V3", "edisp": True, "edisp_bins": -1, "edisp_disable": ["isodiff"]},
    "model": {
        "galdiff": "$FERMI_DIFFUSE_DIR/gll_iem_v07.fits",
        "isodiff": "$FERMI_DIFFUSE_DIR/iso_P8R3_SOURCE_V3_v1.txt",
    },
}

#: Sections of a configuration of fermipy.
SECTIONS = (
    "binning components curvature data extension fileio gtlike lightcurve localize logging ltcube mc model "
    "optimizer plotting psmap residmap roiopt sed selection sourcefind tscube tsmap"
).split()

#: Characters that XML can't hold.
NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")

#: Units in which fermipy takes energies, angles, times and plain numbers.
UNITS = (u.MeV, u.deg, u.s, u.dimensionless_unscaled)

#: Energies in GeV where the candidates do not tell theirs: where the model ``lat`` sees most.
ENERGY_RANGE = (1.0, 1000.0)
#: Smallest and largest side of the region in deg, and its margin around the outermost candidates: fermipy's
#: usual side; above 40 deg a plane map is distorted; the point spread function is 3 deg wide at 200 MeV.
ROI_WIDTH, ROI_WIDTH_MAX, ROI_MARGIN = 10.0, 40.0, 3.0
#: Sources of catalogues are taken from a square that is larger by this, in deg: their PSF reaches in.
CATALOG_MARGIN = 10.0


def fermipy_config(candidates, evfile=None, scfile=None, ltcube=None, roi_width=None, config=None):
    """Configuration of fermipy with candidates in its model.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates, at least one.
    evfile, scfile, ltcube : str or path, optional
        Events (FT1, or a text file that lists several), spacecraft file (FT2), livetime cube.
    roi_width : float or `~astropy.units.Quantity`, optional
        Side of the region, in deg. By default 10 deg, or what the candidates need with a margin.
    config : dict, str or path, optional
        Configuration of your own, or its YAML file. What it says takes precedence over `CONFIG` and
        over what is derived from the candidates, which are added to its sources or replace those of
        the same name. Its output folders are dropped: fermipy writes next to the configuration.

    Returns
    -------
    config : dict
        Configuration. Relative paths of data that exist are made absolute.

    Raises
    ------
    FileNotFoundError
        If `config` is a file that does not exist.
    ValueError
        If there is no candidate, no events or spacecraft file, no configuration of fermipy in `config`,
        names that fermipy can't tell apart, or if the candidates are too far apart for one region.
    """
    if not len(candidates):
        raise ValueError("There are no candidates to hand over to fermipy")
    own, folder = _own_config(config)
    full = CONFIG | own | {name: section | own.get(name, {}) for name, section in CONFIG.items()}
    files = {"evfile": evfile, "scfile": scfile, "ltcube": ltcube}
    full["data"] = _data(own.get("data", {}), files, folder)
    _check_data(full)
    centre, width = _region(candidates, full["selection"], full["binning"], roi_width)
    full["binning"] = full["binning"] | {"roiwidth": width}
    full["selection"] = centre | _energies(candidates, full["selection"]) | full["selection"]
    full["model"] = _model(own, width, _sources(candidates))
    # fermipy writes next to the configuration
    fileio = {name: v for name, v in own.get("fileio", {}).items() if name not in ("outdir", "workdir")}
    full.pop("fileio", None)
    return full | ({"fileio": fileio} if fileio else {})


def _sources(candidates):
    """Dictionaries of the candidates, whose names fermipy can tell apart."""
    sources = source_dicts(candidates)
    names = {}
    for source in sources:
        other = names.setdefault(source_key(source["name"]), source["name"])
        if other != source["name"]:
            raise ValueError(f"{other!r} and {source['name']!r} are one name for fermipy: rename a candidate")
        if NO_XML.search(source["name"]):
            raise ValueError(f"The name {source['name']!r} can't be written to XML: rename the candidate")
    return sources


def _data(own, files, folder):
    """Section of the data, absolute: paths of arguments start here, those of a file at the file."""
    data = {name: _absolute(value, folder) if name in files else value for name, value in own.items()}
    named = {name: str(make_path(file)) for name, file in files.items() if file is not None}
    return data | {name: _absolute(value, Path()) for name, value in named.items()}


def _model(own, width, new):
    """Section of the model, with new sources; one that was handed over before is replaced."""
    # Without a limit fermipy would take a whole catalogue
    model = {"src_roiwidth": width + CATALOG_MARGIN} | CONFIG["model"] | own.get("model", {})
    for name in _other_diffuse(own):
        model.pop(name)
    names = {source_key(source["name"]) for source in new}
    old = model.get("sources") or []
    return model | {"sources": [s for s in old if source_key(s.get("name", "")) not in names] + new}


def _own_config(config):
    """Configuration of the user, and the folder that its paths start from."""
    folder = Path()
    if config is None:
        return {}, folder
    what = "The configuration"
    if not isinstance(config, dict):
        path = make_path(config)
        what, folder = str(path), path.parent
        config = read_yaml(path)
    if not isinstance(config, dict) or not config:
        raise ValueError(f"{what} is no configuration of fermipy: it has no sections")
    strange = [str(name) for name in config if name not in SECTIONS]
    if strange:
        raise ValueError(
            f"{what} is no configuration of fermipy: it has no section {', '.join(strange)}, "
            f"but {', '.join(SECTIONS)}"
        )
    # A section without a line is None in YAML
    config = {name: _plain(section, name) for name, section in config.items() if section is not None}
    wrong = [n for n, s in config.items() if not isinstance(s, list if n == "components" else dict)]
    if wrong:
        raise ValueError(f"{what} is no configuration of fermipy: {', '.join(wrong)} must be a section")
    lists = {
        "components": config.get("components", []),
        "model: sources": config.get("model", {}).get("sources") or [],
    }
    for name, entries in lists.items():
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(f"{what} is no configuration of fermipy: {name} must be a list of sections")
    return config, folder


def _plain(value, where):
    """A value of a configuration in what YAML holds, quantities in the units of fermipy.

    Parameters
    ----------
    value : object
        Value: numbers, texts, paths, quantities, and lists and dictionaries of them.
    where : str
        Its place in the configuration, for messages.

    Raises
    ------
    ValueError
        If it is something else, or no number.
    """
    if isinstance(value, u.Quantity):
        value = _in_fermipy_units(value, where)
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where} is {value}: give a number")
    if isinstance(value, dict):
        return {str(key): _plain(part, f"{where}: {key}") for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, where) for part in value]
    if isinstance(value, str | PurePath):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    raise ValueError(
        f"{where} is a {type(value).__name__}, which a configuration of fermipy can't hold: "
        "give a number or a text"
    )


def _in_fermipy_units(quantity, where):
    unit = next((unit for unit in UNITS if quantity.unit.is_equivalent(unit)), None)
    if unit is None:
        raise ValueError(f"{where} is in {quantity.unit}: fermipy knows energies, angles and times only")
    return quantity.to_value(unit)


def _absolute(value, folder):
    """A path that exists made absolute; what else stands there, such as a name with variables, as it is."""
    if isinstance(value, str) and (folder / value).exists():
        return str((folder / value).resolve())
    return value


def _check_data(config):
    """An error where a configuration has no events or no spacecraft file, also not in its components."""
    places = [config["data"]] + [part.get("data") or {} for part in config.get("components", ())]
    for name, what in (("evfile", "events (FT1)"), ("scfile", "spacecraft file (FT2)")):
        if not any(place.get(name) for place in places):
            raise ValueError(f"fermipy needs the {what}: give {name}, or a config that has data: {name}")


def _other_diffuse(own):
    """Diffuse models of `CONFIG` that a configuration replaces in another way."""
    model = own.get("model", {})
    parts = [part.get("model") or {} for part in own.get("components", ())]
    every = [model, *parts]
    if any(place.get("diffuse") or place.get("diffuse_xml") for place in every):
        return [name for name in CONFIG["model"] if name not in model]
    return [name for name in CONFIG["model"] if name not in model and any(name in part for part in parts)]


def _region(candidates, selection, binning, roi_width):
    """Centre as entries of the selection, and width in deg."""
    positions = candidates.positions
    frames = {"ra": ("dec", "icrs"), "glon": ("glat", "galactic")}
    found = [(lon, *rest) for lon, rest in frames.items() if selection.get(lon) is not None]
    if selection.get("target") is not None:
        centre, entries = None, {}
    elif found:
        centre, entries = _centre(selection, *found[0]), {}
    else:
        mean = positions.cartesian.mean()
        centre = SkyCoord(mean, frame="icrs")
        centre = SkyCoord(centre.spherical.lon, centre.spherical.lat, frame="icrs")
        entries = {"ra": float(centre.ra.deg), "dec": float(centre.dec.deg)}
    if roi_width is not None:
        return entries, _width("roi_width", roi_width)
    if binning.get("roiwidth") is not None:
        return entries, _width("binning: roiwidth", binning["roiwidth"])
    if centre is None:
        return entries, ROI_WIDTH
    reach = float(positions.separation(centre).deg.max())
    width = max(ROI_WIDTH, math.ceil(2 * (reach + ROI_MARGIN)))
    if width > ROI_WIDTH_MAX:
        raise ValueError(
            f"The candidates reach {reach:.1f} deg from their centre, too far for one likelihood fit: "
            "hand over those of one field at a time, or give roi_width"
        )
    return entries, float(width)


def _centre(selection, lon, lat, frame):
    """Centre of the region from its two angles in the selection."""
    try:
        return SkyCoord(selection[lon], selection[lat], unit="deg", frame=frame)
    except (KeyError, TypeError, ValueError):
        got = f"{selection[lon]!r} and {selection.get(lat)!r}"
        raise ValueError(f"selection: {lon} and {lat} must be two angles in deg, got {got}") from None


def _width(name, roi_width):
    """Side of the region in deg from an argument."""
    try:
        if isinstance(roi_width, bool | np.bool_):
            raise TypeError
        width = float(u.Quantity(roi_width, "deg").value)
    except (TypeError, ValueError, u.UnitConversionError):
        raise ValueError(f"{name} is an angle, got {roi_width!r}: give degrees or a Quantity") from None
    if not 0 < width <= 180:
        raise ValueError(f"{name} must be between 0 and 180 deg, got {width:g}")
    return width


def _energies(candidates, selection):
    """Ends of the range of energies in MeV as entries of the selection, which may state its own."""
    if selection.get("logemin") is not None or selection.get("logemax") is not None:
        return {}
    low, high = candidates.meta.get("energy_range") or ENERGY_RANGE
    return {"emin": float(low) * 1e3, "emax": float(high) * 1e3}
