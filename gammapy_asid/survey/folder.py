# Licensed under a 3-clause BSD style license - see LICENSE
"""Folder that keeps the results of tiles, so that an interrupted run goes on."""

import logging

from ..catalog.candidates import Candidates
from ..utils.work_folder import WorkFolder

__all__ = ["TileFolder"]

log = logging.getLogger(__name__)


class TileFolder:
    """Candidates of tiles, a file each.

    Parameters
    ----------
    folder : str or path, optional
        Folder; without one nothing is kept.
    """

    def __init__(self, folder=None):
        self.folder = folder
        self.work = None

    def finished(self, record):
        """Candidates of the tiles that an earlier run left.

        Parameters
        ----------
        record : dict
            What determines the results: configuration, networks and data.

        Returns
        -------
        lists : dict of int to `~gammapy_asid.Candidates`
            Candidates by tile.

        Raises
        ------
        ValueError
            If the folder holds the results of something else.
        """
        if self.folder is None:
            return {}
        self.work = WorkFolder(self.folder, "survey", record)
        lists = {}
        for path in sorted(self.work.folder.glob("tile_*.fits")):
            if self.work.find(path.name) is None:
                log.warning(f"{path} is damaged or from elsewhere, and made anew")
                continue
            lists[int(path.stem.removeprefix("tile_"))] = Candidates.read(path)
        return lists

    def keep(self, tile, candidates):
        """Keep the candidates of a tile, if there is a folder."""
        if self.folder is not None:
            with self.work.new_file(f"tile_{tile:04d}.fits") as temporary:
                candidates.write(temporary)
