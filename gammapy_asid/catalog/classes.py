# Licensed under a 3-clause BSD style license - see LICENSE
"""Classes of sources: one table."""

from dataclasses import dataclass

import numpy as np
from astropy.table import QTable

from .columns import CLASS_COLUMNS, CLASSES
from .source_table import SourceTable

__all__ = ["SourceClasses"]


@dataclass(repr=False)
class SourceClasses(SourceTable):
    """Classes of the sources of one field.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        One row per source: ``name``, ``ra``, ``dec``, the columns `~gammapy_asid.catalog.CLASS_COLUMNS` and
        ``flags``. ``source_class`` is the most probable class of a real source, also where ``real_prob`` is
        small; ``prob_agn``, ``prob_psr`` and ``prob_pwn_snr`` add up to one. Sources outside the valid data
        have no class, NaN and the flag ``OUTSIDE``; those outside what the classifier was trained for have
        the flag ``CLASS_OUTSIDE``.
    meta : dict
        Provenance; ``prior`` tells which shares of the classes were taken.
    """

    table: QTable
    meta: dict

    @property
    def candidate_columns(self):
        """Columns for candidates (`~astropy.table.QTable`)."""
        return QTable(self.table[[column.name for column in CLASS_COLUMNS]])

    @classmethod
    def from_probabilities(cls, names, positions, probabilities, valid, flags, meta):
        """Make the table of the probabilities of the valid ones among all sources.

        Parameters
        ----------
        names : list of str
            Names of all.
        positions : `~astropy.coordinates.SkyCoord`
            Positions of all, shape ``(n,)``.
        probabilities : `~numpy.ndarray`
            Of the valid ones: each of `~gammapy_asid.catalog.CLASSES`, of an FSRQ among active galaxies, and
            to be real; shape ``(n_valid, 5)``.
        valid : `~numpy.ndarray`
            Which have them, bool of shape ``(n,)``.
        flags : `~numpy.ndarray`
            Flags of all.
        meta : dict
            Provenance.

        Returns
        -------
        classes : `SourceClasses`
            Table.
        """
        values = np.full((len(names), len(CLASSES) + 2), np.nan)
        values[valid] = probabilities
        best = np.full(len(names), "", dtype=CLASS_COLUMNS[0].dtype)
        known = np.isfinite(values[:, : len(CLASSES)]).all(axis=1)
        best[known] = np.array(CLASSES)[values[known, : len(CLASSES)].argmax(axis=1)]
        table = QTable(
            {
                "name": np.array(names, dtype=str),
                "ra": positions.icrs.ra,
                "dec": positions.icrs.dec,
                "source_class": best,
                **{column.name: values[:, i] for i, column in enumerate(CLASS_COLUMNS[1:])},
                "flags": np.asarray(flags).astype("i4"),
            }
        )
        return cls(table, meta)
