# Licensed under a 3-clause BSD style license - see LICENSE
"""Likelihood fits on data of any size."""

from os import PathLike
from typing import Literal

import numpy as np
from astropy.table import QTable
from gammapy.datasets import Datasets, MapDataset
from gammapy.estimators import ESTIMATOR_REGISTRY, Estimator

from ..catalog.candidates import Candidates
from ..catalog.columns import CandidateFlag, fit_columns
from ..inputs.checks import check_expectation, each_usable
from ..inputs.square_pixels import on_square_pixels
from ..likelihood.gammapy import CandidateFitEstimator
from ..utils.arguments import check_estimator, check_kind, check_number
from ..utils.parallel import Processes
from .folder import TileFolder, run_tiles
from .sky_tiles import SkyTiles, TileCutter

__all__ = ["SkyFitEstimator"]

#: Flags of a candidate that no data show.
NO_DATA = CandidateFlag.OUTSIDE | CandidateFlag.FIT_FAILED


class SkyFitEstimator(Processes, Estimator):
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

    def __init__(
        self,
        fits: CandidateFitEstimator | None = None,
        score_min: float = 0.0,
        nside: int = 6,
        folder: str | PathLike[str] | None = None,
        n_jobs: int | None = None,
        parallel_backend: Literal["multiprocessing", "ray"] | None = None,
    ) -> None:
        super().__init__(n_jobs, parallel_backend)
        check_estimator("fits", fits)
        check_number("score_min", score_min)
        self.fits = fits or CandidateFitEstimator()
        # A region of a fit must not leave its tile
        margin = self.fits.options.width.to_value("deg") / np.sqrt(2)
        self.tiles = SkyTiles(nside, margin)
        self.score_min = score_min
        self.folder = folder

    @property
    def config_parameters(self):
        """Configuration."""
        return {
            "fits": self.fits.config_parameters,
            "score_min": self.score_min,
            "nside": self.tiles.nside,
            "folder": self.folder,
            **self.parallel_parameters,
        }

    def run(self, datasets: MapDataset | Datasets, candidates: Candidates) -> Candidates:
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
            "fits": {
                k: v for k, v in self.fits.config_parameters.items() if k not in self.parallel_parameters
            },
            "score_min": self.score_min,
            "nside": self.tiles.nside,
            "candidates": candidates.table,
            "data": datasets,
        }
        folder = TileFolder(self.folder, record)
        done = folder.finished()
        waiting = [tile for tile in np.unique(owner[owner >= 0]).tolist() if tile not in done]

        def arguments(tile):
            return self._arguments(tile, cutters, candidates, owner)

        done |= run_tiles(_fit_tile, arguments, waiting, folder, self, "Fits of tiles")
        return _in_order(candidates, owner, done).with_columns(QTable(), np.where(nowhere, NO_DATA, 0))

    def _arguments(self, tile, cutters, candidates, owner):
        centre, radius = self.tiles.centre(tile), self.tiles.radius(tile)
        parts = [cutter.cut(centre, radius) for cutter in cutters]
        near = candidates.positions.separation(centre).deg < radius
        # Their maps stay here
        table, meta = candidates.table, candidates.meta
        mine, others = (Candidates(table[rows], meta=meta) for rows in (owner == tile, near))
        return self.fits, parts, mine, others


def _cutter(dataset):
    cutter = TileCutter(dataset)
    check_expectation(cutter.dataset)
    return cutter


def _fit_tile(fits, parts, candidates, neighbours):
    """Candidates of a tile with their fits."""
    datasets = [on_square_pixels(some) for some in parts if some]
    # Too little of a pixel may be left at the edge of the data
    datasets = Datasets([dataset for dataset in datasets if dataset.mask.data.any()])
    if len(datasets):
        return fits.run(datasets, candidates, neighbours=neighbours)
    return candidates.with_columns(fit_columns([{}] * len(candidates)), NO_DATA)


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
