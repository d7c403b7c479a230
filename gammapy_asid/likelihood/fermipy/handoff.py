# Licensed under a 3-clause BSD style license - see LICENSE
"""All files that an analysis of candidates with fermipy needs."""

import numpy as np
import yaml
from gammapy.utils.scripts import make_path

from ...catalog.source_catalog import EXTENDED_TS
from ...utils.files import new_file
from .config import fermipy_config
from .script import analysis_script
from .sources import source_xml

__all__ = ["write_fermipy"]


def write_fermipy(
    candidates, folder, evfile=None, scfile=None, ltcube=None, roi_width=None, config=None, overwrite=False
):
    """Write all that a likelihood analysis of candidates with fermipy needs.

    Parameters
    ----------
    candidates : `~gammapy_asid.Candidates`
        Candidates, at least one.
    folder : str or path
        Folder, made where it does not exist. It gets ``config.yaml``, the configuration with the
        candidates in its model; ``sources.xml``, the candidates for gtlike; and ``analysis.py``, which
        runs where fermipy and the Fermitools are.
    evfile, scfile, ltcube, roi_width, config
        See `fermipy_config`.
    overwrite : bool
        Replace existing files.

    Returns
    -------
    paths : list of `~pathlib.Path`
        The three files.

    Raises
    ------
    FileExistsError
        If one of the files exists and `overwrite` is False; then none is written.
    FileNotFoundError
        If the folder cannot be made because its parent does not exist, or there is no file `config`.
    ValueError
        See `fermipy_config`.
    """
    folder = make_path(folder)
    full = fermipy_config(candidates, evfile, scfile, ltcube, roi_width, config)
    version = candidates.meta["version"]
    texts = {
        "config.yaml": f"# Written by gammapy-asid {version}\n" + yaml.safe_dump(full, sort_keys=False),
        "sources.xml": source_xml(candidates),
        "analysis.py": analysis_script(
            [str(name) for name in candidates.table["name"]], sqrt_ts_ext=float(np.sqrt(EXTENDED_TS))
        ),
    }
    if not folder.is_dir():
        if not folder.parent.is_dir():
            raise FileNotFoundError(f"The folder {folder.parent} does not exist: create it first")
        folder.mkdir()
    paths = [folder / name for name in texts]
    one, two, three = paths
    # All or none
    with (
        new_file(one, overwrite) as first,
        new_file(two, overwrite) as second,
        new_file(three, overwrite) as third,
    ):
        for path, text in zip((first, second, third), texts.values(), strict=True):
            path.write_text(text, encoding="utf-8")
    return paths
