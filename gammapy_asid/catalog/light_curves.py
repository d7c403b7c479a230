# Licensed under a 3-clause BSD style license - see LICENSE
"""Light curves of sources: one table, and native flux points of each."""

from dataclasses import dataclass

import numpy as np
from astropy.table import QTable
from gammapy.estimators import FluxPoints
from gammapy.maps import MapAxis, Maps, RegionGeom, TimeMapAxis
from gammapy.modeling.models import PowerLawSpectralModel

from .source_table import SourceTable, row_number

__all__ = ["SourceLightCurves"]

#: Fluxes of a time bin, as maps of flux points.
QUANTITIES = ("flux", "flux_err", "flux_errn", "flux_errp", "flux_ul")


@dataclass(repr=False)
class SourceLightCurves(SourceTable):
    """Light curves of the sources of one field.

    Parameters
    ----------
    table : `~astropy.table.QTable`
        One row per source: ``name``, ``ra``, ``dec``, ``e_min``, ``e_max``, ``index`` (photon index of the
        whole time), ``variability_index``, ``flags``, and of shape ``(n_bins,)`` in each row ``flux``,
        ``flux_err``, ``flux_errn``, ``flux_errp``, ``flux_ul`` and ``is_ul``, as in
        `~gammapy_asid.catalog.fluxes.SourceFluxes`; NaN where a source lies outside the valid data.
    start, stop : `~astropy.time.Time`
        First and last moment of each time bin, shape ``(n_bins,)``.
    meta : dict
        Provenance.
    """

    table: QTable
    start: np.ndarray
    stop: np.ndarray
    meta: dict

    @property
    def summary(self):
        """What is in the table, in a few words."""
        return f"{super().summary}, {len(self.start)} time bins"

    def flux_points(self, source):
        """Light curve of a source.

        Parameters
        ----------
        source : int or str
            Row or name.

        Returns
        -------
        points : `~gammapy.estimators.FluxPoints`
            Flux points of type ``flux`` with the axes ``energy``, of one bin, and ``time``, as those of
            `~gammapy.estimators.LightCurveEstimator`. Points whose 95 % interval reaches zero are limits.

        Raises
        ------
        KeyError
            If there is no source of that name.
        """
        row = self.table[row_number(self, source)]
        since = [(time - self.start[0]).to("d") for time in (self.start, self.stop)]
        axes = [
            MapAxis.from_energy_edges([row["e_min"], row["e_max"]]),
            TimeMapAxis(*since, reference_time=self.start[0]),
        ]
        geom = RegionGeom.create(region=None, axes=axes)
        maps = Maps.from_geom(geom, names=[*QUANTITIES, "is_ul"], kwargs_list=[{}] * 5 + [{"dtype": bool}])
        for name in QUANTITIES:
            maps[name].quantity = row[name].reshape(geom.data_shape)
        maps["is_ul"].data = np.asarray(row["is_ul"]).reshape(geom.data_shape)
        index = row["index"] if np.isfinite(row["index"]) else 2.0
        return FluxPoints.from_maps(maps, sed_type="flux", reference_model=PowerLawSpectralModel(index=index))
