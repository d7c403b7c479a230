# Licensed under a 3-clause BSD style license - see LICENSE
"""Files that appear whole or not at all, and input that must be a file."""

import bz2
import gzip
import os
import re
import secrets
import socket
import stat
import zlib
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "FITS_SUFFIXES",
    "LIST_SUFFIXES",
    "TABLE_SUFFIXES",
    "is_fits",
    "new_file",
    "no_fits",
    "opened",
    "regular_file",
]

#: Ends of the names of FITS files, of files that hold a table, and of those that hold a list of sources.
FITS_SUFFIXES = (".fits", ".fit", ".fits.gz", ".fit.gz")
TABLE_SUFFIXES = (*FITS_SUFFIXES, ".ecsv", ".csv")
LIST_SUFFIXES = (*TABLE_SUFFIXES, ".reg", ".yaml", ".yml")


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
    path = Path(os.path.expandvars(os.path.expanduser(path)))
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
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


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
        Path; ``~`` and environment variables are expanded.
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
    path = Path(os.path.expandvars(os.path.expanduser(path)))
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


def opened(path):
    """File that is read without its compression (gzip or bzip2).

    Parameters
    ----------
    path : str or path
        File.

    Returns
    -------
    file : file object
        Opened for bytes.
    """
    with open(path, "rb") as file:
        start = file.read(3)
    if start[:2] == b"\x1f\x8b":
        return gzip.open(path)
    return bz2.open(path) if start == b"BZh" else open(path, "rb")


def is_fits(path):
    """Whether a file begins as FITS does, compressed or not.

    Parameters
    ----------
    path : path
        File.

    Returns
    -------
    is_fits : bool
        False also for a file that can't be read.
    """
    try:
        with opened(path) as file:
            return file.read(6) == b"SIMPLE"
    except (EOFError, zlib.error, OSError):
        return False


def no_fits(path):
    """Error that says that a file is no FITS file, and what it begins with.

    Parameters
    ----------
    path : str or path
        File.

    Returns
    -------
    error : `ValueError`
        Error.
    """
    with open(path, "rb") as file:
        start = file.read(40)
    text = start.split(b"\n")[0].decode("ascii", errors="replace").strip()
    readable = text and text.isascii() and text.isprintable()
    what = f"it begins with {text!r}" if readable else "it begins with other data"
    what = what if start else "it is empty"
    return ValueError(f"{path} is no FITS file, {what}: give another file, or copy this one again")
