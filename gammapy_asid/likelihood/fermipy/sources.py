# Licensed under a 3-clause BSD style license - see LICENSE
"""Candidates as sources of fermipy: dictionaries and XML."""

import math
from xml.etree import ElementTree

from gammapy.modeling.models import (
    GaussianSpatialModel,
    LogParabolaSpectralModel,
    PowerLawSpectralModel,
    SuperExpCutoffPowerLaw4FGLDR3SpectralModel,
)

from .files import WIDTH_IN_SIGMA

__all__ = ["source_dicts", "source_xml"]

# Ranges of the parameters in XML, those of fermipy; a value outside moves the end of the range.
LIMITS = {"Index": (0.0, 5.0), "alpha": (-5.0, 5.0), "beta": (-2.0, 2.0), "Sigma": (0.0, 180.0)}
LIMITS |= {"RA": (-360.0, 360.0), "DEC": (-90.0, 90.0), "Index1": (0.0, 5.0), "Index2": (0.0, 2.0)}
NORMS = {"PowerLaw": "Prefactor", "LogParabola": "norm", "PLSuperExpCutoff": "Prefactor"}
#: Parameters of the spectra beside the level: those of the shape with their scales, and energies.
SHAPES = {
    "PowerLaw": ({"Index": -1.0}, ("Scale",)),
    "LogParabola": ({"alpha": 1.0, "beta": 1.0}, ("Eb",)),
    "PLSuperExpCutoff": ({"Index1": -1.0, "Index2": 1.0}, ("Scale", "Cutoff")),
}


def source_dicts(candidates):
    """Candidates as source dictionaries of fermipy.

    They are the models of `gammapy_asid.Candidates.to_models`: position of the candidate; fitted
    spectrum where a likelihood fit gave one, otherwise one of its class or a power law of index 2 with the
    estimated flux; a Gaussian where the fit found an extension. The spectrum of a pulsar is written in the
    terms of a ``PLSuperExpCutoff``. ``gta.add_source(source["name"], source)`` takes one.

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
    if isinstance(law, SuperExpCutoffPowerLaw4FGLDR3SpectralModel):
        source |= _pulsar(law, norm, reference)
    elif isinstance(law, LogParabolaSpectralModel):
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


def _pulsar(law, norm, reference):
    """The same spectrum in terms of the cutoff energy, as all versions of fermipy know it."""
    index, d, b = (float(getattr(law, name).value) for name in ("index_1", "expfactor", "index_2"))
    if d <= 0:
        # Without a cutoff
        return {"SpectrumType": "PowerLaw", "Prefactor": norm, "Index": index, "Scale": reference}
    return {
        "SpectrumType": "PLSuperExpCutoff",
        "Prefactor": norm * math.exp(d / b**2),
        "Index1": index - d / b,
        "Scale": reference,
        "Cutoff": reference * (b**2 / d) ** (1 / b),
        "Index2": b,
    }


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
        shapes, energies = SHAPES[source["SpectrumType"]]
        for name, unit in shapes.items():
            _parameter(spectrum, name, source[name], unit, LIMITS[name])
        for name in energies:
            _parameter(spectrum, name, source[name], 1.0, (source[name],) * 2)
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
