# Licensed under a 3-clause BSD style license - see LICENSE
"""Source detection on fields of any size."""

import logging

from gammapy.estimators import ESTIMATOR_REGISTRY, Estimator
from gammapy.utils import parallel
from gammapy.utils.pbar import progress_bar

from ..catalog.candidates import Candidates
from ..estimators.detector import DLSourceDetector
from ..estimators.find import find_with_fluxes
from ..estimators.flux import DLFluxEstimator
from ..inputs.checks import each_usable
from ..utils.arguments import check_estimator, check_jobs
from ..utils.parallel import run_tasks
from .folder import TileFolder
from .merge import merge_tiles
from .sky_tiles import SkyTiles, TileCutter, cut_tile

__all__ = ["DLSkySurvey"]

package_log = logging.getLogger("gammapy_asid")


class DLSkySurvey(parallel.ParallelMixin, Estimator):
    """Find and measure the sources of a sky that is too large for one field.

    The sky is cut into overlapping round tiles; in each the detector and the flux
    estimator run, and what two tiles see is joined by error circle and score. Maps may be
    HEALPix or in any projection.

    Parameters
    ----------
    detector : `~gammapy_asid.DLSourceDetector`, optional
        Detector; by default that of the model ``lat``.
    flux_estimator : `~gammapy_asid.DLFluxEstimator`, optional
        Estimator of the fluxes; by default that of the detector's model, for the range of
        energies of the data.
    nside : int
        HEALPix parameter of the tiles: there are ``12 nside**2``.
    margin : float
        Width in deg of the margin around the core of a tile. The network sees 44 finest pixels far.
    folder : str or path, optional
        Where the candidates of each tile are kept. A survey that was interrupted goes on there.
    n_jobs : int, optional
        Number of processes.
    parallel_backend : {"multiprocessing", "ray"}, optional
        How they are made.

    Examples
    --------
    >>> from gammapy_asid import DLSkySurvey
    >>> survey = DLSkySurvey(folder="tiles", n_jobs=2)
    >>> candidates = survey.run(dataset)  # doctest: +SKIP
    """

    tag = "DLSkySurvey"

    def __init__(
        self,
        detector=None,
        flux_estimator=None,
        nside=3,
        margin=4.5,
        folder=None,
        n_jobs=None,
        parallel_backend=None,
    ):
        check_estimator("detector", detector)
        check_estimator("flux_estimator", flux_estimator)
        check_jobs(n_jobs)
        self.detector = detector or DLSourceDetector()
        self.flux_estimator = (
            DLFluxEstimator(self.detector.model, device=self.detector.device)
            if flux_estimator is None
            else flux_estimator
        )
        self.tiles = SkyTiles(nside, margin)
        self.folder = TileFolder(folder)
        self.n_jobs = n_jobs
        self.parallel_backend = parallel_backend

    @property
    def config_parameters(self):
        """Configuration of the survey and of its parts."""
        return {
            "detector": self.detector.config_parameters,
            "flux_estimator": self.flux_estimator.config_parameters,
            "nside": self.tiles.nside,
            "margin": self.tiles.margin,
            "folder": self.folder.folder,
            "n_jobs": self.n_jobs,
            "parallel_backend": parallel.ParallelBackendEnum(self.parallel_backend).value,
        }

    def run(self, datasets):
        """Find the sources.

        Parameters
        ----------
        datasets : `~gammapy.datasets.MapDataset` or `~gammapy.datasets.Datasets`
            Data of the sky or of a part of it, which may come in event types, energy ranges and
            pixel sizes.

        Returns
        -------
        candidates : `~gammapy_asid.Candidates`
            Candidates with fluxes, by decreasing score, without maps.

        Raises
        ------
        TypeError, ValueError
            If the data can't be used, or if the folder holds another survey.
        """
        cutters = each_usable(datasets, TileCutter)
        datasets = [cutter.dataset for cutter in cutters]
        lists = self.folder.finished(self._what(datasets))
        wanted = sorted(set().union(*(cutter.tiles_with_data(self.tiles) for cutter in cutters)))
        waiting = [tile for tile in wanted if tile not in lists]
        n_at_once = max(2 * self.n_jobs, 1)
        # A few at a time, so that the memory holds only their data
        rounds = [waiting[i : i + n_at_once] for i in range(0, len(waiting), n_at_once)]
        for some in progress_bar(rounds, desc="Tiles"):
            lists |= self._run_tiles(some, cutters, speaker=waiting[0])
        merged = merge_tiles(lists, self.tiles, self.detector.card.to_bands().pixel_size)
        merged.meta["datasets"] = [dataset.name for dataset in datasets]
        merged.meta["survey"] = {"nside": self.tiles.nside, "margin": self.tiles.margin, "tiles": len(lists)}
        return merged

    def _run_tiles(self, numbers, cutters, speaker):
        """Candidates of some tiles; only the speaker warns of what all have in common."""
        fields = [cut_tile(cutters, self.tiles, tile) for tile in numbers]
        inputs = [
            (self.detector, self.flux_estimator, field, self.folder, tile, tile != speaker)
            for tile, field in zip(numbers, fields, strict=True)
        ]
        results = run_tasks(_run_tile, inputs, self)
        return dict(zip(numbers, results, strict=True))

    def _what(self, datasets):
        """What determines the candidates of a tile."""
        detector, fluxes = (
            {k: v for k, v in part.config_parameters.items() if k not in ("model", "device")}
            for part in (self.detector, self.flux_estimator)
        )
        return {
            "data": datasets,
            # The same model may be given by its name or as a file
            "weights": [self.detector.card.sha256, self.flux_estimator.card],
            "detector": detector,
            "flux_estimator": fluxes,
            "nside": self.tiles.nside,
            "margin": self.tiles.margin,
        }


def _run_tile(detector, flux_estimator, field, folder, tile, quiet):
    """Candidates of a tile with their fluxes, kept in the folder."""
    level = package_log.level
    package_log.setLevel(logging.ERROR if quiet else level)
    try:
        candidates = find_with_fluxes(detector, flux_estimator, field)
    finally:
        package_log.setLevel(level)
    candidates = Candidates(candidates.table, meta=candidates.meta)
    folder.keep(tile, candidates)
    return candidates


ESTIMATOR_REGISTRY.append(DLSkySurvey)
