# Licensed under a 3-clause BSD style license - see LICENSE
"""Files .npy of fermipy, read without running what they hold.

They are pickles, and a pickle may call any function. This reader knows arrays, numbers and containers only.
"""

import pickle
from collections import OrderedDict

import numpy as np

__all__ = ["load_results"]

#: Builders of numpy and the modules where its versions have them.
BUILDERS = ("_reconstruct", "scalar", "_frombuffer")
BUILDER_MODULES = tuple(
    f"numpy.{core}.{module}" for core in ("core", "_core") for module in ("multiarray", "numeric")
)
#: All else that may be named.
CLASSES = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "OrderedDict"): OrderedDict,
    # A dictionary whose entries are also attributes
    ("fermipy.data_struct", "MutableNamedTuple"): OrderedDict,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "complex"): complex,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module, name):
        if module in BUILDER_MODULES and name in BUILDERS:
            return super().find_class(module, name)
        if (module, name) in CLASSES:
            return CLASSES[module, name]
        raise pickle.UnpicklingError(
            f"it holds a {module}.{name}, which is not read because it could run code; "
            "the file .fits of the same analysis needs no such trust"
        )


def load_results(path):
    """Content of a file that ``numpy.save`` made of one dictionary.

    Parameters
    ----------
    path : path
        File.

    Returns
    -------
    content : object
        Content, normally a dictionary.

    Raises
    ------
    pickle.UnpicklingError
        If it names anything but arrays, numbers and containers.
    ValueError
        If it is no such file.
    """
    with open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in read:
            raise ValueError(f"version {version} of the format is unknown")
        shape, _, dtype = read[version](file)
        if shape != () or dtype.kind != "O":
            raise ValueError(f"it is an array of {dtype} and shape {shape}")
        array = _Unpickler(file).load()
    if not isinstance(array, np.ndarray) or array.shape != () or array.dtype.kind != "O":
        raise ValueError("it holds no single object")
    return array.item()
