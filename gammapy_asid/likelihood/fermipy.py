# Licensed under a 3-clause BSD style license - see LICENSE
"""Hand-off of candidates to fermipy: source dictionaries, configuration, XML and a script.

Nothing here needs fermipy or the Fermitools; the script that is written does.
"""

import math
from pathlib import Path
from xml.etree import ElementTree

import astropy.units as u
import numpy as np
import yaml
from astropy.coordinates import SkyCoord
from gammapy.modeling.models import GaussianSpatialModel, LogParabolaSpectralModel, PowerLawSpectralModel
from gammapy.utils.scripts import make_path

from ..catalog import EXTENDED_TS
from ..files import new_file
from .fermipy_results import WIDTH_IN_SIGMA, read_fermipy, source_key
from .fermipy_script import analysis_script

__all__ = ["CONFIG", "fermipy_config", "read_fermipy", "source_dicts", "source_xml", "write_fermipy"]

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

#: Energies in GeV where the candidates do not tell theirs.
ENERGY_RANGE = (1.0, 1000.0)
#: Smallest and largest side of the region in deg, and its margin around the outermost candidates.
ROI_WIDTH, ROI_WIDTH_MAX, ROI_MARGIN = 10.0, 40.0, 3.0
#: Sources of catalogues are taken from a square that is larger by this, in deg: their PSF reaches in.
CATALOG_MARGIN = 10.0

# Ranges of the parameters in XML, those of fermipy; a value outside moves the end of the range.
LIMITS = {"Index": (0.0, 5.0), "alpha": (-5.0, 5.0), "beta": (-2.0, 2.0), "Sigma": (0.0, 180.0)}
LIMITS |= {"RA": (-360.0, 360.0), "DEC": (-90.0, 90.0)}
NORMS = {"PowerLaw": "Prefactor", "LogParabola": "norm"}


def source_dicts(candidates):
    """Candidates as source dictionaries of fermipy.

    They are the models of `gammapy_asid.Candidates.to_models`: position of the candidate; fitted
    spectrum where a likelihood fit gave one, otherwise a power law of index 2 with the estimated flux;
    a Gaussian where the fit found an extension. ``gta.add_source(source["name"], source)`` takes one.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.

    Returns
    -------
    sources : list of dict
        Numbers and strings only. Energies are in MeV, angles in deg, ``Index`` is positive for a
        falling spectrum and ``SpatialWidth`` is the radius of 68 % as fermipy has it.
    """
    return [_source_dict(model) for model in candidates.to_models()]


def _source_dict(model):
    position = model.spatial_model.position.icrs
    source = {"name": model.name, "ra": float(position.ra.deg), "dec": float(position.dec.deg)}
    law = model.spectral_model
    norm = float(law.amplitude.quantity.to_value("cm-2 s-1 MeV-1"))
    reference = float(law.reference.quantity.to_value("MeV"))
    if isinstance(law, LogParabolaSpectralModel):
        source |= {
            "SpectrumType": "LogParabola",
            "norm": norm,
            "alpha": float(law.alpha.value),
            "beta": float(law.beta.value),
            "Eb": reference,
        }
    elif isinstance(law, PowerLawSpectralModel):
        source |= {
            "SpectrumType": "PowerLaw",
            "Prefactor": norm,
            "Index": float(law.index.value),
            "Scale": reference,
        }
    else:
        raise ValueError(f"{model.name} has a {type(law).__name__}, which has no counterpart in fermipy here")
    if isinstance(model.spatial_model, GaussianSpatialModel):
        sigma = float(model.spatial_model.sigma.quantity.to_value("deg"))
        return source | {"SpatialModel": "RadialGaussian", "SpatialWidth": sigma * WIDTH_IN_SIGMA}
    return source | {"SpatialModel": "PointSource"}


