# Licensed under a 3-clause BSD style license - see LICENSE
"""What the programs share: arguments, what an earlier run has left, and how results are written.

A program has a one-line description as the first line of its docstring, a constant ``NEEDS``, a function
``parser`` and a function ``main``.
"""

import argparse
import json
import os
from importlib import import_module
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from gammapy_asid.utils.files import new_file

__all__ = [
    "Parts",
    "Peer",
    "arguments",
    "data_folder",
    "file_of",
    "kept",
    "processor_seconds",
    "rows_to_markdown",
    "save_picture",
    "spread68",
    "write",
]

#: Arguments that mean the same in all programs that have them.
OPTIONS = {
    "data": {"type": Path, "help": "data folder, by default that of GAMMAPY_ASID_DATA"},
    "model": {"help": "name or path of a model"},
    "recipe": {"help": "recipe of the simulated skies"},
    "bank": {"help": "emission models of training, built from the data if not given"},
    "unseen": {"help": "emission models that no training saw, built from the data if not given"},
    "threshold": {"type": float, "help": "lowest score"},
    "seed": {"type": int, "help": "seed of the skies"},
    "seeds": {"type": int, "nargs": "+", "help": "seeds of the observations"},
}
#: Ends of the names of results, which may be given with the name.
SUFFIXES = (".json", ".md", ".png")
#: Points per inch of pictures.
DPI = 110


def arguments(description, output=None, **defaults):
    """Parser of a program's arguments.

    Parameters
    ----------
    description : str
        Docstring of the program; its first line is shown.
    output : str, optional
        Default of ``--output``; without one there is no such argument.
    defaults : dict
        Defaults of those of `OPTIONS` that the program has; for ``data`` whether all its parts need them.

    Returns
    -------
    parser : `~argparse.ArgumentParser`
        Parser, for arguments of the program's own to be added.
    """
    parser = argparse.ArgumentParser(
        description=description.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    for name, default in defaults.items():
        settings = OPTIONS[name]
        if name == "data":
            needed, default = default, os.environ.get("GAMMAPY_ASID_DATA")
            settings = settings | {"required": needed and not default}
        parser.add_argument(f"--{name}", default=default, **settings)
    if output:
        parser.add_argument("--output", default=output, help="beginning of the names of the results")
    return parser


def data_folder(folder=None):
    """Folder with the data, from the argument or the environment variable GAMMAPY_ASID_DATA."""
    folder = folder or os.environ.get("GAMMAPY_ASID_DATA")
    if not folder:
        raise FileNotFoundError("No data: give their folder with --data or in GAMMAPY_ASID_DATA")
    return Path(folder)


def file_of(output, end):
    """Path of one of the results: the name without the end of another, and its own end."""
    output = Path(output)
    name = output.stem if output.suffix in SUFFIXES else output.name
    return output.with_name(name + end)


def kept(path, make, write, read):
    """What a file holds; where there is none, it is made and written first.

    Parameters
    ----------
    path : path
        File.
    make : callable
        Makes the content.
    write : callable
        Writes the content to a path.
    read : callable
        Reads it.

    Returns
    -------
    content : object
        What `read` returns.
    """
    if not Path(path).exists():
        with new_file(path) as temporary:
            write(make(), temporary)
    return read(path)


def processor_seconds():
    """Processor time in s of this process and of its children that have ended.

    Unlike the time of a clock it does not depend on what else the machine does.
    """
    return sum(os.times()[:4])


class Peer:
    """Another package, imported when something of it is used: programs print their help without it.

    Parameters
    ----------
    name : str
        Name of the module.
    """

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        return getattr(import_module(self._name), attribute)


class Parts:
    """Results of the parts of a long run in a JSON file: a run that was interrupted goes on.

    Parameters
    ----------
    output : path
        Beginning of the names of the program's results; the parts are kept in one of ``_parts.json``.
    settings : dict
        What the results depend on.

    Raises
    ------
    ValueError
        If the file holds results of other settings.
    """

    def __init__(self, output, **settings):
        self.path = file_of(output, "_parts.json")
        self.content = {"settings": json.loads(json.dumps(settings, default=str)), "parts": {}}
        if self.path.exists():
            found = json.loads(self.path.read_text())
            if found["settings"] != self.content["settings"]:
                raise ValueError(f"{self.path} holds results of {found['settings']}: choose another --output")
            self.content = found

    def __call__(self, name, measure):
        """Result of a part, as it is read from the file: measured first if the file does not hold it."""
        parts = self.content["parts"]
        if name not in parts:
            parts[name] = json.loads(json.dumps(measure()))
            _write_json(self.path, self.content)
        return parts[name]


def _write_json(path, content):
    with new_file(path, overwrite=True) as temporary:
        temporary.write_text(json.dumps(content, indent=1))


def write(output, results=None, text=None, figures=None):
    """Write results beside each other as JSON, Markdown and PNG, and print them.

    Parameters
    ----------
    output : path
        Beginning of their names.
    results : object, optional
        Numbers.
    text : str, optional
        Tables; without them the numbers are printed.
    figures : `~matplotlib.figure.Figure` or dict, optional
        Picture, or several by what follows the beginning of the name.
    """
    if results is not None:
        _write_json(file_of(output, ".json"), results)
    if text is not None:
        file_of(output, ".md").write_text(text)
    for name, figure in (figures if isinstance(figures, dict) else {"": figures}).items():
        if figure is not None:
            save_picture(figure, file_of(output, f"{name}.png"))
    print(json.dumps(results, indent=1) if text is None else text)


def save_picture(figure, path, dpi=DPI):
    """Write a picture as PNG with a palette of 256 colours, which makes the file three times smaller.

    Parameters
    ----------
    figure : `~matplotlib.figure.Figure`
        Picture.
    path : path
        PNG file.
    dpi : int
        Points per inch.
    """
    with BytesIO() as stream:
        figure.savefig(stream, format="png", dpi=dpi)
        Image.open(stream).convert("RGB").quantize(256).save(path, optimize=True)


def rows_to_markdown(header, rows):
    """A Markdown table.

    Parameters
    ----------
    header : list of str
        Names of the columns.
    rows : list of list of str
        Cells.

    Returns
    -------
    text : str
        Lines, each with its end.
    """
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def spread68(values):
    """Half the width of the central 68 %."""
    low, high = np.quantile(values, [0.16, 0.84])
    return (high - low) / 2
