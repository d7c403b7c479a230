# Licensed under a 3-clause BSD style license - see LICENSE
"""Source detection on fields of any size."""

import logging
from os import PathLike
from typing import Literal

import torch
from gammapy.datasets import Datasets, MapDataset
from gammapy.estimators import ESTIMATOR_REGISTRY, Estimator

from ..catalog.candidates import Candidates
from ..estimators.detector import DLSourceDetector
from ..estimators.find import default_parts, find_with_fluxes
from ..estimators.flux import DLFluxEstimator
from ..inputs.checks import each_usable
from ..inputs.field_pixels import separate_fields
from ..utils.parallel import Processes
from .folder import TileFolder, run_tiles
from .merge import merge_fields, merge_tiles
from .sky_tiles import SkyTiles, TileCutter, cut_tile

__all__ = ["DLSkySurvey"]

package_log = logging.getLogger("gammapy_asid")


class DLSkySurvey(Processes, Estimator):
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
    device : str, optional
        Torch device of the detector and the flux estimator where they are not given; by default the
        accelerator if there is one.

    Examples
    --------
    >>> from gammapy_asid import DLSkySurvey
    >>> survey = DLSkySurvey(folder="tiles", n_jobs=2)
    >>> candidates = survey.run(dataset)  # doctest: +SKIP
    """

    tag = "DLSkySurvey"

    def __init__(
        self,
        detector: DLSourceDetector | None = None,
        flux_estimator: DLFluxEstimator | None = None,
        nside: int = 3,
        margin: float = 4.5,
        folder: str | PathLike[str] | None = None,
        n_jobs: int | None = None,
        parallel_backend: Literal["multiprocessing", "ray"] | None = None,
        device: str | torch.device | None = None,
    ) -> None:
        super().__init__(n_jobs, parallel_backend)
        self.detector, self.flux_estimator = default_parts(detector, flux_estimator, device)
        self.tiles = SkyTiles(nside, margin)
        self.folder = folder

    @property
    def config_parameters(self):
        """Configuration of the survey and of its parts."""
        return {
            "detector": self.detector.config_parameters,
            "flux_estimator": self.flux_estimator.config_parameters,
            "nside": self.tiles.nside,
            "margin": self.tiles.margin,
            "folder": self.folder,
            **self.parallel_parameters,
        }

    def run(self, datasets: MapDataset | Datasets) -> Candidates:
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
        folder = TileFolder(self.folder, self._record(datasets))
        lists = folder.finished()
        wanted = sorted(set().union(*(cutter.tiles_with_data(self.tiles) for cutter in cutters)))
        waiting = [tile for tile in wanted if tile not in lists]

        def arguments(tile):
            # Only the first warns of what all have in common
            parts = cut_tile(cutters, self.tiles, tile)
            return self.detector, self.flux_estimator, parts, tile != waiting[0]

        lists |= run_tiles(_run_tile, arguments, waiting, folder, self, "Tiles")
        merged = merge_tiles(lists, self.tiles, self.detector.card.to_bands().pixel_size)
        merged.meta["datasets"] = [dataset.name for dataset in datasets]
        merged.meta["survey"] = {"nside": self.tiles.nside, "margin": self.tiles.margin, "tiles": len(lists)}
        return merged

    def _record(self, datasets):
        """What determines the candidates of a tile."""
        detector, fluxes = (
            {k: v for k, v in part.config_parameters.items() if k not in ("model", "classify", "device")}
            for part in (self.detector, self.flux_estimator)
        )
        # Folders of version 0.1 know of no classifier
        detector = {k: v for k, v in detector.items() if k != "classifier" or v is not None}
        return {
            "data": datasets,
            # The same model may be given by its name or as a file
            "weights": [self.detector.card.sha256, self.flux_estimator.card],
            "detector": detector,
            "flux_estimator": fluxes,
            "nside": self.tiles.nside,
            "margin": self.tiles.margin,
        }


def _run_tile(detector, flux_estimator, datasets, quiet):
    """Candidates of a tile with their fluxes."""
    level = package_log.level
    package_log.setLevel(logging.ERROR if quiet else level)
    try:
        # Observations of one tile may be of places apart
        found = [find_with_fluxes(detector, flux_estimator, field) for field in separate_fields(datasets)]
    finally:
        package_log.setLevel(level)
    return merge_fields(found)


ESTIMATOR_REGISTRY.append(DLSkySurvey)
