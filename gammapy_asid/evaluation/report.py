# Licensed under a 3-clause BSD style license - see LICENSE
"""Files of an evaluation: one HTML page, its numbers and its pictures."""

import json
from pathlib import Path

from ..utils.files import new_file
from .figures import FIGURES, draw_figures
from .page import NUMBERS, render_page

__all__ = ["report_paths", "write_report"]

PAGE = "index.html"


def report_paths(folder):
    """Page and numbers that `write_report` makes in a folder, beside pictures of names of their own.

    Parameters
    ----------
    folder : str or path
        Folder.

    Returns
    -------
    paths : dict of str to `~pathlib.Path`
        ``page`` and ``numbers``.
    """
    return {"page": Path(folder) / PAGE, "numbers": Path(folder) / NUMBERS}


def write_report(evaluation, folder, title="Source detection, judged", overwrite=False):
    """Write the page of an evaluation, its numbers and its pictures.

    The page holds its pictures and needs no other file. Pictures of an earlier page that this one does
    not have are removed with `overwrite`.

    Parameters
    ----------
    evaluation : `~gammapy_asid.evaluation.Evaluation`
        Evaluation.
    folder : str or path
        Folder, made if it does not exist.
    title : str
        Title of the page.
    overwrite : bool
        Replace existing files.

    Returns
    -------
    paths : dict of str to `~pathlib.Path`
        ``page``, ``numbers`` and the pictures by name.

    Raises
    ------
    FileExistsError
        If a file exists and `overwrite` is False.
    """
    folder = Path(folder)
    pictures = {name: folder / f"{name}.png" for name in FIGURES}
    for path in (*report_paths(folder).values(), *pictures.values()):
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists: choose another folder or overwrite it (overwrite=True)")
    figures, metrics = draw_figures(evaluation), evaluation.metrics()
    files = {NUMBERS: (json.dumps(metrics, indent=1, allow_nan=False) + "\n").encode()}
    files |= {pictures[name].name: data for name, data in figures.items()}
    # The page comes last: where it is, all the rest is
    files[PAGE] = render_page(metrics, figures, title).encode()
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        with new_file(folder / name, overwrite) as temporary:
            temporary.write_bytes(data)
    for name in pictures.keys() - figures.keys():
        pictures[name].unlink(missing_ok=True)
    return report_paths(folder) | {name: pictures[name] for name in figures}
