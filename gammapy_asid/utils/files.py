# Licensed under a 3-clause BSD style license - see LICENSE
"""Files that appear whole or not at all, and input that must be a file."""

import os
import re
import secrets
import socket
import stat
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

__all__ = ["FITS_SUFFIXES", "TABLE_SUFFIXES", "new_file", "regular_file"]

#: Ends of the names of FITS files, and of files that hold a table.
FITS_SUFFIXES = (".fits", ".fit", ".fits.gz", ".fit.gz")
TABLE_SUFFIXES = (*FITS_SUFFIXES, ".ecsv")


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
    exists = FileExistsError(
        f"{path} exists: choose another name or overwrite it (overwrite=True, --overwrite)"
    )
    if path.exists() and not overwrite:
        raise exists
    if not path.parent.is_dir():
        raise FileNotFoundError(f"The folder {path.parent} does not exist: create it first")
    _remove_leftovers(path)
    temporary = path.with_name(f".{_host()}-{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        if overwrite:
            os.replace(temporary, path)
        else:
            _move_to_new(temporary, path, exists)
    finally:
        temporary.unlink(missing_ok=True)


def _host():
    """Machine, for processes of others have the same numbers."""
    return f"{crc32(socket.gethostname().encode()):08x}"


def _remove_leftovers(path):
    """Remove temporary files of processes of this machine that were killed while they wrote `path`."""
    pattern = re.compile(rf"\.{_host()}-(\d+)-[0-9a-f]{{8}}-{re.escape(path.name)}")
    for other in path.parent.iterdir():
        match = pattern.fullmatch(other.name)
        if match and not _is_alive(int(match[1])):
            other.unlink(missing_ok=True)


def _is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # It belongs to another user
        return True
    return True


def _move_to_new(temporary, path, exists):
    """Move a file to a name that nobody else has taken meanwhile."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise exists from None
    except OSError:
        # Some file systems know no second names
        os.replace(temporary, path)


def regular_file(path, what="file"):
    """Path of an input, which must be a file: no folder, device or pipe, which could be without an end.

    Parameters
    ----------
    path : str or path
        Path; environment variables are expanded.
    what : str
        What the file is, for messages.

    Returns
    -------
    path : `~pathlib.Path`
        The path.

    Raises
    ------
    FileNotFoundError
        If there is nothing.
    ValueError
        If it is something else, or no possible path.
    """
    if isinstance(path, str) and not path.strip():
        raise ValueError(f"No name of a {what} was given")
    path = Path(os.path.expandvars(path))
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise FileNotFoundError(f"No such {what}: {path}") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is no possible {what}: {error}") from None
    if not stat.S_ISREG(mode):
        kind = "folder" if stat.S_ISDIR(mode) else "device or a pipe"
        raise ValueError(f"{path} is a {kind}: give a {what}")
    return path