def source_xml(candidates):
    """Candidates as a source library in the XML of gtlike and fermipy.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates.

    Returns
    -------
    xml : str
        Text. The level of each source is free, all else is fixed, as when fermipy reads a dictionary.
    """
    library = ElementTree.Element("source_library", title="source_library")
    for source in source_dicts(candidates):
        extended = source["SpatialModel"] == "RadialGaussian"
        kind = "DiffuseSource" if extended else "PointSource"
        element = ElementTree.SubElement(library, "source", name=source["name"], type=kind)
        spectrum = ElementTree.SubElement(element, "spectrum", type=source["SpectrumType"])
        norm = NORMS[source["SpectrumType"]]
        # Minimisers want numbers near one
        scale = 10.0 ** math.floor(math.log10(source[norm]))
        _parameter(spectrum, norm, source[norm] / scale, scale, (1e-5, 1e3), free=True)
        if norm == "Prefactor":
            _parameter(spectrum, "Index", source["Index"], -1.0, LIMITS["Index"])
            _parameter(spectrum, "Scale", source["Scale"], 1.0, (source["Scale"],) * 2)
        else:
            for name in ("alpha", "beta"):
                _parameter(spectrum, name, source[name], 1.0, LIMITS[name])
            _parameter(spectrum, "Eb", source["Eb"], 1.0, (source["Eb"],) * 2)
        shape = "RadialGaussian" if extended else "SkyDirFunction"
        place = ElementTree.SubElement(element, "spatialModel", type=shape)
        _parameter(place, "RA", source["ra"], 1.0, LIMITS["RA"])
        _parameter(place, "DEC", source["dec"], 1.0, LIMITS["DEC"])
        if extended:
            _parameter(place, "Sigma", source["SpatialWidth"] / WIDTH_IN_SIGMA, 1.0, LIMITS["Sigma"])
    ElementTree.indent(library)
    return ElementTree.tostring(library, encoding="utf-8", xml_declaration=True).decode() + "\n"


