# Licensed under a 3-clause BSD style license - see LICENSE
"""Light curves of sources with a deep ensemble."""

import logging
from contextlib import contextmanager

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import QTable
from gammapy.datasets import Datasets
from gammapy.estimators import ESTIMATOR_REGISTRY
from gammapy.modeling.models import DatasetModels

from ..catalog.candidates import Candidates
from ..catalog.columns import CandidateFlag
from ..catalog.light_curves import SourceLightCurves
from ..inputs.time_bins import find_time_bins
from ..stats.variability import variability_index
from .flux import COLUMNS, DLFluxEstimator
from .flux import log as flux_log

__all__ = ["DLLightCurveEstimator"]

log = logging.getLogger(__name__)


class DLLightCurveEstimator(DLFluxEstimator):
    """Estimate light curves: the fluxes of sources in each bin of time, with calibrated uncertainties.

    `~gammapy_asid.DLFluxEstimator` runs on each bin, with the known sky of that bin. Parameters are those of
    that estimator.
    """

    tag = "DLLightCurveEstimator"

    def run(  # type: ignore[override]
        self, datasets: Datasets, sources: SkyCoord | Candidates | DatasetModels
    ) -> SourceLightCurves:
        """Estimate the light curves of sources.

        Parameters
        ----------
        datasets : `~gammapy.datasets.Datasets`
            Data of one field in bins of time, told by their good time intervals.
        sources : SkyCoord, `~gammapy_asid.Candidates` or Models
            Positions, see `~gammapy_asid.DLFluxEstimator`.

        Returns
        -------
        light_curves : `~gammapy_asid.catalog.light_curves.SourceLightCurves`
            One row per source, none lost.

        Raises
        ------
        TypeError, ValueError
            If the data are in no time bins, these overlap, or the data can't be used.
        """
        time_bins = find_time_bins(datasets)
        if time_bins is None:
            raise ValueError(
                "The data have one time only: a light curve needs datasets in time bins, see "
                "gammapy_asid.inputs.find_time_bins"
            )
        whole = super().run(datasets, sources)
        with _silent(flux_log):
            fluxes = [super(DLLightCurveEstimator, self).run(own, sources) for own in time_bins.members]
        table = QTable(whole.table[["name", "ra", "dec", "e_min", "e_max", "index"]])
        each = {name: [own.table[name] for own in fluxes] for name in (*COLUMNS, "is_ul")}
        for name, columns in each.items():
            table[name] = np.stack(columns, axis=1)
        table["variability_index"] = variability_index(table["flux"], table["flux_err"])
        table["flags"] = np.bitwise_or.reduce([own.table["flags"] for own in fluxes])
        beyond = np.sum((table["flags"] & CandidateFlag.UNTRAINED) > 0)
        if beyond:
            log.warning(
                f"{beyond} sources are beyond what the model was trained for in a bin (flag UNTRAINED)"
            )
        return SourceLightCurves(table, time_bins.start, time_bins.stop, whole.meta)


@contextmanager
def _silent(logger):
    """What would be said of each bin is said once of all."""
    disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = disabled


ESTIMATOR_REGISTRY.append(DLLightCurveEstimator)
