# Licensed under a 3-clause BSD style license - see LICENSE
"""Spectra in the XML of ctools as Gammapy models."""

import operator

import astropy.units as u
import numpy as np
from gammapy.modeling.models import (
    BrokenPowerLawSpectralModel,
    CompoundSpectralModel,
    ExpCutoffPowerLawSpectralModel,
    LogParabolaSpectralModel,
    PowerLawNormSpectralModel,
    PowerLawSpectralModel,
    SmoothBrokenPowerLawSpectralModel,
    TemplateSpectralModel,
)

__all__ = ["XmlParameters", "read_spectrum", "scaled_spectrum"]

DNDE = u.Unit("cm-2 s-1 MeV-1")


class XmlParameters:
    """Parameters of an element by name: each is its value times its scale.

    Parameters
    ----------
    element : `~xml.etree.ElementTree.Element`
        Element with <parameter> children.
    """

    def __init__(self, element):
        self.kind = element.get("type")
        self._parameters = {p.get("name"): p for p in element.findall("parameter")}

    def __contains__(self, name):
        return name in self._parameters

    def _get(self, name):
        if name not in self._parameters:
            raise ValueError(f"its {self.kind!r} has no parameter {name!r}")
        return self._parameters[name]

    def value(self, name):
        """Value of a parameter.

        Parameters
        ----------
        name : str
            Name of the parameter.

        Returns
        -------
        value : float
            Value times scale.

        Raises
        ------
        ValueError
            If it is missing, or no number.
        """
        return self._number(name, "value") * self._number(name, "scale")

    def _number(self, name, attribute):
        text = self._get(name).get(attribute, "1" if attribute == "scale" else "0")
        try:
            number = float(text)
        except ValueError:
            number = np.nan
        if not np.isfinite(number):
            raise ValueError(f"the {attribute} of its {name!r} is no number: {text!r}")
        return number

    def is_free(self, name):
        """Whether a fit varies it.

        Parameters
        ----------
        name : str
            Name of the parameter.

        Returns
        -------
        is_free : bool
            Whether it is free.

        Raises
        ------
        ValueError
            If it is missing.
        """
        return self._get(name).get("free", "0") == "1"

    def fill(self, parameter, name, unit, sign=1):
        """Give value, error and whether it is free to a Gammapy parameter.

        Parameters
        ----------
        parameter : `~gammapy.modeling.Parameter`
            Parameter to change.
        name : str
            Name of the parameter.
        unit : str or `~astropy.units.Unit`
            Unit of the value in the element.
        sign : int
            Factor on the value: indices have the other sign there.

        Raises
        ------
        ValueError
            If it is missing, or no number.
        """
        parameter.quantity = sign * self.value(name) * u.Unit(unit)
        parameter.error = abs(self._number(name, "error") * self._number(name, "scale"))
        parameter.frozen = not self.is_free(name)


def read_spectrum(element, folder):
    """Spectral model of a <spectrum> element.

    Parameters
    ----------
    element : `~xml.etree.ElementTree.Element`
        The element.
    folder : `~pathlib.Path`
        Folder of the files that it names.

    Returns
    -------
    model : `~gammapy.modeling.models.SpectralModel`
        Energies are MeV, fluxes ``cm-2 s-1 MeV-1``.

    Raises
    ------
    ValueError
        If the type is unknown or a parameter is missing.
    FileNotFoundError
        If a file does not exist.
    """
    kind = element.get("type")
    if kind == "Composite":
        parts = [read_spectrum(part, folder) for part in element.findall("spectrum")]
        if not parts:
            raise ValueError("its composite spectrum has no parts")
        model = parts[0]
        for part in parts[1:]:
            model = CompoundSpectralModel(model, part, operator.add)
        return model
    if kind == "FileFunction":
        return _file_function(element, folder)
    if kind == "NodeFunction":
        return _node_function(element)
    if kind not in SPECTRA:
        known = ", ".join([*SPECTRA, "FileFunction", "NodeFunction", "Composite"])
        raise ValueError(f"a spectrum of type {kind!r} can't be read: known are {known}")
    return SPECTRA[kind](XmlParameters(element))


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
    # Cubes carry the flux, their spectrum is a factor.
    name = "Normalization" if "Normalization" in xml else "Value"
    norm = PowerLawNormSpectralModel()
    xml.fill(norm.norm, name, "")
    return norm


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


def _file_function(element, folder):
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
    return _template(energy, dnde * XmlParameters(element).value("Normalization"))


def _node_function(element):
    """Spectrum tabulated in the element itself."""
    nodes = [XmlParameters(node) for node in element.findall("node")]
    if len(nodes) < 2:
        raise ValueError(f"its spectrum of type 'NodeFunction' has {len(nodes)} nodes, and two are needed")
    energy, dnde = (np.array([node.value(name) for node in nodes]) for name in ("Energy", "Intensity"))
    return _template(energy, dnde)


def _template(energy, dnde):
    """Power laws between the points, and beyond them those of the ends."""
    # What falls below any other value by so much is zero, and logarithms want numbers.
    positive = dnde > 1e-30 * dnde.max(initial=0)
    if positive.sum() < 2:
        raise ValueError("its tabulated spectrum has fewer than two positive values")
    order = np.argsort(energy[positive])
    return TemplateSpectralModel(energy[positive][order] * u.MeV, dnde[positive][order] * DNDE)
