# Licensed under a 3-clause BSD style license - see LICENSE
"""Folders of work that goes on after an interruption, and that is never mixed with other work."""

import hashlib
import json
import os
from contextlib import contextmanager
from importlib.metadata import version

from filelock import FileLock, Timeout
from gammapy.utils.scripts import make_path

from .digests import digest
from .files import new_file

__all__ = ["WorkFolder"]

#: Packages whose version may change a result.
PACKAGES = ("gammapy-asid", "gammapy", "numpy", "torch")


class WorkFolder:
    """Files of one piece of work in a folder, and their list.

    The list ``NAME.jsonl`` begins with digests of all that determines the work, and gets a line with the hash
    of each file before that takes its place. A file counts only as it is listed: what is missing is made, and
    what is damaged or from elsewhere is known as such.

    Parameters
    ----------
    folder : str or path
        Folder, made if needed.
    name : str
        What the work is, such as ``survey``.
    record : dict
        All that determines it, see `~gammapy_asid.utils.digests.digest`.
    overwrite : bool
        Begin anew where the folder holds other work of this name.
    resume : bool
        Go on from what the folder holds; else begin anew.

    Raises
    ------
    ValueError
        If the folder holds other work of this name.
    """

    def __init__(self, folder, name, record, overwrite=False, resume=True):
        self.folder, self.name = make_path(folder), name
        self.journal = self.folder / f"{name}.jsonl"
        #: Whether files that are not of this work may be replaced.
        self.replaces = overwrite or not resume
        record = record | {"versions": {package: version(package) for package in PACKAGES}}
        record = {key: digest(value)[:16] for key, value in record.items()}
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"{self.folder} is no folder: choose another place for the work")
        self.folder.mkdir(parents=True, exist_ok=True)
        if not resume or not self.journal.exists():
            self._begin(record, overwrite=not resume)
        other = self._difference(record)
        if other and overwrite:
            self._begin(record, overwrite=True)
        elif other:
            raise ValueError(
                f"{self.folder} holds a {name} of other data or with another configuration ({other}): "
                "choose another folder, remove it, or overwrite it where that can be asked for (--overwrite)"
            )

    def _begin(self, record, overwrite):
        try:
            with new_file(self.journal, overwrite) as temporary:
                temporary.write_text(json.dumps({"work": self.name, "of": record}) + "\n")
        except FileExistsError:
            # Another run was faster; what it does is compared next
            pass

    def _difference(self, record):
        """In what the work in the folder differs, empty if it is the same."""
        try:
            found = json.loads(self.journal.read_text().partition("\n")[0])["of"]
            names = record.keys() | found.keys()
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"{self.journal.name} is damaged"
        return ", ".join(sorted(name for name in names if found.get(name) != record.get(name)))

    def _hashes(self):
        """Hashes that the list has for each name."""
        hashes = {}
        for line in self.journal.read_text(errors="replace").splitlines()[1:]:
            try:
                entry = json.loads(line)
                hashes.setdefault(entry["file"], set()).add(entry["sha256"])
            except (ValueError, KeyError, TypeError):
                # The last line of a run that was killed, or damage: that file does not count
                continue
        return hashes

    def _list(self, name, sha256):
        with open(self.journal, "a") as file:
            file.write("\n" + json.dumps({"file": name, "sha256": sha256}))

    @contextmanager
    def new_file(self, name):
        """Temporary path of a file that takes its place, whole and listed, when the block ends.

        Parameters
        ----------
        name : str
            Name of the file.

        Yields
        ------
        temporary : `~pathlib.Path`
            File in the folder.
        """
        with new_file(self.folder / name, overwrite=True) as temporary:
            yield temporary
            self._list(name, _file_hash(temporary))

    def find(self, name):
        """Path of a file if it is whole, None if it is missing, damaged or from elsewhere.

        Parameters
        ----------
        name : str
            Name of the file.
        """
        path = self.folder / name
        if path.is_file() and _file_hash(path) in self._hashes().get(name, ()):
            return path
        return None

    def find_or_refuse(self, name):
        """As `find`, for files that nobody wants to lose: None only if there is none or it may be replaced.

        Parameters
        ----------
        name : str
            Name of the file.

        Returns
        -------
        path : `~pathlib.Path` or None
            File.

        Raises
        ------
        ValueError
            If it is damaged or from elsewhere.
        """
        path = self.find(name)
        if path is None and (self.folder / name).exists() and not self.replaces:
            raise ValueError(
                f"{self.folder / name} is not as this {self.name} wrote it, but damaged or from elsewhere: "
                "remove it to make it anew, or choose another folder"
            )
        return path

    def claim(self, paths):
        """Say which files inside or outside of the folder this work will write.

        Parameters
        ----------
        paths : list of `~pathlib.Path`
            Files that `finish` lists when they are written.

        Raises
        ------
        FileExistsError
            If one exists that is not of this work, and is not to be replaced.
        """
        hashes = self._hashes()
        for path in paths:
            known = hashes.get(self._key(path), set())
            # What was claimed only is what a killed run left; what was finished is that very file
            changed = known > {None} and path.exists() and _file_hash(path) not in known
            if path.exists() and not self.replaces and (not known or changed):
                raise FileExistsError(
                    f"{path} exists: choose another name or overwrite it (overwrite=True, --overwrite)"
                )
        for path in paths:
            if self._key(path) not in hashes:
                self._list(self._key(path), None)

    def finish(self, paths):
        """List files that were claimed and are written now.

        Parameters
        ----------
        paths : list of `~pathlib.Path`
            Files in the folder.
        """
        for path in paths:
            self._list(self._key(path), _file_hash(path))

    def is_finished(self, paths):
        """Whether files are there as `finish` listed them.

        Parameters
        ----------
        paths : list of `~pathlib.Path`
            Files in the folder.

        Returns
        -------
        is_finished : bool
            True if all are.
        """
        hashes = self._hashes()
        return all(path.is_file() and _file_hash(path) in hashes.get(self._key(path), ()) for path in paths)

    def _key(self, path):
        """A file in the list; the folder may be moved with what is beside it."""
        return os.path.relpath(path, self.folder)

    @contextmanager
    def alone(self):
        """Keep other processes from the same work for the length of a block.

        Raises
        ------
        ValueError
            If one is at it.
        """
        lock = FileLock(self.folder / f"{self.name}.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise ValueError(
                f"Another process is at this {self.name} in {self.folder}: "
                "wait for it, or choose another folder"
            ) from None
        except NotImplementedError:
            # A file system without locks
            pass
        try:
            yield
        finally:
            lock.release()


def _file_hash(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
