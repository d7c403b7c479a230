# Licensed under a 3-clause BSD style license - see LICENSE
"""Files that appear whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path

__all__ = ["new_file"]


@contextmanager
def new_file(path, overwrite=False):
    """Temporary path that becomes `path` when the block ends without an error.

    Parameters
    ----------
    path : str or path
        File to write.
    overwrite : bool
        Replace an existing file.

    Yields
    ------
    temporary : `~pathlib.Path`
        File in the same folder with the same suffixes.

    Raises
    ------
    FileExistsError
        If `path` exists and `overwrite` is False.
    FileNotFoundError
        If its folder does not exist.
    """
    path = Path(os.path.expandvars(path))
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{path} exists: choose another name or overwrite it (overwrite=True, --overwrite)"
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {path.parent} does not exist: create it first")
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
