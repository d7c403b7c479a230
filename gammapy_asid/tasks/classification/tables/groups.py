# Licensed under a 3-clause BSD style license - see LICENSE
"""Classes of 4FGL, and what they are told apart as."""

import numpy as np

from ....catalog.columns import CLASSES
from ....utils.table_columns import column_name, column_text

__all__ = ["AGN", "CLASS_COLUMNS", "CLASSES", "MEMBERS", "class_indices", "fsrq_indices", "shares_of"]

AGN = CLASSES.index("AGN")

#: Columns of the class of a source, of which the first that a table has is read.
CLASS_COLUMNS = ("CLASS1", "CLASS")

#: Classes of 4FGL, in lower case, that belong to each class here. Galaxies without an active nucleus,
#: binaries, novae and clusters are none of them, and too few to be learned.
MEMBERS = {
    "AGN": ("bll", "fsrq", "bcu", "rdg", "agn", "css", "ssrq", "sey", "nlsy1"),
    "PSR": ("psr", "msp"),
    "PWN-SNR": ("pwn", "snr", "spp"),
}


def class_indices(table):
    """Classes of the rows of a table by their index among `CLASSES`, -1 where there is none.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Table with one of `CLASS_COLUMNS`.
    """
    return _indices(table, [MEMBERS[name] for name in CLASSES])


def fsrq_indices(table):
    """1 for flat-spectrum radio quasars, 0 for BL Lac objects, -1 for other rows; -1 without classes.

    Parameters
    ----------
    table : `~astropy.table.Table`
        Table with one of `CLASS_COLUMNS`.
    """
    return _indices(table, [("bll",), ("fsrq",)])


def shares_of(indices, n_kinds):
    """Shares of kinds, equal ones where there is none of one of them.

    Parameters
    ----------
    indices : `~numpy.ndarray`
        Kinds of sources, -1 for none.
    n_kinds : int
        Number of kinds.

    Returns
    -------
    shares : `~numpy.ndarray`
        Shape ``(n_kinds,)``.
    """
    numbers = np.bincount(indices[indices >= 0], minlength=n_kinds)
    return numbers / numbers.sum() if numbers.all() else np.full(n_kinds, 1 / n_kinds)


def _indices(table, members):
    text = np.char.lower(column_text(table[column_name(table, CLASS_COLUMNS)]))
    indices = np.full(len(table), -1)
    for index, names in enumerate(members):
        indices[np.isin(text, names)] = index
    return indices
