# Licensed under a 3-clause BSD style license - see LICENSE
"""Runs over tiles whose results a folder keeps, so that an interrupted run goes on."""

import logging

from ..catalog.candidates import Candidates
from ..utils.parallel import run_tasks
from ..utils.progress import bar
from ..utils.work_folder import WorkFolder

__all__ = ["TileFolder", "run_tiles"]

log = logging.getLogger(__name__)


class TileFolder:
    """Candidates of tiles, a file each.

    Parameters
    ----------
    folder : str or path, optional
        Folder; without one nothing is kept.
    record : dict
        What determines the results: configuration, networks and data.

    Raises
    ------
    ValueError
        If the folder holds the results of something else.
    """

    def __init__(self, folder, record):
        self.work = None if folder is None else WorkFolder(folder, "survey", record)

    def finished(self):
        """Candidates of the tiles that an earlier run left (dict of int to `~gammapy_asid.Candidates`)."""
        lists = {}
        for path in [] if self.work is None else sorted(self.work.folder.glob("tile_*.fits")):
            if self.work.find(path.name) is None:
                log.warning(f"{path} is damaged or from elsewhere, and made anew")
                continue
            lists[int(path.stem.removeprefix("tile_"))] = Candidates.read(path)
        return lists

    def keep(self, tile, candidates):
        """Keep the candidates of a tile, if there is a folder.

        Parameters
        ----------
        tile : int
            Number of the tile.
        candidates : `~gammapy_asid.Candidates`
            Its candidates.
        """
        if self.work is not None:
            with self.work.new_file(f"tile_{tile:04d}.fits") as temporary:
                candidates.write(temporary)


def run_tiles(function, arguments, tiles, folder, estimator, name):
    """Candidates of tiles, each kept in a folder as soon as it is done.

    Parameters
    ----------
    function : callable
        Function of a module that gives the candidates of a tile.
    arguments : callable
        Gives its arguments (tuple) by the number of the tile.
    tiles : list of int
        Numbers of the tiles.
    folder : `TileFolder`
        Folder.
    estimator : `~gammapy_asid.utils.parallel.Processes`
        Gives the number of processes and how they are made.
    name : str
        What the progress bar is called.

    Returns
    -------
    lists : dict of int to `~gammapy_asid.Candidates`
        Candidates by tile.
    """
    lists = {}
    # Two for each process at a time, so that the memory holds only their data and no process waits
    n_at_once = 2 * estimator.n_jobs
    with bar(name, len(tiles)) as advance:
        for start in range(0, len(tiles), n_at_once):
            some = tiles[start : start + n_at_once]
            inputs = [(function, arguments(tile), folder, tile) for tile in some]
            done = run_tasks(_run_and_keep, inputs, estimator, advance=advance)
            lists |= dict(zip(some, done, strict=True))
    return lists


def _run_and_keep(function, arguments, folder, tile):
    candidates = function(*arguments)
    folder.keep(tile, candidates)
    return candidates
