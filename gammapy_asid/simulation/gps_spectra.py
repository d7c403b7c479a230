# Licensed under a 3-clause BSD style license - see LICENSE
"""Spectra in the XML of ctools as Gammapy models."""

import operator

import astropy.units as u
import numpy as np
from gammapy.modeling.models import (
    BrokenPowerLawSpectralModel,
    CompoundSpectralModel,
    ConstantSpectralModel,
    ExpCutoffPowerLawSpectralModel,
    LogParabolaSpectralModel,
    PowerLawNormSpectralModel,
    PowerLawSpectralModel,
    SmoothBrokenPowerLawSpectralModel,
    TemplateSpectralModel,
)

from .xml_parameters import XmlParameters

__all__ = ["read_spectrum", "scaled_spectrum"]

DNDE = u.Unit("cm-2 s-1 MeV-1")


def read_spectrum(element, folder, relative=False):
    """Spectral model of a <spectrum> element.

    Parameters
    ----------
    element : `~xml.etree.ElementTree.Element`
        The element.
    folder : `~pathlib.Path`
        Folder of the files that it names.
    relative : bool
        Whether it is a factor without a unit, as that of a cube, which has the flux itself.

    Returns
    -------
    model : `~gammapy.modeling.models.SpectralModel`
        Energies are MeV, fluxes ``cm-2 s-1 MeV-1`` or without a unit.

    Raises
    ------
    ValueError
        If the type is unknown, or can't be relative, or a parameter is missing.
    FileNotFoundError
        If a file does not exist.
    """
    kind, known = element.get("type"), RELATIVE if relative else SPECTRA
    if kind == "Composite":
        parts = [read_spectrum(part, folder, relative) for part in element.findall("spectrum")]
        if not parts:
            raise ValueError("its composite spectrum has no parts")
        model = parts[0]
        for part in parts[1:]:
            model = CompoundSpectralModel(model, part, operator.add)
        return model
    unit = u.dimensionless_unscaled if relative else DNDE
    if kind == "FileFunction":
        return _file_function(element, folder, unit)
    if kind == "NodeFunction":
        return _node_function(element, unit)
    if kind not in known:
        whose = " of a cube" if relative else ""
        names = ", ".join([*known, "FileFunction", "NodeFunction", "Composite"])
        raise ValueError(f"a spectrum{whose} of type {kind!r} can't be read: known are {names}")
    return known[kind](XmlParameters(element))


def scaled_spectrum(model, factor):
    """Spectral model times a factor.

    Parameters
    ----------
    model : `~gammapy.modeling.models.SpectralModel`
        Model.
    factor : float
        Factor.

    Returns
    -------
    model : `~gammapy.modeling.models.SpectralModel`
        The same for a factor of 1.
    """
    if factor == 1:
        return model
    norm = PowerLawNormSpectralModel(norm=factor)
    norm.norm.frozen = True
    return CompoundSpectralModel(model, norm, operator.mul)


def _power_law(xml):
    model = PowerLawSpectralModel()
    xml.fill(model.amplitude, "Prefactor", DNDE)
    xml.fill(model.index, "Index", "", sign=-1)
    xml.fill(model.reference, "Scale" if "Scale" in xml else "PivotEnergy", "MeV")
    return model


def _cutoff(cutoff, reference, index="Index"):
    """Reader of a power law with an exponential cut-off, the names of its parameters given."""

    def make(xml):
        model = ExpCutoffPowerLawSpectralModel()
        xml.fill(model.amplitude, "Prefactor", DNDE)
        xml.fill(model.index, index, "", sign=-1)
        xml.fill(model.reference, reference, "MeV")
        energy = xml.value(cutoff)
        if not energy > 0:
            raise ValueError(f"its {cutoff!r} must be positive, got {energy} MeV")
        model.lambda_.quantity = 1 / energy / u.MeV
        model.lambda_.frozen = not xml.is_free(cutoff)
        if "Index2" in xml:
            xml.fill(model.alpha, "Index2", "")
        return model

    return make


