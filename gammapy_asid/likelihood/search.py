# Licensed under a 3-clause BSD style license - see LICENSE
"""Search and likelihood fits in turn, until nothing new appears."""

import numpy as np
import torch
from astropy.table import QTable, vstack
from gammapy.datasets import Datasets, MapDataset
from gammapy.estimators import ESTIMATOR_REGISTRY, Estimator
from gammapy.modeling.models import Models

from ..catalog.candidates import Candidates
from ..catalog.names import iau_names
from ..estimators.detector import DLSourceDetector
from ..estimators.find import default_parts
from ..estimators.flux import DLFluxEstimator
from ..inputs.datasets import with_models
from ..inputs.prepare import usable_datasets
from ..utils.arguments import check_estimator, check_number
from ..utils.progress import bar, steps
from .gammapy import CandidateFitEstimator

__all__ = ["IterativeSearch"]

#: Largest change of a test statistic, as a share of it or by itself, of a fit that need not be repeated; and
#: how often all are fitted again: of 50 sources in the Galactic centre the third time changed none.
SETTLED, SETTLED_TS, LAST_ROUNDS = 0.01, 0.3, 3


class IterativeSearch(Estimator):
    """Find sources, fit them, add the significant ones to the model and look again at what is left.

    Parameters
    ----------
    detector : `~gammapy_asid.DLSourceDetector`, optional
        Detector; by default that of the model ``lat``.
    flux_estimator : `~gammapy_asid.DLFluxEstimator`, optional
        Estimator of the fluxes that the fits start from; by default that of the detector's model.
    fits : `~gammapy_asid.likelihood.CandidateFitEstimator`, optional
        Likelihood fits.
    ts_threshold : float
        Test statistic from which a candidate is part of the model of the next round.
    max_rounds : int
        Largest number of rounds.
    device : str, optional
        Torch device of the detector and the flux estimator where they are not given; by default the
        accelerator if there is one.

    Examples
    --------
    >>> from gammapy_asid.likelihood import IterativeSearch
    >>> search = IterativeSearch()
    >>> candidates = search.run(dataset)  # doctest: +SKIP
    >>> candidates.meta["search"]  # doctest: +SKIP
    """

    tag = "IterativeSearch"

    def __init__(
        self,
        detector: DLSourceDetector | None = None,
        flux_estimator: DLFluxEstimator | None = None,
        fits: CandidateFitEstimator | None = None,
        ts_threshold: float = 25.0,
        max_rounds: int = 5,
        device: str | torch.device | None = None,
    ) -> None:
        check_number("ts_threshold", ts_threshold, low=0)
        check_number("max_rounds", max_rounds, low=1, whole=True)
        check_estimator("fits", fits)
        self.detector, self.flux_estimator = default_parts(detector, flux_estimator, device)
        self.fits = fits or CandidateFitEstimator()
        self.ts_threshold = ts_threshold
        self.max_rounds = max_rounds

    @property
    def config_parameters(self):
        """Configuration of the search and of its parts."""
        return {
            "detector": self.detector.config_parameters,
            "flux_estimator": self.flux_estimator.config_parameters,
            "fits": self.fits.config_parameters,
            "ts_threshold": self.ts_threshold,
            "max_rounds": self.max_rounds,
        }

    def run(self, datasets: MapDataset | Datasets) -> Candidates:
        """Find and fit the sources of a field.

        Parameters
        ----------
        datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
            Data of one field; left unchanged.

        Returns
        -------
        candidates : `~gammapy_asid.Candidates`
            All candidates of all rounds by decreasing score, the insignificant ones too, each fitted
            with all others beside it; maps are those of the first round. ``meta["search"]`` has the
            numbers of new candidates, and of significant ones, in each round.
        """
        datasets = usable_datasets(datasets)
        found, rounds = None, []
        for _ in steps(range(self.max_rounds), "Rounds"):
            new = self._look(datasets, found)
            if len(new) == 0:
                break
            together = None
            if found is not None:
                together, is_new = _joined(found, new)
                new = together[is_new]
            new = self.fits.run(datasets, new, neighbours=together)
            rounds.append({"new": len(new), "significant": int(self._is_significant(new).sum())})
            found = new if found is None else _joined(found, new)[0]
            if rounds[-1]["significant"] == 0:
                break
        found = self.fits.run(datasets, new) if found is None else self._settled(datasets, found)
        return found.with_columns(QTable(), meta={"search": {"rounds": rounds} | self._limits()})

    def _limits(self):
        return {"ts_threshold": self.ts_threshold, "max_rounds": self.max_rounds}

    def _is_significant(self, candidates):
        return np.nan_to_num(candidates.table["ts"]) >= self.ts_threshold

    def _settled(self, datasets, found):
        """Candidates fitted again, each beside the others as fitted, until their test statistics stay."""
        moving = np.full(len(found), len(found) > 1)
        for _ in range(LAST_ROUNDS):
            if not moving.any():
                break
            before = np.nan_to_num(found.table["ts"])
            found = _replaced(found, self.fits.run(datasets, found[moving], neighbours=found), moving)
            after = np.nan_to_num(found.table["ts"])
            changed = np.abs(after - before) > np.maximum(SETTLED_TS, SETTLED * after)
            # What changed is part of the regions around it
            apart = found.positions[:, None].separation(found.positions)
            moving = (changed & (apart < self.fits.options.width / 2)).any(axis=1)
        return found

    def _look(self, datasets, found):
        """New candidates beside those that were found."""
        if found is not None:
            sources = _fitted(found[self._is_significant(found)])
            datasets = [with_models(d, Models([*(d.models or ()), *sources])) for d in datasets]
        datasets = Datasets(datasets)
        with bar("Looking for sources"):
            candidates = self.detector.run(datasets)
        if found is not None and len(candidates):
            # What was found and is not significant is found again
            nearest, distance, _ = candidates.positions.match_to_catalog_sky(found.positions)
            apart = distance > np.hypot(found.table["pos_err_95"][nearest], candidates.table["pos_err_95"])
            candidates = candidates[apart]
        return candidates.with_fluxes(self.flux_estimator.run(datasets, candidates))


def _fitted(candidates):
    """Models at the positions of the fits, which leave the least behind."""
    models = candidates.to_models()
    for model, row in zip(models, candidates.table, strict=True):
        if np.isfinite(row["fit_ra"]):
            model.spatial_model.lon_0.quantity, model.spatial_model.lat_0.quantity = (
                row["fit_ra"],
                row["fit_dec"],
            )
    return models


def _replaced(candidates, part, rows):
    """Candidates with some rows as they are in a part of them."""
    table = candidates.table.copy()
    for name in part.table.colnames:
        table[name][rows] = part.table[name]
    return Candidates(table, candidates.maps, candidates.meta | part.meta)


def _joined(first, second):
    """Both lists as one by decreasing score, with the columns they share; and which rows are of the second.

    Designations that repeat get letters.
    """
    table = vstack([first.table, second.table], metadata_conflicts="silent", join_type="inner")
    order = np.argsort(-np.asarray(table["score"]), kind="stable")
    joined = Candidates(table[order], first.maps, first.meta)
    joined.table["name"] = np.array(iau_names(joined.positions), dtype=str)
    return joined, order >= len(first)


ESTIMATOR_REGISTRY.append(IterativeSearch)
