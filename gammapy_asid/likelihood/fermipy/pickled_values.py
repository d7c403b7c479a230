# Licensed under a 3-clause BSD style license - see LICENSE
"""The values that a pickle of plain values may make: containers, numbers, strings and arrays of them.

Each function here first looks at what it is given.
"""

from .pickled_arrays import PickledArray, PickledType, array_data, numbers

__all__ = ["NAMES", "REFUSED", "make_value", "plain_key", "plain_set"]

#: Largest whole number as a key: those below are their own hash, so that no forged keys share one.
LARGEST_KEY = 2**60
#: Most parts of a key that is a tuple.
LONGEST_KEY = 9

REFUSED = "is not read because it could run code; the file .fits of the same analysis needs no such trust"

# What may be named. Nothing of it is called: it says which of the functions below makes the value.
ARRAY, SCALAR, BUFFER, ARRAY_CLASS, DTYPE = "array", "scalar", "buffer", "array class", "dtype"
DICT, SET, COMPLEX, ENCODE, NO_BYTES = "dict", "set", "complex", "encode", "bytes"
NAMES = {
    ("numpy", "ndarray"): ARRAY_CLASS,
    ("numpy", "dtype"): DTYPE,
    ("collections", "OrderedDict"): DICT,
    # A dictionary whose entries are also attributes
    ("fermipy.data_struct", "MutableNamedTuple"): DICT,
    ("builtins", "set"): SET,
    ("builtins", "frozenset"): SET,
    ("__builtin__", "set"): SET,
    ("__builtin__", "frozenset"): SET,
    ("builtins", "complex"): COMPLEX,
    ("__builtin__", "complex"): COMPLEX,
    # Bytes in protocol 2
    ("_codecs", "encode"): ENCODE,
    ("__builtin__", "bytes"): NO_BYTES,
} | {
    (f"numpy.{core}.{module}", name): kind
    for core in ("core", "_core")
    for module in ("multiarray", "numeric")
    for name, kind in (("_reconstruct", ARRAY), ("scalar", SCALAR), ("_frombuffer", BUFFER))
}


def plain_key(key):
    """A key of a dictionary or a member of a set, if its hash differs from those of others.

    Parameters
    ----------
    key : object
        Key.

    Returns
    -------
    key : None, str, bytes, int, bool or tuple of them
        The same.

    Raises
    ------
    ValueError
        If it is something else, a large number or a long tuple.
    """
    if isinstance(key, tuple) and len(key) <= LONGEST_KEY and not any(isinstance(k, tuple) for k in key):
        return tuple(plain_key(part) for part in key)
    if key is None or isinstance(key, (str, bytes)) or isinstance(key, int) and abs(key) < LARGEST_KEY:
        return key
    raise ValueError(f"it has a key that is a {type(key).__name__}")


def plain_set(values):
    """Set of values that may be keys.

    Parameters
    ----------
    values : iterable
        Values.

    Returns
    -------
    members : set
        The same, see `plain_key`.
    """
    return {plain_key(value) for value in values}


def _make_array(*_):
    return PickledArray()


def _make_class(*_):
    raise ValueError(f"it makes an array in a way which {REFUSED}")


def _make_dtype(code, *_):
    if isinstance(code, bytes):
        code = code.decode("latin-1")
    if not isinstance(code, str):
        raise ValueError("it has a type of numbers that is no name")
    return PickledType(code)


def _make_scalar(kind, data=b""):
    if not isinstance(kind, PickledType):
        raise ValueError("it has a number of no type")
    dtype, data = kind.to_numpy(), array_data(data)
    if len(data) != dtype.itemsize:
        raise ValueError("it has a number of another length than its type")
    return numbers(data, dtype)[0] if dtype.itemsize else dtype.type()


def _make_buffer(data, kind, shape, order):
    result = PickledArray()
    result.set_state((1, shape, kind, order == "F", data))
    return result.value


def _make_dict(pairs=()):
    if isinstance(pairs, dict):
        return dict(pairs)
    if not isinstance(pairs, (list, tuple)) or any(
        not isinstance(pair, (list, tuple)) or len(pair) != 2 for pair in pairs
    ):
        raise ValueError("it has a dictionary without pairs")
    return {plain_key(key): value for key, value in pairs}


def _make_set(values=()):
    if not isinstance(values, (list, tuple, set)):
        raise ValueError("it has a set of no list")
    return plain_set(values)


def _make_complex(real, imaginary=0.0):
    if not all(isinstance(part, (int, float)) for part in (real, imaginary)):
        raise ValueError("it has a complex number of no numbers")
    return complex(real, imaginary)


def _make_bytes(text, encoding):
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("it has bytes in an unknown coding")
    return text.encode("latin-1")


#: Function that makes each kind of value, and the least and the most of its arguments.
MAKERS = {
    ARRAY: (_make_array, 3, 3),
    ARRAY_CLASS: (_make_class, 0, 9),
    DTYPE: (_make_dtype, 1, 3),
    SCALAR: (_make_scalar, 1, 2),
    BUFFER: (_make_buffer, 4, 4),
    DICT: (_make_dict, 0, 1),
    SET: (_make_set, 0, 1),
    COMPLEX: (_make_complex, 1, 2),
    ENCODE: (_make_bytes, 2, 2),
    NO_BYTES: (bytes, 0, 0),
}


def make_value(kind, arguments):
    """Value of a kind.

    Parameters
    ----------
    kind : str
        One of `NAMES`.
    arguments : tuple
        What it is made of.

    Returns
    -------
    value : object
        Value.

    Raises
    ------
    ValueError
        If the arguments are not those of such a value.
    """
    maker, least, most = MAKERS[kind]
    if not least <= len(arguments) <= most:
        raise ValueError(f"it makes a {kind} of {len(arguments)} values")
    return maker(*arguments)