def _log_parabola(xml):
    model = LogParabolaSpectralModel()
    xml.fill(model.amplitude, "Prefactor", DNDE)
    xml.fill(model.alpha, "Index", "", sign=-1)
    xml.fill(model.beta, "Curvature", "", sign=-1)
    xml.fill(model.reference, "Scale" if "Scale" in xml else "PivotEnergy", "MeV")
    return model


def _broken(xml):
    model = BrokenPowerLawSpectralModel()
    xml.fill(model.amplitude, "Prefactor", DNDE)
    xml.fill(model.index1, "Index1", "", sign=-1)
    xml.fill(model.index2, "Index2", "", sign=-1)
    xml.fill(model.ebreak, "BreakEnergy", "MeV")
    return model


def _smooth_broken(xml):
    model = SmoothBrokenPowerLawSpectralModel()
    xml.fill(model.amplitude, "Prefactor", DNDE)
    xml.fill(model.index1, "Index1", "", sign=-1)
    xml.fill(model.index2, "Index2", "", sign=-1)
    xml.fill(model.reference, "PivotEnergy", "MeV")
    xml.fill(model.ebreak, "BreakEnergy", "MeV")
    xml.fill(model.beta, "BreakSmoothness", "")
    return model


def _constant(xml):
    model = ConstantSpectralModel()
    xml.fill(model.const, _level(xml), DNDE)
    return model


def _level(xml):
    return "Normalization" if "Normalization" in xml else "Value"


def _factor(xml):
    model = PowerLawNormSpectralModel()
    xml.fill(model.norm, _level(xml), "")
    return model


def _power_law_factor(xml):
    model = PowerLawNormSpectralModel()
    xml.fill(model.norm, "Prefactor", "")
    xml.fill(model.tilt, "Index", "", sign=-1)
    xml.fill(model.reference, "Scale" if "Scale" in xml else "PivotEnergy", "MeV")
    return model


SPECTRA = {
    "PowerLaw": _power_law,
    "ExponentialCutoffPowerLaw": _cutoff("CutoffEnergy", "PivotEnergy"),
    "ExpCutoff": _cutoff("Cutoff", "Scale"),
    "SuperExponentialCutoffPowerLaw": _cutoff("CutoffEnergy", "PivotEnergy", "Index1"),
    "LogParabola": _log_parabola,
    "BrokenPowerLaw": _broken,
    "SmoothBrokenPowerLaw": _smooth_broken,
    "Constant": _constant,
}

#: Factors on the flux of a cube.
RELATIVE = {"PowerLaw": _power_law_factor, "Constant": _factor}


def _file_function(element, folder, unit):
    """Spectrum tabulated in a file of energy in MeV and flux."""
    if not element.get("file"):
        raise ValueError("its spectrum of type 'FileFunction' names no file")
    path = folder / element.get("file")
    if not path.exists():
        raise FileNotFoundError(f"no file {path}: unpack the files that belong to the sky model there")
    try:
        energy, dnde = np.loadtxt(path, usecols=(0, 1), unpack=True, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} is no table of energy and flux ({error})") from error
    return _template(energy, dnde * XmlParameters(element).value("Normalization"), unit)


def _node_function(element, unit):
    """Spectrum tabulated in the element itself."""
    nodes = [XmlParameters(node) for node in element.findall("node")]
    if len(nodes) < 2:
        raise ValueError(f"its spectrum of type 'NodeFunction' has {len(nodes)} nodes, and two are needed")
    energy, dnde = (np.array([node.value(name) for node in nodes]) for name in ("Energy", "Intensity"))
    return _template(energy, dnde, unit)


def _template(energy, dnde, unit):
    """Power laws between the points, and beyond them those of the ends."""
    # What falls below any other value by so much is zero, and logarithms want numbers.
    positive = dnde > 1e-30 * dnde.max(initial=0)
    if positive.sum() < 2:
        raise ValueError("its tabulated spectrum has fewer than two positive values")
    order = np.argsort(energy[positive])
    return TemplateSpectralModel(energy[positive][order] * u.MeV, dnde[positive][order] * unit)
