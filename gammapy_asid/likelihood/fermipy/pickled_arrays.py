# Licensed under a 3-clause BSD style license - see LICENSE
"""Arrays of numbers, and types of numbers, that a pickle makes.

Functions of numpy crash on forged arguments: all that numpy gets was looked at before.
"""

import math
import re

import numpy as np

__all__ = ["LARGEST", "PickledArray", "PickledType", "array_data", "numbers"]

#: Largest file in bytes, and longest axis of an array in one.
LARGEST = 2**30
#: Most axes of an array, fewer than numpy allows.
MOST_AXES = 8

#: Numbers and texts that arrays may hold.
NUMBERS = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248]|c(8|16)|[SU]\d{1,6})")


class PickledType:
    """A type of numbers, which gets its state after it was made.

    Parameters
    ----------
    code : str
        Its name in numpy, such as ``f8``.
    """

    def __init__(self, code):
        self.code, self.order, self.is_object = code, "=", code == "O8"

    def set_state(self, state):
        """Take the order of the bytes.

        Parameters
        ----------
        state : object
            Version, order of the bytes, and the size for strings.

        Raises
        ------
        ValueError
            If it is no state of a type of numbers or strings.
        """
        if not isinstance(state, tuple) or len(state) not in (8, 9):
            raise ValueError("it has a type of numbers in an unknown form")
        _, order, base, names, fields = state[:5]
        if (base, names, fields) != (None, None, None):
            raise ValueError("it has an array with columns or of arrays")
        order = order.decode("latin-1") if isinstance(order, bytes) else order
        if order not in ("<", ">", "|", "="):
            raise ValueError("it has numbers in an unknown order of bytes")
        self.order = order

    def to_numpy(self):
        """The type (`~numpy.dtype`); a `ValueError` if it is not one of numbers or texts."""
        if self.is_object or not NUMBERS.fullmatch(self.code):
            raise ValueError(f"it has an array of {self.code!r}, not of numbers")
        return np.dtype(self.code).newbyteorder(self.order if self.order in "<>" else "=")


class PickledArray:
    """An array, which gets its state after it was made."""

    #: `~numpy.ndarray`; of an array of objects a list, or the one object of an array without axes.
    value = None

    def set_state(self, state):
        """Take shape and data.

        Parameters
        ----------
        state : object
            Version, shape, type, whether the first axis is the fastest, and data.

        Raises
        ------
        ValueError
            If it is no state of an array, or the array has one.
        """
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise ValueError("it has an array in an unknown form")
        shape, kind, fortran, data = state[-4:]
        if self.value is not None or not isinstance(kind, PickledType):
            raise ValueError("it has an array in an unknown form")
        size = _size(shape)
        if kind.is_object:
            self.value = _array_of_objects(shape, size, data)
        else:
            dtype, data = kind.to_numpy(), array_data(data)
            self.value = _array_of_numbers(shape, size, dtype, data, "F" if fortran else "C")


def _size(shape):
    """Number of the members of an array."""
    whole = isinstance(shape, tuple) and len(shape) <= MOST_AXES
    if not whole or any(type(n) is not int or not 0 <= n <= LARGEST for n in shape):
        raise ValueError("it has an array of an impossible shape")
    return math.prod(shape)


def _array_of_objects(shape, size, data):
    if not isinstance(data, list) or len(data) != size:
        raise ValueError("it has an array of another length than its shape")
    return data[0] if shape == () else list(data)


def _array_of_numbers(shape, size, dtype, data, order):
    if len(data) != size * dtype.itemsize:
        raise ValueError("it has an array of another length than its shape")
    if not data:
        # Texts of no characters have no data either, and could be more than memory holds
        return np.empty(shape if size == 0 else 0, dtype)
    return numbers(data, dtype).reshape(shape, order=order)


def array_data(data):
    """Data of arrays as bytes; Python 2 wrote them as text.

    Parameters
    ----------
    data : object
        Data.

    Returns
    -------
    data : bytes
        The same.

    Raises
    ------
    ValueError
        If it is neither bytes nor text.
    """
    if isinstance(data, str):
        return data.encode("latin-1")
    if not isinstance(data, (bytes, bytearray)):
        raise ValueError("it has an array without data")
    return bytes(data)


def numbers(data, dtype):
    """Array of bytes; texts of characters that do not exist would be an error only when they are used.

    Parameters
    ----------
    data : bytes
        Whole members.
    dtype : `~numpy.dtype`
        Their type.

    Returns
    -------
    array : `~numpy.ndarray`
        Members, shape ``(n,)``.

    Raises
    ------
    ValueError
        If a text has impossible characters.
    """
    if dtype.kind == "U" and np.any(
        np.frombuffer(data, np.dtype("u4").newbyteorder(dtype.byteorder)) > 0x10FFFF
    ):
        raise ValueError("it has a text of impossible characters")
    return np.frombuffer(data, dtype)
