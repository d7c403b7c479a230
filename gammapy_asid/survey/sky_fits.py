# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood fits on data of any size."""

import numpy as np
from astropy.table import QTable
from gammapy.datasets import Datasets
from gammapy.estimators import ESTIMATOR_REGISTRY, Estimator
from gammapy.utils import parallel
from gammapy.utils.pbar import progress_bar

from ..catalog.candidates import Candidates
from ..catalog.columns import CandidateFlag
from ..inputs.checks import check_expectation, each_usable
from ..inputs.square_pixels import regular_dataset
from ..likelihood.gammapy import CandidateFitEstimator, fit_columns
from ..utils.arguments import check_estimator, check_jobs, check_kind, check_number
from ..utils.parallel import run_tasks
from .folder import TileFolder
from .sky_tiles import SkyTiles, TileCutter

__all__ = ["SkyFitEstimator"]


class SkyFitEstimator(parallel.ParallelMixin, Estimator):
    """Test the candidates of a large sky with the likelihood, tile by tile.

    Each tile is brought to square pixels, which Gammapy's predictions need, and its candidates are
    fitted with their neighbours beside them.

    Parameters
    ----------
    fits : `~gammapy_asid.likelihood.CandidateFitEstimator`, optional
        Fits of one tile.
    score_min : float
        Candidates of a lower score are not fitted; they stay neighbours of others.
    nside : int
        HEALPix parameter of the tiles.
    folder : str or path, optional
        Where the fits of each tile are kept. Fits that were interrupted go on there.
    n_jobs : int, optional
        Number of processes.
    parallel_backend : {"multiprocessing", "ray"}, optional
        How they are made.

    Examples
    --------
    >>> from gammapy_asid.survey import SkyFitEstimator
    >>> fits = SkyFitEstimator(folder="fits", n_jobs=2)
    >>> candidates = fits.run(dataset, candidates)  # doctest: +SKIP
    """

    tag = "SkyFitEstimator"

    def __init__(self, fits=None, score_min=0.0, nside=6, folder=None, n_jobs=None, parallel_backend=None):
        check_estimator("fits", fits)
        check_jobs(n_jobs)
        check_number("score_min", score_min)
        self.fits = fits or CandidateFitEstimator()
        # A region of a fit must not leave its tile
        margin = self.fits.options.width.to_value("deg") / np.sqrt(2)
        self.tiles = SkyTiles(nside, margin)
        self.score_min = score_min
        self.folder = TileFolder(folder)
        self.n_jobs = n_jobs
        self.parallel_backend = parallel_backend

    @property
    def config_parameters(self):
        """Configuration."""
        return {
            "fits": self.fits.config_parameters,
            "score_min": self.score_min,
            "nside": self.tiles.nside,
            "folder": self.folder.folder,
            "n_jobs": self.n_jobs,
            "parallel_backend": parallel.ParallelBackendEnum(self.parallel_backend).value,
        }

    def run(self, datasets, candidates):
        """Fit candidates.

        Parameters
        ----------
        datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
            Data, of any projection and HEALPix.
        candidates : `~gammapy_asid.Candidates`
            Candidates.

        Returns
        -------
        candidates : `~gammapy_asid.Candidates`
            See `~gammapy_asid.likelihood.CandidateFitEstimator`.

        Raises
        ------
        TypeError, ValueError
            If the data can't be used, or if the folder holds other fits.
        """
        check_kind("candidates", candidates, Candidates)
        cutters = each_usable(datasets, _cutter)
        datasets = [cutter.dataset for cutter in cutters]
        # No tile has the number -1
        owner = np.full(len(candidates), -1)
        # Those of other lists have no score
        wanted = ~(candidates.table["score"] < self.score_min)
        nowhere = ~(np.isfinite(candidates.table["ra"]) & np.isfinite(candidates.table["dec"]))
        wanted &= ~nowhere
        owner[wanted] = self.tiles.owner(candidates.positions[wanted])
        record = {
            "fits": {k: v for k, v in self.fits.config_parameters.items() if k not in PARALLEL},
            "score_min": self.score_min,
            "nside": self.tiles.nside,
            "candidates": candidates.table,
            "data": datasets,
        }
        done = self.folder.finished(record)
        waiting = [tile for tile in np.unique(owner[owner >= 0]).tolist() if tile not in done]
        step = max(2 * self.n_jobs, 1)
        # A few at a time, so that the memory holds only their data
        for some in progress_bar(
            [waiting[i : i + step] for i in range(0, len(waiting), step)], desc="Fits of tiles"
        ):
            inputs = [self._input(tile, cutters, candidates, owner) for tile in some]
            results = run_tasks(_fit_tile, inputs, self)
            done |= dict(zip(some, results, strict=True))
        outside = CandidateFlag.OUTSIDE | CandidateFlag.FIT_FAILED
        return _in_order(candidates, owner, done).with_columns(QTable(), np.where(nowhere, outside, 0))

    def _input(self, tile, cutters, candidates, owner):
        centre, radius = self.tiles.centre(tile), self.tiles.radius(tile)
        parts = [cutter.cut(centre, radius) for cutter in cutters]
        near = candidates.positions.separation(centre).deg < radius
        # Their maps stay here
        table, meta = candidates.table, candidates.meta
        mine, others = (Candidates(table[rows], meta=meta) for rows in (owner == tile, near))
        return self.fits, parts, mine, others, self.folder, tile


#: What changes how fits are made and not what they give.
PARALLEL = ("n_jobs", "parallel_backend")


def _cutter(dataset):
    cutter = TileCutter(dataset)
    check_expectation(cutter.dataset)
    return cutter


def _fit_tile(fits, parts, candidates, neighbours, folder, tile):
    """Candidates of a tile with their fits, kept in the folder."""
    datasets = [regular_dataset(some) for some in parts if some]
    # Too little of a pixel may be left at the edge of the data
    datasets = Datasets([dataset for dataset in datasets if dataset.mask.data.any()])
    if len(datasets):
        candidates = fits.run(datasets, candidates, neighbours=neighbours)
    else:
        outside = CandidateFlag.OUTSIDE | CandidateFlag.FIT_FAILED
        candidates = candidates.with_columns(fit_columns([{}] * len(candidates)), outside)
    folder.keep(tile, candidates)
    return candidates


def _in_order(candidates, owner, done):
    """The candidates with the columns of the fits of all tiles, empty where nothing was fitted."""
    columns, flags, meta = fit_columns([{}] * len(candidates)), np.zeros(len(candidates), dtype=int), {}
    for tile in np.unique(owner[owner >= 0]).tolist():
        rows, fitted = owner == tile, done[tile]
        for name in columns.colnames:
            columns[name][rows] = fitted.table[name]
        flags[rows] = fitted.table["flags"]
        # None in a tile without data
        meta = {"fit": fitted.meta["fit"]} if "fit" in fitted.meta else meta
    return candidates.with_columns(columns, flags, meta)


ESTIMATOR_REGISTRY.append(SkyFitEstimator)
