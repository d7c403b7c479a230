# Licensed under a 3-clause BSD style license - see LICENSE
"""Folder that keeps the results of tiles, so that an interrupted run goes on."""

import hashlib
import json
from pathlib import Path

import numpy as np
from gammapy.utils.scripts import make_path

from ..candidates import Candidates
from ..files import new_file

__all__ = ["TileFolder", "digest_dataset", "digest_table"]

#: File of a folder that says what it holds.
RECORD = "survey.json"


class TileFolder:
    """Candidates of tiles, a file each.

    Parameters
    ----------
    folder : str or path, optional
        Folder; without one nothing is kept.
    """

    def __init__(self, folder=None):
        self.folder = None if folder is None else make_path(folder)

    def path(self, tile):
        """File of a tile; None without a folder."""
        return None if self.folder is None else Path(self.folder) / f"tile_{tile:04d}.fits"

    def finished(self, record):
        """Candidates of the tiles that an earlier run left.

        Parameters
        ----------
        record : dict
            What determines the results: configuration and hashes of the data.

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
        record = json.loads(json.dumps(record, default=str, sort_keys=True))
        path = Path(self.folder) / RECORD
        if path.exists():
            if json.loads(path.read_text()) != record:
                raise ValueError(
                    f"{self.folder} holds a survey of other data or with another configuration: "
                    "choose another folder, or remove it"
                )
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            with new_file(path) as temporary:
                Path(temporary).write_text(json.dumps(record, indent=1))
        files = sorted(Path(self.folder).glob("tile_*.fits"))
        return {int(file.stem.removeprefix("tile_")): Candidates.read(file) for file in files}


def digest_dataset(dataset):
    """Hash of all that a dataset holds."""
    digest = hashlib.sha256()
    maps = [dataset.counts, dataset.background, dataset.exposure, dataset.mask, dataset.psf.psf_map]
    if dataset.edisp is not None:
        maps.append(dataset.edisp.edisp_map)
    for m in maps:
        if m is not None:
            digest.update(repr(m.geom).encode())
            digest.update(np.ascontiguousarray(m.data))
    for model in dataset.models or ():
        digest.update(json.dumps(model.to_dict(), default=str, sort_keys=True).encode())
    return digest.hexdigest()


def digest_table(table):
    """Hash of a table."""
    digest = hashlib.sha256()
    for name in table.colnames:
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(np.asarray(table[name])))
    return digest.hexdigest()
