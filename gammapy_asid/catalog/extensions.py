# Licensed under a 3-clause BSD style license - see LICENSE
"""Extensions of sources: one table, and spatial models."""

from dataclasses import dataclass

import astropy.units as u
import numpy as np
from astropy.table import QTable
from gammapy.modeling.models import Models, PointSpatialModel, SkyModel

from .columns import EXTENSION_COLUMNS
from .source_models import EXTENDED, START_SPECTRUM, bounded_spectrum, extended_model
from .source_table import SourceTable

__all__ = ["SourceExtensions"]


@dataclass(repr=False)
class SourceExtensions(SourceTable):
    """Extensions of the sources of one field.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        One row per source: ``name``, ``ra``, ``dec``, ``extension_class`` (``C0``, ``C1``, ..., empty for
        sources outside the valid data), ``extension_prob`` of each class, shape ``(n, n_classes)``,
        ``extended_prob``, the probability to be wider than a point, ``ext_sigma`` with ``ext_sigma_errn`` and
        ``ext_sigma_errp``, the size of the source if it is extended with its 68 % interval, and
        ``flags``.
    meta : dict
        Provenance; ``edges`` are the sizes in deg between the classes.
    """

    table: QTable
    meta: dict

    @property
    def candidate_columns(self):
        """Columns for candidates (`~astropy.table.QTable`)."""
        return QTable(self.table[[column.name for column in EXTENSION_COLUMNS]])

    def to_models(self, spectral_model=None):
        """Gaussians for sources that are more probably extended than points, points for the others.

        Parameters
        ----------
        spectral_model : `~gammapy.modeling.models.SpectralModel`, optional
            Spectrum for a fit to start from; by default a power law of index 2 with 1e-9 cm-2 s-1 GeV-1 at
            1 GeV.

        Returns
        -------
        models : `~gammapy.modeling.models.Models`
            One `~gammapy.modeling.models.SkyModel` per source.
        """
        spectrum = bounded_spectrum(START_SPECTRUM.copy()) if spectral_model is None else spectral_model
        models = []
        for position, row in zip(self.positions, self.table, strict=True):
            if row["extended_prob"] > EXTENDED:
                spatial = extended_model(position, row)
            else:
                spatial = PointSpatialModel.from_position(position)
            models.append(SkyModel(spectrum.copy(), spatial, name=str(row["name"])))
        return Models(models)

    @classmethod
    def from_predictions(cls, names, positions, predicted, valid, flags, meta, classes):
        """Make the table of the predictions for the valid ones among all sources.

        Parameters
        ----------
        names : list of str
            Names of all.
        positions : `~astropy.coordinates.SkyCoord`
            Positions of all, shape ``(n,)``.
        predicted : `~gammapy_asid.tasks.extension.model.Extensions`
            Predictions for the valid ones; None without any.
        valid : `~numpy.ndarray`
            Which have a prediction, bool of shape ``(n,)``.
        flags : `~numpy.ndarray`
            Flags of all.
        meta : dict
            Provenance.
        classes : list of str
            Names of the classes.
        """
        n = len(names)
        class_name = np.full(n, "", dtype="U4")
        probability, extended = np.full((n, len(classes)), np.nan), np.full(n, np.nan)
        sigma = np.full((n, 3), np.nan)
        if predicted is not None:
            class_name[valid] = np.array(classes)[predicted.probability.argmax(axis=1)]
            probability[valid], extended[valid] = predicted.probability, predicted.extended
            low, middle, high = predicted.size[:, 1:4].T
            sigma[valid] = np.column_stack([middle, middle - low, high - middle])
        table = QTable(
            {
                "name": np.array(names, dtype=str),
                "ra": positions.icrs.ra,
                "dec": positions.icrs.dec,
                "extension_class": class_name,
                "extension_prob": probability,
                "extended_prob": extended,
                "ext_sigma": sigma[:, 0] * u.deg,
                "ext_sigma_errn": sigma[:, 1] * u.deg,
                "ext_sigma_errp": sigma[:, 2] * u.deg,
                "flags": flags.astype("i4"),
            }
        )
        return cls(table, meta)
