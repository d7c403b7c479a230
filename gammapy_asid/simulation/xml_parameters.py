# Licensed under a 3-clause BSD style license - see LICENSE
"""Parameters in the XML of ctools."""

import astropy.units as u
import numpy as np

__all__ = ["XmlParameters"]


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
