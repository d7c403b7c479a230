# Licensed under a 3-clause BSD style license - see LICENSE
"""Files .npy of fermipy, read without running what they hold.

They are pickles behind a header. What a file makes is never much larger than the file.
"""

import re

from ...utils.files import regular_file
from .pickled_arrays import LARGEST
from .plain_pickle import plain_pickle

__all__ = ["load_results"]

#: Header of a file .npy of one object, in both versions of the format.
HEADER = re.compile(
    rb"\x93NUMPY(\x01\x00..|\x02\x00....)"
    rb"\{'descr': '\|O8?', 'fortran_order': (True|False), 'shape': \(\),? *\}[ ]*\n",
    re.DOTALL,
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
    ValueError
        If it is no such file, or holds anything but containers, numbers, strings and arrays of them.
    """
    path = regular_file(path)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"it is larger than {LARGEST / 2**30:.0f} GiB")
    content = path.read_bytes()
    header = HEADER.match(content)
    if header is None:
        raise ValueError("it is no file .npy of one single dictionary")
    return plain_pickle(content[header.end() :])
