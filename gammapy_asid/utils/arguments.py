# Licensed under a 3-clause BSD style license - see LICENSE
"""Arguments that are what they must be, or one error that says so."""

import math
from numbers import Integral, Real

import astropy.units as u
import numpy as np

__all__ = [
    "check_estimator",
    "check_flags",
    "check_kind",
    "check_number",
    "checked_energies",
    "checked_quantity",
    "checked_range",
]


def check_number(name, value, low=-math.inf, high=math.inf, above=None, whole=False):
    """Check that an argument is a finite number in a range.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        Its value.
    low, high : float
        Smallest and largest value.
    above : float, optional
        Value that it must exceed.
    whole : bool
        Whether it must be a whole number.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is outside the range.
    """
    what = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        raise TypeError(f"{name} must be {what}, got {value!r}")
    if math.isfinite(value) and low <= value <= high and (above is None or value > above):
        return
    limits = [] if above is None else [f"above {above:g}"]
    limits += [f"at least {low:g}"] if math.isfinite(low) else []
    limits += [f"at most {high:g}"] if math.isfinite(high) else []
    raise ValueError(f"{name} must be {' '.join([what, ' and '.join(limits)]).strip()}, got {value}")


def check_kind(name, value, kinds):
    """Check that an argument is of a class; a `TypeError` if not.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        Its value.
    kinds : type or tuple of type
        Class, or several.
    """
    if not isinstance(value, kinds):
        names = " or ".join(k.__name__ for k in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise TypeError(f"{name} must be a {names}, got {type(value).__name__}: {value!r:.60}")


def check_flags(**arguments):
    """Check that arguments are True or False; a `TypeError` if not, since any text would count as True.

    Parameters
    ----------
    **arguments : object
        Values by the names of the arguments.
    """
    for name, value in arguments.items():
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"{name} must be True or False, got {value!r:.60}")


def check_estimator(name, value):
    """Check that an argument, if it is given, runs on datasets; a `TypeError` if not.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : object
        Its value.
    """
    if value is not None and not callable(getattr(value, "run", None)):
        raise TypeError(f"{name} must be an estimator, got {type(value).__name__}: {value!r:.60}")


def checked_quantity(name, value, unit, what):
    """One positive finite quantity.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : `~astropy.units.Quantity` or str
        Its value.
    unit : str
        A unit of its kind.
    what : str
        Kind, for messages, such as "an energy".

    Returns
    -------
    value : `~astropy.units.Quantity`
        Value.

    Raises
    ------
    ValueError
        If it is something else.
    """
    try:
        quantity = u.Quantity(value)
        good = quantity.isscalar and math.isfinite(quantity.to_value(unit)) and quantity > 0
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(f"{name} must be {what} above 0, got {value}: give a Quantity such as 1 * u.{unit}")
    return quantity


def checked_energies(name, value, number=None):
    """Energies in GeV that rise.

    Parameters
    ----------
    name : str
        Name of the argument.
    value : `~astropy.units.Quantity` or sequence
        Its value; numbers without a unit are in GeV.
    number : int, optional
        How many they must be; by default two or more.

    Returns
    -------
    energies : tuple of float
        In GeV.

    Raises
    ------
    ValueError
        If it is something else.
    """
    try:
        energies = u.Quantity(value, "GeV").value
    except (TypeError, ValueError):
        energies = np.zeros(0)
    right = energies.ndim == 1 and (len(energies) >= 2 if number is None else len(energies) == number)
    if not right or not (np.all(np.diff(energies) > 0) and 0 < energies[0] and energies[-1] < math.inf):
        many = "two" if number == 2 else "two or more"
        raise ValueError(
            f"{name} must be {many} energies above 0 that rise, got {value}: give a Quantity such as "
            "[1, 100] * u.GeV"
        )
    return tuple(energies.tolist())


def checked_range(name, value):
    """Two energies in GeV that rise, see `checked_energies`.

    Parameters
    ----------
    name, value
        See `checked_energies`.

    Returns
    -------
    energies : tuple of float
        In GeV.

    Raises
    ------
    ValueError
        If it is something else.
    """
    return checked_energies(name, value, number=2)