def _parameter(element, name, value, scale, limits, free=False):
    values = {"value": value, "scale": scale, "min": min(value, limits[0]), "max": max(value, limits[1])}
    values = {key: repr(float(number)) for key, number in values.items()}
    ElementTree.SubElement(element, "parameter", name=name, **values, free=str(int(free)))


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
        or if the candidates are too far apart for one region.
    """
    if not len(candidates):
        raise ValueError("There are no candidates to hand over to fermipy")
    own, folder = _own_config(config)
    files = {"evfile": evfile, "scfile": scfile, "ltcube": ltcube}
    given = {name: str(make_path(file)) for name, file in files.items() if file is not None}
    data = own.get("data", {}) | given
    new = source_dicts(candidates)
    names = {source_key(source["name"]) for source in new}
    # A candidate that was handed over before is replaced
    old = own.get("model", {}).get("sources") or []
    old = [source for source in old if source_key(source.get("name", "")) not in names]
    full = {name: CONFIG.get(name, {}) | own.get(name, {}) for name in CONFIG} | {
        name: section for name, section in own.items() if name not in CONFIG
    }
    full["data"] = {
        # Paths on the command line start where one is, those of a file at the file
        name: _absolute(value, Path() if name in given else folder) if name in files else value
        for name, value in data.items()
    }
    _check_data(full)
    centre, width = _region(candidates, full["selection"], full["binning"], roi_width)
    full["binning"] = full["binning"] | {"roiwidth": width}
    full["selection"] = centre | _energies(candidates, full["selection"]) | full["selection"]
    # Without a limit fermipy would take a whole catalogue
    full["model"] = {"src_roiwidth": width + CATALOG_MARGIN} | full["model"]
    for name in _other_diffuse(own):
        full["model"].pop(name)
    full["model"]["sources"] = [*old, *new]
    fileio = {name: v for name, v in own.get("fileio", {}).items() if name not in ("outdir", "workdir")}
    full.pop("fileio", None)
    return full | ({"fileio": fileio} if fileio else {})


def _own_config(config):
    """Configuration of the user, and the folder that its paths start from."""
    folder = Path()
    if config is None:
        return {}, folder
    what = "The configuration"
    if not isinstance(config, dict):
        path = make_path(config)
        if not path.is_file():
            raise FileNotFoundError(f"No such file: {path}")
        what, folder = str(path), path.parent
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no YAML file: {error}") from None
    if not isinstance(config, dict) or not config:
        raise ValueError(f"{what} is no configuration of fermipy: it has no sections")
    strange = [str(name) for name in config if name not in SECTIONS]
    if strange:
        raise ValueError(
            f"{what} is no configuration of fermipy: it has no section {', '.join(strange)}, "
            f"but {', '.join(SECTIONS)}"
        )
    # A section without a line is None in YAML
    config = {name: section for name, section in config.items() if section is not None}
    wrong = [n for n, s in config.items() if not isinstance(s, list if n == "components" else dict)]
    if wrong:
        raise ValueError(f"{what} is no configuration of fermipy: {', '.join(wrong)} must be a section")
    return config, folder


def _absolute(value, folder):
    if isinstance(value, str) and (folder / value).exists():
        return str((folder / value).resolve())
    return value


def _check_data(config):
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
        lon, lat, frame = found[0]
        centre, entries = SkyCoord(selection[lon], selection[lat], unit="deg", frame=frame), {}
    else:
        mean = positions.cartesian.mean()
        centre = SkyCoord(mean, frame="icrs")
        centre = SkyCoord(centre.spherical.lon, centre.spherical.lat, frame="icrs")
        entries = {"ra": float(centre.ra.deg), "dec": float(centre.dec.deg)}
    if roi_width is not None:
        return entries, float(u.Quantity(roi_width, "deg").value)
    if binning.get("roiwidth") is not None:
        return entries, float(binning["roiwidth"])
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


def _energies(candidates, selection):
    if selection.get("logemin") is not None or selection.get("logemax") is not None:
        return {}
    low, high = candidates.meta.get("energy_range") or ENERGY_RANGE
    return {"emin": float(low) * 1e3, "emax": float(high) * 1e3}


def write_fermipy(
    candidates, folder, evfile=None, scfile=None, ltcube=None, roi_width=None, config=None, overwrite=False
):
    """Write all that a likelihood analysis of candidates with fermipy needs.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates, at least one.
    folder : str or path
        Folder, made where it does not exist. It gets ``config.yaml``, the configuration with the
        candidates in its model; ``sources.xml``, the candidates for gtlike; and ``analysis.py``, which
        runs where fermipy and the Fermitools are.
    evfile, scfile, ltcube, roi_width, config
        See `fermipy_config`.
    overwrite : bool
        Replace existing files.

    Returns
    -------
    paths : list of `~pathlib.Path`
        The three files.

    Raises
    ------
    FileExistsError
        If one of the files exists and `overwrite` is False; then none is written.
    FileNotFoundError
        If the folder cannot be made because its parent does not exist, or there is no file `config`.
    ValueError
        See `fermipy_config`.
    """
    folder = make_path(folder)
    full = fermipy_config(candidates, evfile, scfile, ltcube, roi_width, config)
    version = candidates.meta["version"]
    texts = {
        "config.yaml": f"# Written by gammapy-asid {version}\n" + yaml.safe_dump(full, sort_keys=False),
        "sources.xml": source_xml(candidates),
        "analysis.py": analysis_script(
            [str(name) for name in candidates.table["name"]], sqrt_ts_ext=float(np.sqrt(EXTENDED_TS))
        ),
    }
    if not folder.is_dir():
        if not folder.parent.is_dir():
            raise FileNotFoundError(f"The folder {folder.parent} does not exist: create it first")
        folder.mkdir()
    paths = [folder / name for name in texts]
    one, two, three = paths
    # All or none
    with (
        new_file(one, overwrite) as first,
        new_file(two, overwrite) as second,
        new_file(three, overwrite) as third,
    ):
        for path, text in zip((first, second, third), texts.values(), strict=True):
            path.write_text(text, encoding="utf-8")
    return paths
