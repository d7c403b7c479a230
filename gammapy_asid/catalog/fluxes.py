# Licensed under a 3-clause BSD style license - see LICENSE
"""Fluxes of sources: one table, and native flux points of each."""

from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table
from gammapy.modeling.models import PowerLawSpectralModel

from .columns import BAND_COLUMNS, FLUX_COLUMNS
from .flux_points import points_of_fluxes
from .source_table import SourceTable, row_number

__all__ = ["FLUX_UNIT", "SourceFluxes", "integral_flux"]

#: Unit of photon fluxes. Astropy reads a text anew each time, which takes as long as the flux itself.
FLUX_UNIT = u.Unit("cm-2 s-1")


def integral_flux(spectrum, e_min, e_max):
    """Photon flux of a spectrum between two energies.

    Parameters
    ----------
    spectrum : `~gammapy.modeling.models.SpectralModel`
        Spectrum.
    e_min, e_max : `~astropy.units.Quantity`
        Energies.

    Returns
    -------
    flux : `~astropy.units.Quantity`
        Photon flux.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        # Gammapy divides by zero before it turns to the formula for a power law of index 1
        return spectrum.integral(e_min, e_max)


@dataclass(repr=False)
class SourceFluxes(SourceTable):
    """Fluxes of the sources of one field.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        One row per source: ``name``, ``ra``, ``dec``, ``e_min``, ``e_max``, ``flux``, ``flux_err``,
        ``flux_errn``, ``flux_errp``, ``flux_ul``, ``is_ul``, ``index`` and ``flags``; NaN where a source
        lies outside the valid data. Limits (``is_ul``) are the fluxes whose 95 % interval reaches zero.
    bands : `~astropy.table.QTable`
        The same columns of flux for each energy band with data, each of shape ``(n, n_present)``; ``e_min``
        and ``e_max`` of these bands are in its ``meta``, and their ``index`` in the bands of the model.
    meta : dict
        Provenance; ``bands`` are the edges in GeV that the data cover of each band of the model, None for
        none.
    """

    table: QTable
    bands: QTable
    meta: dict

    def in_all_bands(self, name):
        """Column of fluxes in all bands of the model, NaN where there are no data.

        Parameters
        ----------
        name : str
            Name of a column of ``bands``.

        Returns
        -------
        values : `~astropy.units.Quantity`
            Shape ``(n, n_bands)``.
        """
        column = self.bands[name]
        values = np.full((len(self), len(self.meta["bands"])), np.nan) * column.unit
        values[:, self.bands.meta["index"]] = column
        return values

    def _with_rows(self, rows):
        return replace(self, table=self.table[rows], bands=self.bands[rows])

    @property
    def candidate_columns(self):
        """Columns for candidates (`~astropy.table.QTable`): those of the flux and of that in the bands."""
        columns = QTable(self.table[FLUX_COLUMNS])
        for column in BAND_COLUMNS:
            columns[column.name] = self.in_all_bands(column.name.replace("flux_band", "flux"))
        return columns

    def flux_points(self, source):
        """Spectral energy distribution of a source, one point per energy band.

        Parameters
        ----------
        source : int or str
            Row or name.

        Returns
        -------
        points : `~gammapy.estimators.FluxPoints`
            Flux points of type ``flux``. Points whose 95 % interval reaches zero are upper limits; energies
            between two bands without data are a point with a NaN flux.
        """
        row = row_number(self, source)
        columns = {name: self.bands[name][row] for name in self.bands.colnames}
        columns |= {"e_min": self.bands.meta["e_min"], "e_max": self.bands.meta["e_max"]}
        return self._points(columns, row)

    def integral(self, source):
        """Flux of a source in the whole range as a single flux point.

        Parameters
        ----------
        source : int or str
            Row or name.

        Returns
        -------
        points : `~gammapy.estimators.FluxPoints`
            One flux point of type ``flux``.
        """
        row = row_number(self, source)
        names = [*self.bands.colnames, "e_min", "e_max"]
        return self._points({name: self.table[name][row : row + 1] for name in names}, row)

    def _points(self, columns, row):
        table = Table({name: columns[name] for name in ("e_min", "e_max", *self.bands.colnames)})
        index = self.table["index"][row]
        return points_of_fluxes(table, PowerLawSpectralModel(index=index if np.isfinite(index) else 2.0))
